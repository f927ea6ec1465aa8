//! Samples of other colour models to RGB, by Pillow's integer rules.

/// (pixels) -> (pixels, 3)
pub(super) fn grey_to_rgb(samples: impl IntoIterator<Item = u8>) -> Vec<u8> {
    samples.into_iter().flat_map(|grey| [grey; 3]).collect()
}

/// Grey with an alpha that is dropped: (pixels, 2) -> (pixels, 3).
pub(super) fn grey_alpha_to_rgb(samples: &[u8]) -> Vec<u8> {
    grey_to_rgb(samples.as_chunks::<2>().0.iter().map(|&[grey, _]| grey))
}

/// Alpha is dropped, not blended: (pixels, 4) -> (pixels, 3).
pub(super) fn rgba_to_rgb(samples: &[u8]) -> Vec<u8> {
    samples.as_chunks::<4>().0.iter().flat_map(|&[red, green, blue, _]| [red, green, blue]).collect()
}

/// Ink to light, without a profile: (pixels, 4) -> (pixels, 3), 255 being full ink.
pub(super) fn cmyk_to_rgb(samples: &[u8]) -> Vec<u8> {
    samples
        .as_chunks::<4>()
        .0
        .iter()
        .flat_map(|&[cyan, magenta, yellow, black]| [cyan, magenta, yellow].map(|ink| light(ink, black)))
        .collect()
}

fn light(ink: u8, black: u8) -> u8 {
    let paper = 255 - black;
    paper - scale(ink, paper)
}

/// a × b / 255, rounded to nearest, without a division.
fn scale(a: u8, b: u8) -> u8 {
    let product = u32::from(a) * u32::from(b) + 128;
    (((product >> 8) + product) >> 8) as u8
}

/// 16-bit colour, and grey with alpha, keep their high byte.
pub(super) fn high_bytes(samples: &[u16]) -> Vec<u8> {
    samples.iter().map(|&sample| (sample >> 8) as u8).collect()
}

/// 16-bit grey is not scaled but cut off at 255, so that all but its darkest 255 levels are white. That is what Pillow
/// does, and so what the model would have been shown.
pub(super) fn cut_off(samples: &[u16]) -> Vec<u8> {
    samples.iter().map(|&sample| sample.min(255) as u8).collect()
}

/// Indices into (red, green, blue) triples; an index past their end is black.
pub(super) fn palette_to_rgb(indices: &[u8], palette: &[u8]) -> Vec<u8> {
    let colours = palette.as_chunks::<3>().0;
    indices.iter().flat_map(|&index| colours.get(usize::from(index)).copied().unwrap_or([0; 3])).collect()
}
