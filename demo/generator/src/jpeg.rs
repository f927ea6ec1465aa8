//! Encoder of the pictures.

use std::io;

/// JPEG with a quality that keeps edges, and without chroma subsampling, which would blur small objects.
pub(crate) fn encode(pixels: &[u8], side: usize) -> io::Result<Vec<u8>> {
    let mut compress = mozjpeg::Compress::new(mozjpeg::ColorSpace::JCS_RGB);
    compress.set_fastest_defaults();
    compress.set_size(side, side);
    compress.set_quality(90.0);
    compress.set_chroma_sampling_pixel_sizes((1, 1), (1, 1));
    let mut started = compress.start_compress(Vec::new())?;
    started.write_scanlines(pixels)?;
    started.finish()
}
