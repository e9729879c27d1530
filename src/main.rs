//! The program: arguments, logger, then one call into `app` or `admin`.

use std::alloc::System;

use bulla::admin::{self, dev};
use bulla::app::{Failure, Server, context};
use bulla::cli::{Cli, Command};
use bulla::config::Config;
use bulla::process;
use clap::Parser;
use zeroizing_alloc::ZeroAlloc;

/// Memory is wiped when it is given back, whoever used it: libraries hold secrets in buffers of their own.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

fn main() {
    let cli = Cli::parse();
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).format_timestamp_millis().init();
    let status = match run(cli.command) {
        Ok(()) => 0,
        Err(failure) => {
            log::error!("{failure}");
            failure.class as i32
        }
    };
    // Everything is closed and flushed by now. What the C runtime would still do is run the destructors of the PKCS#11 module,
    // of OpenSSL and of libpq, in an order that SoftHSM does not survive each time.
    signal_hook::low_level::exit(status)
}

fn run(command: Command) -> Result<(), Failure> {
    process::forbid_dumps().map_err(context("core dumps"))?;
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
