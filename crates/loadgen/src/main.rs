//! The binary `rjabberd-load`: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    rjabberd_loadgen::main()
}
