//! Perceptual hash of an image: near-duplicates differ in a few of 64 bits.
//!
//! The hash is dHash (N. Krawetz 2013, "Kind of Like That",
//! [hackerfactor.com](https://www.hackerfactor.com/blog/index.php?/archives/529-Kind-of-Like-That.html)),
//! with Pillow's luma and areas instead of a resampling filter:
//!
//! 1. The prepared image of the filter, `side × side` pixels, is divided into 9 columns × 8 rows of equal
//!    areas. A pixel on a border counts for both areas by its share.
//! 2. The luma of an area is the sum of 299 R + 587 G + 114 B over its pixels.
//! 3. Bit `63 − (8 × row + column)` is 1 if the area at (row, column + 1) is lighter than the one at (row,
//!    column).
//!
//! All sums are integers, so equal pixels have equal hashes on every machine. Filters of other sides see
//! other pixels; their hashes of one image differ in a few bits.

/// Areas in a row, and rows.
const COLUMNS: usize = 9;
const ROWS: usize = 8;

/// Hash of a square RGB image of `side × side × 3` bytes, row by row, red first; `None` without pixels.
pub fn image_hash(pixels_u8: &[u8], side: usize) -> Option<u64> {
    if side == 0 || pixels_u8.len() != side * side * 3 {
        return None;
    }
    let (columns, rows) = (shares(side, COLUMNS), shares(side, ROWS));
    // Largest sum: side² × 8 × 9 × 255,000, below 2^64 up to sides of a million pixels.
    let mut areas = [[0_u64; COLUMNS]; ROWS];
    for (line, row_shares) in pixels_u8.chunks_exact(side * 3).zip(&rows) {
        let mut sums = [0_u64; COLUMNS];
        for (pixel, column_shares) in line.chunks_exact(3).zip(&columns) {
            let luma = 299 * u64::from(pixel[0]) + 587 * u64::from(pixel[1]) + 114 * u64::from(pixel[2]);
            column_shares.iter().for_each(|share| sums[share.area] += share.weight * luma);
        }
        for share in row_shares {
            areas[share.area].iter_mut().zip(sums).for_each(|(area, sum)| *area += share.weight * sum);
        }
    }
    let bits = areas.iter().flat_map(|row| row.windows(2).map(|pair| u64::from(pair[1] > pair[0])));
    Some(bits.fold(0, |hash, bit| hash << 1 | bit))
}

/// Part of a pixel that belongs to an area.
#[derive(Debug, Clone, Copy)]
struct Share {
    area: usize,
    weight: u64,
}

/// Shares of each pixel of a line of `side` pixels in `areas` equal parts. A pixel has `areas` units of
/// length, and an area `side` units.
fn shares(side: usize, areas: usize) -> Vec<Vec<Share>> {
    let of_pixel = |pixel: usize| {
        let (begin, end) = (pixel * areas, (pixel + 1) * areas);
        let touched = begin / side..=(end - 1) / side;
        let share = |area: usize| {
            let weight = end.min((area + 1) * side) - begin.max(area * side);
            Share { area, weight: weight as u64 }
        };
        touched.map(share).collect()
    };
    (0..side).map(of_pixel).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(side: usize, pixel: impl Fn(usize, usize) -> u8) -> Vec<u8> {
        let pixels = (0..side).flat_map(|y| (0..side).map(move |x| (x, y)));
        pixels.flat_map(|(x, y)| [pixel(x, y); 3]).collect()
    }

    #[test]
    fn a_ramp_has_all_bits_or_none_and_a_plain_image_has_none() {
        for side in [1, 2, 7, 9, 32, 100, 384] {
            let to_right = image(side, |x, _| (x * 255 / side) as u8);
            let expected = if side >= COLUMNS { u64::MAX } else { image_hash(&to_right, side).unwrap() };
            assert_eq!(image_hash(&to_right, side), Some(expected), "{side}");
            assert_eq!(image_hash(&image(side, |_, _| 77), side), Some(0), "{side}");
            let to_left = image(side, |x, _| 255 - (x * 255 / side) as u8);
            assert_eq!(image_hash(&to_left, side), Some(0), "{side}");
        }
    }

    #[test]
    fn the_first_bit_compares_the_first_two_areas_of_the_first_row() {
        // 72 × 72 pixels: areas of 8 × 9 pixels.
        let light = |x: usize, y: usize| if (8..16).contains(&x) && y < 9 { 200 } else { 100 };
        assert_eq!(image_hash(&image(72, light), 72), Some(1 << 63));
        let last = |x: usize, y: usize| if x >= 64 && y >= 63 { 200 } else { 100 };
        assert_eq!(image_hash(&image(72, last), 72), Some(1));
    }

    #[test]
    fn a_little_noise_changes_few_bits_and_another_image_many() {
        let noisy = |x: usize, y: usize| ((x * x + 3 * y * y) / 300 + (x * 7 + y * 13) % 3) as u8;
        let (plain, other) = (
            image(96, |x, y| ((x * x + 3 * y * y) / 300) as u8),
            image(96, |x, y| ((x / 12 + y / 12) % 2 * 200) as u8),
        );
        let [plain, noisy, other] =
            [plain, image(96, noisy), other].map(|image| image_hash(&image, 96).unwrap());
        assert!((plain ^ noisy).count_ones() <= 4, "{plain:x} {noisy:x}");
        assert!((plain ^ other).count_ones() >= 16, "{plain:x} {other:x}");
    }

    #[test]
    fn pixels_of_another_size_have_no_hash() {
        assert_eq!(image_hash(&[], 0), None);
        assert_eq!(image_hash(&[0; 11], 2), None);
    }
}
