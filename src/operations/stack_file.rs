//! Reads the stack file and the files that it extends.

use super::{OperationError, facts};
use crate::stack::{self, Stack, overrides::Override};
use std::{
    io::{self, Read as _},
    path::Path,
};

/// Reads and validates the stack file. `variable` returns the value of an environment variable that the file names.
pub fn read_stack(
    path: &Path,
    variable: &dyn Fn(&str) -> Option<String>,
    overrides: &[Override],
) -> Result<Stack, OperationError> {
    let bytes = read(path).map_err(|error| {
        let hint = "pass the path with `--stack`, or change to the folder of the file";
        OperationError::refused(format!("{}: {error}", path.display()), hint)
    })?;
    let base = |name: &str| read_base(path, name).map_err(|error| error.to_string());
    let stack = stack::load_extended(&path.display().to_string(), &bytes, variable, overrides, &base)?;
    facts::check(&stack)?;
    Ok(stack)
}

/// Reads a file that the stack file `main` extends. `name` is relative to the folder of the stack file.
///
/// Errors in a file show its lines, so a file outside the folder is not read, not even through a link: the author of the
/// stack file is not always the one who runs it.
pub fn read_base(main: &Path, name: &str) -> io::Result<Vec<u8>> {
    let folder = main.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let path = folder.join(name).canonicalize()?;
    if !path.starts_with(folder.canonicalize()?) {
        return Err(io::Error::other("it is a link that leads out of the folder of the stack file"));
    }
    // A pipe or a device could be read for ever.
    if !path.metadata()?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    read(&path)
}

/// Reads a file up to one byte more than the limit, which is enough to refuse it: it may be anything and of any size.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let (mut bytes, most) = (Vec::new(), u64::try_from(stack::MAX_BYTES).unwrap_or(u64::MAX));
    std::fs::File::open(path)?.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}
