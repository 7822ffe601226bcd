//! The option `--take-fields`.

use crate::model::Address;
use std::collections::BTreeSet;

// A doc comment here would become the description of each command with these arguments.
#[derive(Debug, clap::Args)]
pub struct TakeFields {
    /// Overwrite fields of this Kubernetes object that `kubectl` or a controller set (repeatable)
    #[arg(long, value_name = "ADDRESS")]
    pub take_fields: Vec<Address>,
}

impl TakeFields {
    /// Returns the addresses.
    pub fn addresses(&self) -> BTreeSet<Address> {
        self.take_fields.iter().cloned().collect()
    }
}
