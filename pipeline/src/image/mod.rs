//! Image bytes of any format to RGB, as Pillow's `Image.open(…).convert("RGB")`.
//!
//! BLIP was trained on images that Pillow decoded, so Pillow is the reference, including its oddities: alpha
//! is dropped and not blended, colour profiles and EXIF rotation are ignored, 16-bit colour keeps its high
//! byte. `tests/pixels.rs` and `tests/features.rs` compare every format bit by bit. An image that is not
//! decoded has a status with the reason.
//!
//! Web data is hostile. Sizes from the header, and the bytes that decoding will take
//! ([`peak_decoding_bytes`]), are compared with the limits before memory is allocated. Profiles, texts and
//! later frames are not read. A panic of a codec is caught silently. A truncated image is an error and not a
//! partly grey image, as in Pillow.

mod bmp;
mod decode;
mod encode;
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
mod shrink;
mod skip;
mod tiff;
mod webp;

pub use decode::{decode, peak_decoding_bytes};
pub use encode::encode_png;
pub use format::{ImageFormat, web_media_type};
pub use limits::ImageLimits;
use picture::Picture;
pub(crate) use quiet::message_of;
pub use rgb_image::RgbImage;
use rgb_image::blank;
pub use shrink::shrink;
pub use skip::ImageSkip;
