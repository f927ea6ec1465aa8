//! `capfilt completions` and `capfilt man`: files for shells and for `man`, generated from the arguments.

use crate::args::{Args, CompletionsArgs, ManArgs};
use anyhow::Context as _;
use capfilt_console::{Ending, Exit, ExitCodeExt as _, outln};
use clap::CommandFactory as _;

pub fn completions(args: &CompletionsArgs) -> Ending {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "capfilt", &mut text);
    outln!("{}", String::from_utf8_lossy(&text).trim_end());
    Ok(Exit::Done)
}

/// Writes one page per command: `capfilt.1`, `capfilt-run.1`.
pub fn man(args: &ManArgs) -> Ending {
    let folder = &args.folder;
    let fail = || format!("cannot write the pages of the manual into {}", folder.display());
    std::fs::create_dir_all(folder).with_context(fail).or_environment_error()?;
    clap_mangen::generate_to(Args::command(), folder).with_context(fail).or_environment_error()?;
    Ok(Exit::Done)
}
