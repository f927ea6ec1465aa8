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
    /// Clips, with the shares of `web`: a text names one shape that some frames show. Most clips show two
    /// shapes one after the other, so that no single frame has the truth of every text.
    ClipObjects,
    /// Clips, with the shares of `web`: a text names all shapes of a clip, "a red circle and a blue square";
    /// no single frame has both.
    ClipScenes,
    /// Clips, with the shares of `web`: a text names an event, "a red circle moves to the left". The truth
    /// needs the order of the frames.
    ClipEvents,
    /// Clips with questions and answers instead of texts.
    ClipQuestions,
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
            Self::ClipObjects => "clip-objects",
            Self::ClipScenes => "clip-scenes",
            Self::ClipEvents => "clip-events",
            Self::ClipQuestions => "clip-questions",
            Self::Statements => "statements",
        }
    }

    /// Whether a row has a list of frames instead of a picture.
    pub fn is_clips(self) -> bool {
        matches!(self, Self::ClipObjects | Self::ClipScenes | Self::ClipEvents | Self::ClipQuestions)
    }

    /// Whether a row has a question and its answer instead of a text.
    pub fn is_questions(self) -> bool {
        matches!(self, Self::Questions | Self::ClipQuestions)
    }
}
