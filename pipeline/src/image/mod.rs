//! Image bytes of any kind to RGB, as Pillow's `Image.open(…).convert("RGB")` makes it.
//!
//! BLIP was trained on what Pillow decodes, so Pillow is the reference, oddities included: alpha is dropped
//! and not blended, colour profiles and EXIF rotation are ignored, 16-bit colour keeps its high byte.
//! `tests/pixels.rs` and `tests/features.rs` hold every format to it, to the bit; what is not decoded has a
//! status that names why.
//!
//! Web data is hostile. Sizes are read from the header and held against the limits before a pixel is
//! allocated, and with them the bytes that decoding will take ([`peak_decoding_bytes`]); profiles, texts
//! and later frames are not looked at; a codec that panics is caught here, in silence; and a truncated
//! image is an error and not a grey half: Pillow refuses it too.

mod bmp;
mod decode;
mod format;
mod gif;
mod jpeg;
mod limits;
mod lzw;
mod orientation;
mod picture;
mod pieces;
mod png;
mod quiet;
mod rgb_image;
mod samples;
mod skip;
mod tiff;
mod webp;

pub use decode::{decode, peak_decoding_bytes};
pub use limits::ImageLimits;
use picture::Picture;
pub(crate) use quiet::message_of;
pub use rgb_image::RgbImage;
use rgb_image::blank;
pub use skip::ImageSkip;
