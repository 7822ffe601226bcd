//! Where this is run from.

use super::{Failure, Session};
use crate::{
    aws::public_address,
    model::{Class, Fault},
};
use std::net::IpAddr;

/// Says the address, instead of asking for it.
const VARIABLE: &str = "PROVISIONER_MYIP";

/// The caller's address in the sandbox, one of those kept for documentation (RFC 5737).
const IN_SANDBOX: &str = "203.0.113.7";

/// One address as a block.
fn block(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("{address}/32"),
        IpAddr::V6(address) => format!("{address}/128"),
    }
}

impl Session {
    /// What `myip` stands for, where the file has a use for it.
    pub(super) async fn my_ip(&self) -> Result<Option<String>, Failure> {
        let endpoint = self.stack.cluster.as_ref().map(|cluster| &cluster.endpoint);
        let used = endpoint.filter(|endpoint| endpoint.public).is_some_and(|endpoint| {
            endpoint.public_cidrs.as_ref().is_none_or(|blocks| blocks.iter().any(|block| block == "myip"))
        });
        if !used {
            return Ok(None);
        }
        if let Ok(said) = std::env::var(VARIABLE) {
            let address = said.trim().parse::<IpAddr>().map_err(|_| {
                let fault = Fault::new(Class::Refused, format!("{VARIABLE}: `{said}` is no address"));
                fault.hint("such as 203.0.113.7")
            })?;
            return Ok(Some(block(address)));
        }
        if self.target.sandbox.is_some() {
            return Ok(Some(format!("{IN_SANDBOX}/32")));
        }
        Ok(Some(block(public_address().await?)))
    }
}
