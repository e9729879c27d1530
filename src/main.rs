//! The program: arguments, logger, then one call into `app` or `admin`.

use std::process::ExitCode;

use bulla::admin::{self, dev};
use bulla::app::{Failure, Server};
use bulla::cli::{Cli, Command};
use bulla::config::Config;
use clap::Parser;

fn main() -> ExitCode {
    let cli = Cli::parse();
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).format_timestamp_millis().init();
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(reason)) => {
            log::error!("{reason}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), Failure> {
    if let Some(folder) = command.data_folder() {
        dev::enter(folder)?;
    }
    match command {
        Command::Dev(dev) => dev::run(dev),
        Command::Serve { config } => {
            let server = Server::open(&Config::load(&config)?)?;
            log::info!("serving on {}", server.address()?);
            server.run()
        }
        other => admin::run(other),
    }
}
