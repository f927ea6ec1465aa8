//! Order of the steps: pre-train, fine-tune filter and captioner, clean, and repeat with the kept pairs.

use crate::{
    child,
    state::State,
    step::{self, Made, Plan},
};
use capfilt_console::{self as console, Exit, Failure};
use capfilt_schemas::settings::{bootstrap::Bootstrap, train::Task};
use std::path::Path;
use tokio::sync::watch;

/// Result of a loop.
pub enum Ended {
    /// The loop is done.
    Done {
        /// The last pre-trained model.
        model: Made,
        /// [`Exit::WithQuarantine`] if a job quarantined rows, otherwise [`Exit::Done`].
        exit: Exit,
    },
    /// A step ended early; its process printed the reason.
    Step {
        /// Name of the step, such as `round-1/pretrain`.
        name: String,
        /// Exit code of the step's process.
        exit: Exit,
    },
}

/// Runs all steps. `beside`: the folder of the loop's settings file, to which the other files are relative.
///
/// # Errors
/// Settings or data of a step are wrong, another loop runs in the folder, or a file cannot be written.
pub async fn run(settings: &Bootstrap, beside: &Path, stop: watch::Receiver<bool>) -> Result<Ended, Failure> {
    let state = State::open(Path::new(&settings.run.folder))?;
    let mut walk = Walk { settings, beside, state, stop, exit: Exit::Done };
    let mut job = None;
    for round in 1..=settings.run.rounds {
        match walk.round(round, job).await? {
            Step::Made(cleaned) => job = Some(cleaned),
            Step::Ended { name, exit } => return Ok(Ended::Step { name, exit }),
        }
    }
    Ok(match walk.step(Plan::Pretrain { name: "final/pretrain".to_owned(), job }).await? {
        Step::Made(model) => Ended::Done { model, exit: walk.exit },
        Step::Ended { name, exit } => Ended::Step { name, exit },
    })
}

enum Step {
    Made(Made),
    Ended { name: String, exit: Exit },
}

struct Walk<'a> {
    settings: &'a Bootstrap,
    beside: &'a Path,
    state: State,
    stop: watch::Receiver<bool>,
    /// [`Exit::WithQuarantine`] after a job quarantined rows.
    exit: Exit,
}

/// Unwraps the result of a finished step; any other ending of the step returns from the round.
macro_rules! made {
    ($step:expr) => {
        match $step {
            Step::Made(made) => made,
            ended @ Step::Ended { .. } => return Ok(ended),
        }
    };
}

impl Walk<'_> {
    /// Runs one round; its web pairs are the pairs that the job of the round before kept.
    async fn round(&mut self, round: u32, job: Option<Made>) -> Result<Step, Failure> {
        let name = |step: &str| format!("round-{round}/{step}");
        let med = made!(self.step(Plan::Pretrain { name: name("pretrain"), job }).await?);
        let tune = |task: Task| Plan::FineTune { name: name(task.name()), task, from: med.clone() };
        let filter = made!(self.step(tune(Task::Filter)).await?);
        let captioner = made!(self.step(tune(Task::Captioner)).await?);
        self.step(Plan::Clean { name: name("clean"), captioner, filter }).await
    }

    /// Runs a step, unless the result of the same inputs exists.
    async fn step(&mut self, plan: Plan) -> Result<Step, Failure> {
        let prepared = step::prepare(&plan, self.settings, self.beside).await?;
        if let Some(made) = self.state.unchanged(plan.name(), &prepared.inputs).await {
            console::line(format!("{}: unchanged, {}", plan.name(), made.place));
            return Ok(Step::Made(made));
        }
        prepared.write()?;
        console::line(format!("{}: capfilt {}", plan.name(), prepared.command().join(" ")));
        let exit = child::run(&prepared.command(), self.stop.clone()).await?;
        match exit {
            Exit::Done => {}
            Exit::WithQuarantine => self.exit = exit,
            exit => return Ok(Step::Ended { name: plan.name().to_owned(), exit }),
        }
        let made = prepared.made().await?;
        self.state.note(plan.name(), &prepared.inputs, &made)?;
        Ok(Step::Made(made))
    }
}
