//! Detection of the format by the first bytes. File names and content types of web data are unreliable.

use super::ImageSkip;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Jpeg,
    Png,
    WebP,
    Gif,
    Bmp,
    Tiff,
}

impl Format {
    /// # Errors
    /// [`ImageSkip::Unsupported`], with a guess of the real format.
    pub(super) fn of(bytes: &[u8]) -> Result<Self, ImageSkip> {
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
}

/// Media type of an image in a format that web browsers and vision endpoints decode: JPEG, PNG, WebP, GIF.
pub fn web_media_type(bytes: &[u8]) -> Option<&'static str> {
    match Format::of(bytes).ok()? {
        Format::Jpeg => Some("image/jpeg"),
        Format::Png => Some("image/png"),
        Format::WebP => Some("image/webp"),
        Format::Gif => Some("image/gif"),
        Format::Bmp | Format::Tiff => None,
    }
}

impl std::fmt::Display for Format {
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
