//! Files and programs of this machine. A folder that another user prepared gains nothing: private files replace what was
//! there, the cache belongs to the caller alone, and programs get named variables and run in the cache.

mod cache_folder;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub mod hostile;
mod private_file;
mod programs;
mod python_programs;

pub use cache_folder::{NoCacheFolder, cache_folder, own_folder};
pub use private_file::{lock_file, new_private_file, write_private};
pub use programs::{ProgramVariables, absolute_program, program};
pub use python_programs::{PYTHON_NAMES, isolated_python, named_python};
