//! The two roles of a MED model, and the tensors that each role has.

use std::fmt;

/// Which model the tensors are for. It decides which names must be used up and what a mix-up looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Captioner,
    Filter,
}

impl Role {
    /// Names under these prefixes belong to the model; one that it does not take is an error.
    fn prefixes(self) -> &'static [&'static str] {
        match self {
            Self::Captioner => &["vision_model.", "text_decoder."],
            Self::Filter => &["vision_model.", "text_encoder.", "vision_proj.", "text_proj.", "itm_head."],
        }
    }

    /// Whether the role has a use for this tensor, so that readers can leave the rest on disk.
    pub fn wants(self, name: &str) -> bool {
        self.prefixes().iter().any(|prefix| name.starts_with(prefix))
    }

    pub(crate) fn text_prefix(self) -> &'static str {
        match self {
            Self::Captioner => "text_decoder.",
            Self::Filter => "text_encoder.",
        }
    }

    pub(crate) fn other(self) -> Self {
        match self {
            Self::Captioner => Self::Filter,
            Self::Filter => Self::Captioner,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Captioner => "captioner",
            Self::Filter => "filter",
        })
    }
}
