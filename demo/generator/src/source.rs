//! Kinds of data that the generator writes.

/// Declared source of the pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "arguments", derive(clap::ValueEnum))]
pub enum Pairs {
    /// All texts are true.
    Human,
    /// 40 % of the texts are true, 25 % have one error, 20 % belong to another picture, 15 % are junk.
    Web,
    /// Questions with their answers instead of texts.
    Questions,
    /// Statements about pairs of pictures, half of them true, instead of texts; two pictures per row.
    Statements,
}

impl Pairs {
    /// Name of the kind, as in the arguments.
    pub fn name(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Web => "web",
            Self::Questions => "questions",
            Self::Statements => "statements",
        }
    }
}
