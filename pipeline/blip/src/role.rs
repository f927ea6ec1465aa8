//! The two roles of a MED model, and the tensors of each role.

use std::fmt;

/// Model that the tensors belong to. It decides which tensors must be used and how a mix-up is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The captioner.
    Captioner,
    /// The filter.
    Filter,
}

impl Role {
    /// Prefixes of the model's names. A tensor with such a prefix that the model does not take is an error.
    fn prefixes(self) -> &'static [&'static str] {
        match self {
            Self::Captioner => &["vision_model.", "text_decoder."],
            Self::Filter => &["vision_model.", "text_encoder.", "vision_proj.", "text_proj.", "itm_head."],
        }
    }

    /// Whether the role needs this tensor; readers leave other tensors on disk.
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
