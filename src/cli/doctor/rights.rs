//! What the caller may do, by IAM's own simulator.

use super::{Check, Patient, State};
use crate::{
    aws::{principal, refused},
    cli::policy::statements,
    model::{Class, Fault},
};

/// Tries every action of the stack's policy, and those that make the backend where it is not there.
pub async fn check(patient: &Patient<'_>, backend_is_there: bool) -> Result<Check, Fault> {
    const NAME: &str = "permissions";
    let session = patient.session;
    let (clients, account) = (&session.target.clients, &session.identity.account);
    let Some(caller) = principal(clients, &session.identity, &session.stack.region).await? else {
        return Ok(Check::new(
            NAME,
            State::Warn,
            "the caller is the account's root user, who may do everything",
        )
        .then("use a role: root's keys cannot be limited, and EKS takes no access entry for it"));
    };
    let bug = |_| Fault::bug("the policy of a stack that was planned cannot be made");
    let mut wanted = statements(&session.stack, account, false).map_err(bug)?;
    if !backend_is_there {
        wanted.extend(statements(&session.stack, account, true).map_err(bug)?);
    }
    let denied = match refused(clients, &caller, &wanted).await {
        Err(fault) if fault.class == Class::Gone => {
            let text = format!("IAM does not simulate for {caller}: it is no role or user of this account");
            return Ok(Check::new(NAME, State::Unknown, text));
        }
        denied => denied?,
    };
    if denied.is_empty() {
        let count: usize = wanted.iter().filter_map(|one| one.get("Action")?.as_array().map(Vec::len)).sum();
        return Ok(Check::new(NAME, State::Ok, format!("{count} actions are allowed to {caller}")));
    }
    let list: Vec<&str> = denied.iter().map(String::as_str).collect();
    Ok(Check::new(NAME, State::Fail, format!("IAM refuses {caller} {}", list.join(", "))).then(
        "attach what `provisioner policy` prints; a condition on tags or a policy of the organisation may be the \
         reason, too",
    ))
}
