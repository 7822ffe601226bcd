//! The public address of this machine, for `myip`.

use super::super::{OperationError, Workspace};
use crate::{
    aws::public_address,
    model::{CallError, ErrorKind},
};
use std::net::IpAddr;

/// The environment variable that sets the address, so that it is not asked for.
const VARIABLE: &str = "PROVISIONER_MYIP";

/// The caller's address in the sandbox, one of those kept for documentation (RFC 5737).
const IN_SANDBOX: &str = "203.0.113.7";

/// Returns the CIDR block of one address.
fn block(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("{address}/32"),
        IpAddr::V6(address) => format!("{address}/128"),
    }
}

/// Returns the CIDR block of `myip`, if the file uses it.
pub(super) async fn my_ip(workspace: &Workspace) -> Result<Option<String>, OperationError> {
    let endpoint = workspace.stack.cluster.as_ref().map(|cluster| &cluster.endpoint);
    let used = endpoint.filter(|endpoint| endpoint.public).is_some_and(|endpoint| {
        endpoint.public_cidrs.as_ref().is_none_or(|blocks| blocks.iter().any(|block| block == "myip"))
    });
    if !used {
        return Ok(None);
    }
    if let Ok(said) = std::env::var(VARIABLE) {
        let address = said.trim().parse::<IpAddr>().map_err(|_| {
            let error =
                CallError::new(ErrorKind::Refused, format!("{VARIABLE}: invalid IP address `{said}`"));
            error.hint("set it to an address such as 203.0.113.7")
        })?;
        return Ok(Some(block(address)));
    }
    if workspace.target.is_sandbox() {
        return Ok(Some(format!("{IN_SANDBOX}/32")));
    }
    Ok(Some(block(public_address().await?)))
}
