//! The binary `rjabberd`: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    rjabberd_server::command_line::main()
}
