//! Decoded pixels.

/// A decoded image: `width × height × 3` bytes, row by row, red first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RgbImage {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// `height × width × 3` bytes, row by row, red first.
    pub pixels_u8: Vec<u8>,
    /// Width and height as stored, if the image was decoded at a reduced size.
    pub reduced_from: Option<(u32, u32)>,
}

impl RgbImage {
    pub(crate) fn new(width: u32, height: u32, pixels_u8: Vec<u8>) -> Self {
        Self { width, height, pixels_u8, reduced_from: None }
    }

    /// Width and height as stored.
    pub fn stored_size(&self) -> (u32, u32) {
        self.reduced_from.unwrap_or((self.width, self.height))
    }
}

/// A black image: `width × height × 3` zeros.
pub(super) fn blank(width: u32, height: u32) -> Vec<u8> {
    vec![0; 3 * width as usize * height as usize]
}
