//! The roles of a MED model, and the tensors of each role.

use std::fmt;

/// Model that the tensors belong to. It decides which tensors must be used and how a mix-up is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The captioner.
    Captioner,
    /// The filter.
    Filter,
    /// The answerer of questions: text encoder and text decoder.
    Answerer,
    /// The reasoner about pairs of images.
    Reasoner,
    /// The two encoders of a CLIP.
    Clip,
}

const ENCODER: &str = "text_encoder.";
const DECODER: &str = "text_decoder.";
const CLASSIFIER: &str = "cls_head.";

impl Role {
    /// Prefixes of the model's names. A tensor with such a prefix that the model does not take is an error.
    fn prefixes(self) -> &'static [&'static str] {
        match self {
            Self::Captioner => &["vision_model.", DECODER],
            Self::Filter => &["vision_model.", ENCODER, "vision_proj.", "text_proj.", "itm_head."],
            Self::Answerer => &["vision_model.", ENCODER, DECODER],
            Self::Reasoner => &["vision_model.", ENCODER, CLASSIFIER],
            Self::Clip => &["vision_model.", "text_model.", "visual_projection", "text_projection"],
        }
    }

    /// Whether the role needs this tensor; readers leave other tensors on disk.
    pub fn wants(self, name: &str) -> bool {
        self.prefixes().iter().any(|prefix| name.starts_with(prefix))
    }

    /// The role of a checkpoint that lacks the tensors `missing` of this role and has the tensors
    /// `elsewhere`, if the names show it.
    pub(crate) fn mistaken(self, missing: &[String], elsewhere: &[String]) -> Option<Self> {
        let has = |names: &[String], prefix| names.iter().any(|name| name.starts_with(prefix));
        if self != Self::Reasoner && !missing.is_empty() && has(elsewhere, CLASSIFIER) {
            return Some(Self::Reasoner);
        }
        match (self, has(missing, ENCODER), has(missing, DECODER)) {
            (Self::Captioner, _, true) if has(elsewhere, ENCODER) => Some(Self::Filter),
            (Self::Filter, true, _) if has(elsewhere, DECODER) => Some(Self::Captioner),
            (Self::Answerer, true, false) => Some(Self::Captioner),
            (Self::Answerer, false, true) => Some(Self::Filter),
            (Self::Reasoner, true, _) if has(elsewhere, "itm_head.") => Some(Self::Filter),
            (Self::Reasoner, true, _) if has(elsewhere, DECODER) => Some(Self::Captioner),
            _ => None,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Captioner => "captioner",
            Self::Filter => "filter",
            Self::Answerer => "answerer",
            Self::Reasoner => "reasoner",
            Self::Clip => "CLIP",
        })
    }
}
