//! Where an IAM action is allowed.

/// Resources and conditions of the statement that allows IAM actions.
///
/// The texts are templates. The policy of a stack replaces `{region}`, `{account}`, `{cluster}` and others by the stack's
/// values, and `{KIND.FIELD}` by the values of that field in all resources of the kind: an ARN stands once for each value,
/// and not at all if there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IamScope {
    /// Id of the statement. Scopes with the same id are equal.
    pub sid: &'static str,
    /// Templates of ARNs. `*` only if AWS restricts the actions by no resource.
    pub resources: &'static [&'static str],
    /// Operator, key and values of each condition; all of them must hold. A condition without a value is never true, so the
    /// statement is left out.
    pub conditions: &'static [IamCondition],
}

/// Operator, key and values of a condition of IAM, as templates.
pub type IamCondition = (&'static str, &'static str, &'static [&'static str]);

/// Actions of IAM (`ec2:CreateVpc`) and where they are allowed.
pub type IamGrant = (IamScope, &'static [&'static str]);

/// Returns each action of the grants with its scope. An action that has several scopes is returned several times.
pub fn scoped_actions(grants: &[IamGrant]) -> impl Iterator<Item = (IamScope, &'static str)> {
    grants.iter().flat_map(|(scope, actions)| actions.iter().map(|action| (*scope, *action)))
}
