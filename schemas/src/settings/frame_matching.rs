//! Match of a text and a clip of several frames.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Computation of P(match) of a text and a clip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "arguments", derive(clap::ValueEnum))]
#[serde(rename_all = "snake_case")]
pub enum FrameMatching {
    /// The highest value of the frames: a text of the clip describes some frame.
    #[default]
    Max,
    /// The mean of the frames: a text of the clip describes every frame.
    Mean,
    /// One value of the tokens of all frames, as in BLIP's video retrieval; for models trained on clips.
    Tokens,
}

impl FrameMatching {
    /// All computations, in the order of the help.
    pub const ALL: [Self; 3] = [Self::Max, Self::Mean, Self::Tokens];

    /// Name in settings and arguments.
    pub fn name(self) -> &'static str {
        match self {
            Self::Max => "max",
            Self::Mean => "mean",
            Self::Tokens => "tokens",
        }
    }

    /// Whether it is the default, which the records of earlier versions do not name.
    pub fn is_max(&self) -> bool {
        *self == Self::Max
    }
}

impl fmt::Display for FrameMatching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
