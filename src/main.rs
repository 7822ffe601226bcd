//! The command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    provisioner::cli::main().into()
}
