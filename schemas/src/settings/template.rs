//! Settings files with every key, as an installed program can print them.

use super::train::Task;

/// Kind of a settings file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "arguments", derive(clap::ValueEnum))]
pub enum Template {
    /// Of `run`: a cleaning job
    Job,
    /// Of `train pretrain`
    Pretrain,
    /// Of `train filter`
    Filter,
    /// Of `train captioner`
    Captioner,
    /// Of `train vqa`
    Vqa,
    /// Of `train nlvr`
    Nlvr,
    /// Of `bootstrap`
    Loop,
}

impl Template {
    /// Every kind.
    pub const ALL: [Self; 7] =
        [Self::Job, Self::Pretrain, Self::Filter, Self::Captioner, Self::Vqa, Self::Nlvr, Self::Loop];

    /// The file: each key with its meaning and its default.
    pub fn text(self) -> &'static str {
        match self {
            Self::Job => include_str!("../../../configs/job.toml"),
            Self::Pretrain => Task::Pretrain.defaults(),
            Self::Filter => Task::Filter.defaults(),
            Self::Captioner => Task::Captioner.defaults(),
            Self::Vqa => Task::Vqa.defaults(),
            Self::Nlvr => Task::Nlvr.defaults(),
            Self::Loop => include_str!("../../../configs/loop.toml"),
        }
    }
}
