//! The subcommands, one file each.

mod answer;
mod bench;
mod bootstrap;
mod caption;
mod check;
mod control;
mod demo;
mod device;
mod eval;
mod explain;
mod export;
mod files;
mod gc;
mod generate;
mod init;
mod lineage;
mod plan;
mod recut;
mod report;
mod retry;
mod run;
mod score;
mod serve;
mod status;
mod train;
mod verify;
mod worker;

use crate::args::Command;
use capfilt_console::Ending;
use capfilt_runtime::checkpoints;

pub async fn run(mut command: Command) -> Ending {
    for path in command.checkpoints() {
        *path = checkpoints::local(path).await?;
    }
    match command {
        Command::Plan(args) => plan::run(&args).await,
        Command::Run(args) => run::run(&args).await,
        Command::Worker(args) => worker::run(&args).await,
        Command::Status(args) => status::run(&args).await,
        Command::Retry(args) => retry::run(&args).await,
        Command::Explain(args) => explain::run(&args).await,
        Command::Recut(args) => recut::run(&args).await,
        Command::Control(args) => control::run(&args).await,
        Command::Serve(args) => serve::run(&args).await,
        Command::Files(args) => files::run(&args).await,
        Command::Report(args) => report::run(&args).await,
        Command::Gc(args) => gc::run(&args).await,
        Command::Init(args) => init::run(&args).await,
        Command::Verify(args) => verify::run(&args).await,
        Command::Check(args) => check::run(&args).await,
        Command::Score(args) => score::run(&args),
        Command::Answer(args) => answer::run(&args),
        Command::Caption(args) => caption::run(&args),
        Command::Bench(args) => bench::run(&args).await,
        Command::Train(args) => train::run(&args).await,
        Command::Bootstrap(args) => bootstrap::run(&args).await,
        Command::Export(args) => export::run(&args).await,
        Command::Eval(args) => eval::run(&args).await,
        Command::Lineage(args) => lineage::run(&args),
        Command::Demo(args) => demo::run(&args).await,
        Command::Completions(args) => generate::completions(&args),
        Command::Man(args) => generate::man(&args),
        Command::Device(args) => device::run(args).await,
    }
}
