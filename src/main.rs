//! capfilt: cleans web image-text data with a captioner and a filter.
//!
//! This package is the command line: it parses arguments and settings and calls the library crates. It has
//! few unit tests; the tests in `tests/` run this binary as a user does.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod args;
mod commands;

use capfilt_console::{self as console, Exit, parent, reexec, shutdown, surroundings};
use capfilt_runtime::version;
use clap::Parser as _;

fn main() -> ! {
    run().flushed().leave()
}

fn run() -> Exit {
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        // Help and the version are the requested output, not an error.
        Err(asked) if !asked.use_stderr() => {
            match args::is_version_with_details(&asked) {
                true => console::outln!("{}", version::details(option_env!("CAPFILT_COMMIT"))),
                false => console::note(asked.print()),
            }
            return Exit::Done;
        }
        Err(error) => error.exit(),
    };
    console::open(args.log_format);
    reexec::if_needed(args.command.uses());
    if let Err(error) = surroundings::read() {
        return Exit::Usage.report(&error);
    }
    args.parent.into_iter().for_each(parent::outlive_no_longer);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            return Exit::Environment
                .report(&anyhow::Error::from(error).context("cannot start the IO threads"));
        }
    };
    if args.end_with_parent {
        shutdown::with_parent();
    }
    let ending = runtime.block_on(async {
        shutdown::outlive_file_size_limit();
        commands::run(args.command).await
    });
    // Tasks that wait for an unreachable store must not delay the exit; their threads end with the process.
    runtime.shutdown_background();
    ending.unwrap_or_else(|failure| failure.exit.report(&failure.error))
}
