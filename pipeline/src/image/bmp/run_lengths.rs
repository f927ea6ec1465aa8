//! Run lengths of a BMP.

/// Meanings of the second byte after a first byte of 0. Any other value is the number of literal pixels that
/// follow.
const END_OF_ROW: u8 = 0;
const END: u8 = 1;
const SKIP: u8 = 2;

/// Decodes the indices of all pixels, in the order of the file. Returns `None` for fewer than `width ×
/// height` indices.
///
/// Pixels that a short row or an offset skips have index 0. A run ends at the end of its row.
pub(super) fn decode(
    file: &[u8],
    begin: usize,
    is_4_bit: bool,
    (width, height): (usize, usize),
) -> Option<Vec<u8>> {
    let all = width * height;
    let mut indices = Vec::with_capacity(all);
    // Position in the row, and in the file. Pillow pads to even positions of the file, not of the data.
    let (mut x, mut at) = (0, begin);
    while indices.len() < all {
        let [first, second] = *file.get(at..)?.first_chunk()?;
        at += 2;
        match (first, second) {
            (0, END_OF_ROW) => {
                indices.resize(indices.len().next_multiple_of(width), 0);
                x = 0;
            }
            (0, END) => return None,
            (0, SKIP) => {
                let [right, up] = *file.get(at..)?.first_chunk()?;
                at += 2;
                let skipped = usize::from(right) + usize::from(up) * width;
                indices.resize(all.min(indices.len() + skipped), 0);
                x = indices.len() % width;
            }
            (0, pixels) => {
                let wanted = (all - indices.len()).min(usize::from(pixels));
                let length = if is_4_bit { wanted.div_ceil(2) } else { wanted };
                let stored = file.get(at..at + length)?;
                if is_4_bit {
                    indices.extend(stored.iter().flat_map(|byte| [byte >> 4, byte & 15]).take(wanted));
                } else {
                    indices.extend_from_slice(stored);
                }
                x += usize::from(pixels);
                at = (at + length).next_multiple_of(2);
            }
            (run, index) => {
                let run = usize::from(run).min(width.saturating_sub(x));
                let pair = if is_4_bit { [index >> 4, index & 15] } else { [index; 2] };
                indices.extend((0..run).map(|pixel| pair[pixel % 2]));
                x += run;
            }
        }
    }
    // The last run may have exceeded the end.
    indices.truncate(all);
    Some(indices)
}
