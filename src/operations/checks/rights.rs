//! The check of the caller's permissions, by IAM's policy simulator.

use super::{
    super::stack_policy::statements,
    check::{Check, CheckState, DoctorContext},
};
use crate::{
    aws::{principal, refused},
    model::{CallError, ErrorKind, counted},
};

/// Simulates every action of the stack's policy, and those that create the backend if it does not exist.
pub async fn check(context: &DoctorContext<'_>, backend_is_there: bool) -> Result<Check, CallError> {
    const CHECK: &str = "permissions";
    let workspace = context.workspace;
    let (clients, account) = (&workspace.target.clients, &workspace.target.identity.account);
    let Some(caller) = principal(clients, &workspace.target.identity, &workspace.stack.region).await? else {
        return Ok(Check::new(
            CHECK,
            CheckState::Warn,
            "the caller is the account's root user, which has all permissions",
        )
        .then("use a role: root's permissions cannot be limited, and EKS accepts no access entry for root"));
    };
    let bug = |_| CallError::bug("the policy of a planned stack cannot be generated");
    let mut wanted = statements(&workspace.stack, account, false).map_err(bug)?;
    if !backend_is_there {
        wanted.extend(statements(&workspace.stack, account, true).map_err(bug)?);
    }
    let denied = match refused(clients, &caller, &wanted).await {
        Err(error) if error.class == ErrorKind::Gone => {
            let text = format!("IAM cannot simulate {caller}: not a role or user of this account");
            return Ok(Check::new(CHECK, CheckState::Unknown, text));
        }
        denied => denied?,
    };
    if denied.is_empty() {
        let count: usize = wanted.iter().filter_map(|one| one.get("Action")?.as_array().map(Vec::len)).sum();
        return Ok(Check::new(
            CHECK,
            CheckState::Ok,
            format!("{caller} is allowed all of {}", counted(count, "action")),
        ));
    }
    let list: Vec<&str> = denied.iter().map(String::as_str).collect();
    Ok(Check::new(CHECK, CheckState::Fail, format!("{caller} is not allowed {}", list.join(", "))).then(
        "attach the policy that `provisioner policy` prints; if it is attached, look for conditions on tags and \
         for service control policies",
    ))
}
