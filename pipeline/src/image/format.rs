//! Detection of the format by the first bytes. File names and content types of web data are unreliable.

use super::{ImageSkip, Picture, bmp, gif, jpeg, png, tiff, webp};
use serde::{Deserialize, Serialize};

/// Format of an image that is decoded. The serialised names are those in the scratch folders of exports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)] // the names are those of the formats
pub enum ImageFormat {
    #[serde(rename = "Jpg")]
    Jpeg,
    Png,
    #[serde(rename = "Webp")]
    WebP,
    Gif,
    Bmp,
    Tiff,
}

impl ImageFormat {
    /// The format of an image, by its first bytes.
    ///
    /// # Errors
    /// [`ImageSkip::Unsupported`], with a guess of the real format.
    pub fn of(bytes: &[u8]) -> Result<Self, ImageSkip> {
        match bytes {
            [0xFF, 0xD8, 0xFF, ..] => Ok(Self::Jpeg),
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1A, b'\n', ..] => Ok(Self::Png),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Ok(Self::WebP),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Ok(Self::Gif),
            [b'B', b'M', ..] => Ok(Self::Bmp),
            // Little and big endian, classic and BigTIFF.
            [b'I', b'I', b'*' | b'+', 0, ..] | [b'M', b'M', 0, b'*' | b'+', ..] => Ok(Self::Tiff),
            _ => Err(ImageSkip::Unsupported(looks_like(bytes))),
        }
    }

    /// Extension of file names.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
            Self::WebP => "webp",
            Self::Gif => "gif",
            Self::Bmp => "bmp",
            Self::Tiff => "tiff",
        }
    }

    /// Reads the header of an image of this format.
    pub(super) fn open(self, bytes: &[u8]) -> Result<Box<dyn Picture + '_>, ImageSkip> {
        Ok(match self {
            Self::Jpeg => Box::new(jpeg::Jpeg::open(bytes)?),
            Self::Png => Box::new(png::Png::open(bytes)?),
            Self::WebP => Box::new(webp::WebP::open(bytes)?),
            Self::Gif => Box::new(gif::Gif::open(bytes)?),
            Self::Bmp => Box::new(bmp::Bmp::open(bytes)?),
            Self::Tiff => Box::new(tiff::Tiff::open(bytes)?),
        })
    }
}

/// Media type of an image in a format that web browsers and vision endpoints decode: JPEG, PNG, WebP, GIF.
pub fn web_media_type(bytes: &[u8]) -> Option<&'static str> {
    match ImageFormat::of(bytes).ok()? {
        ImageFormat::Jpeg => Some("image/jpeg"),
        ImageFormat::Png => Some("image/png"),
        ImageFormat::WebP => Some("image/webp"),
        ImageFormat::Gif => Some("image/gif"),
        ImageFormat::Bmp | ImageFormat::Tiff => None,
    }
}

impl std::fmt::Display for ImageFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::WebP => "WebP",
            Self::Gif => "GIF",
            Self::Bmp => "BMP",
            Self::Tiff => "TIFF",
        })
    }
}

/// Guesses the content, for the operator who looks for faults of a downloader.
fn looks_like(bytes: &[u8]) -> String {
    match bytes {
        [_, _, _, _, b'f', b't', b'y', b'p', brand @ ..] => {
            format!(
                "an AVIF, HEIF or video file (brand {:?})",
                String::from_utf8_lossy(&brand[..brand.len().min(4)])
            )
        }
        [b'<', ..] | [0xEF, 0xBB, 0xBF, b'<', ..] => "HTML, XML or SVG".to_owned(),
        [b'{' | b'[', ..] => "JSON".to_owned(),
        _ => format!("it begins with the bytes {:02x?}", &bytes[..bytes.len().min(8)]),
    }
}
