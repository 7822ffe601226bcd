//! Reads the stack file.

use super::{OperationError, facts};
use crate::stack::{self, Stack, overrides::Override};
use std::{io::Read as _, path::Path};

/// Reads and validates the stack file. `variable` returns the value of an environment variable that the file names.
pub fn read_stack(
    path: &Path,
    variable: &dyn Fn(&str) -> Option<String>,
    overrides: &[Override],
) -> Result<Stack, OperationError> {
    let read = || {
        let (mut bytes, most) = (Vec::new(), u64::try_from(stack::MAX_BYTES).unwrap_or(u64::MAX));
        // One byte more than the limit is enough to refuse the file, which may be anything and of any size.
        std::fs::File::open(path)?.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes: Vec<u8> = read().map_err(|error: std::io::Error| {
        let hint = "pass the path with `--stack`, or change to the folder of the file";
        OperationError::refused(format!("{}: {error}", path.display()), hint)
    })?;
    let stack = stack::load_with(&path.display().to_string(), &bytes, variable, overrides)?;
    facts::check(&stack)?;
    Ok(stack)
}
