//! The binary: reads the command line and the environment, and ends with an
//! exit code. Everything else is in the library.

use std::process::ExitCode;

use clap::Parser as _;
use offpeak::cli::{self, Cli};
use offpeak::config::Environment;
use offpeak::exit::Exit;
use offpeak::output::Output;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let json = cli.json();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            Output { json: false }.talk(&format!("error: cannot start: {error}"));
            return ExitCode::from(Exit::SomeFailed as u8);
        }
    };
    let exit = match runtime.block_on(cli::run(cli, Environment::read())) {
        Ok(exit) => exit,
        Err(failure) if failure.is_broken_pipe() => Exit::Ok,
        Err(failure) => {
            let output = Output { json };
            if json {
                output.talk(&failure.problem());
            } else {
                output.talk(&format!("error: {}", failure.message()));
            }
            failure.exit
        }
    };
    // A read of stdin that nobody waits for any more must not hold us up.
    runtime.shutdown_background();
    ExitCode::from(exit as u8)
}
