//! Errors of a TIFF that is not decoded.

use crate::image::ImageSkip;

pub(super) fn undecodable(what: &str) -> ImageSkip {
    ImageSkip::Undecodable(what.to_owned())
}

pub(super) fn unsupported(what: &str) -> ImageSkip {
    ImageSkip::Unsupported(format!("a TIFF {what}"))
}
