//! The binary of `emrkeys`.

use std::process::ExitCode;

fn main() -> ExitCode {
    emrkeys_cli::run()
}
