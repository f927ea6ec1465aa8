//! capfilt: cleans web image-text data with a captioner and a filter.
//!
//! This package is the front door: arguments become settings, settings become parts, parts go to the crates that do the
//! work. Nothing here is worth a unit test; the tests in `tests/` run this binary as a user would.

#![deny(clippy::print_stdout, clippy::print_stderr)]

#[macro_use]
mod say;

mod args;
mod batch_size;
mod bootstrap;
mod checkpoint;
mod cleaned;
mod commands;
mod dataset;
mod exit;
mod known_answers;
mod machine;
mod models;
mod parent;
mod progress;
mod release;
mod scrape;
mod second_start;
mod settings_file;
mod stop;
mod surroundings;

use clap::Parser as _;
use exit::Exit;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        // Help and the version are output that was asked for.
        Err(asked) if !asked.use_stderr() => {
            say::note(asked.print());
            return say::close(Exit::Done).into();
        }
        Err(error) => error.exit(),
    };
    say::open(args.log_format);
    second_start::if_needed(&args.command);
    if let Err(error) = surroundings::read() {
        return Exit::Usage.report(&error).into();
    }
    args.parent.into_iter().for_each(parent::outlive_no_longer);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            return Exit::Environment.report(&anyhow::Error::from(error).context("cannot start the IO threads")).into();
        }
    };
    if args.end_with_parent {
        stop::with_parent();
    }
    let ending = runtime.block_on(async {
        stop::outlive_file_size_limit();
        commands::run(args.command).await
    });
    // What still waits for a store that does not answer must not keep the process.
    runtime.shutdown_background();
    say::close(ending.unwrap_or_else(|failure| failure.exit.report(&failure.error))).into()
}
