//! Small pictures for people; models get theirs from `resize.rs`.

use super::RgbImage;

/// An image that fits into `width` × `height` pixels, at most as large as `image`. Each pixel is the mean of
/// the pixels that it covers.
pub fn shrink(image: &RgbImage, width: u32, height: u32) -> RgbImage {
    let larger = |sides: (u32, u32)| f64::from(sides.0) / f64::from(sides.1.max(1));
    let factor = larger((image.width, width)).max(larger((image.height, height))).max(1.0);
    let fit = |side: u32, most: u32| ((f64::from(side) / factor).round() as u32).clamp(1, most.max(1));
    let (width, height) = (fit(image.width, width), fit(image.height, height));
    if (width, height) == (image.width, image.height) {
        return image.clone();
    }
    let mut pixels_u8 = Vec::with_capacity(3 * width as usize * height as usize);
    for row in 0..height {
        for column in 0..width {
            let (rows, columns) = (covered(row, height, image.height), covered(column, width, image.width));
            pixels_u8.extend(mean(image, rows, columns));
        }
    }
    RgbImage { width, height, pixels_u8, reduced_from: Some(image.stored_size()) }
}

/// Pixels of `from` that pixel `at` of `to` covers, at least one.
fn covered(at: u32, to: u32, from: u32) -> std::ops::Range<usize> {
    let edge = |at: u32| (u64::from(at) * u64::from(from) / u64::from(to)) as usize;
    edge(at)..edge(at + 1).max(edge(at) + 1)
}

fn mean(image: &RgbImage, rows: std::ops::Range<usize>, columns: std::ops::Range<usize>) -> [u8; 3] {
    let (mut sums, count) = ([0_u64; 3], (rows.len() * columns.len()) as u64);
    for row in rows {
        let start = 3 * (row * image.width as usize + columns.start);
        for pixel in image.pixels_u8[start..start + 3 * columns.len()].chunks_exact(3) {
            sums.iter_mut().zip(pixel).for_each(|(sum, value)| *sum += u64::from(*value));
        }
    }
    sums.map(|sum| ((sum + count / 2) / count) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(width: u32, height: u32) -> RgbImage {
        let pixel = |at: u32| [(at % width) as u8, (at / width) as u8, 7];
        RgbImage::new(width, height, (0..width * height).flat_map(pixel).collect())
    }

    #[test]
    fn a_pixel_is_the_mean_of_those_that_it_covers() {
        let small = shrink(&ramp(8, 4), 4, 4);
        assert_eq!((small.width, small.height, small.stored_size()), (4, 2, (8, 4)));
        // Columns 0 and 1, rows 0 and 1: 0.5, rounded up.
        assert_eq!(small.pixels_u8[..6], [1, 1, 7, 3, 1, 7]);
    }

    #[test]
    fn every_size_fits_keeps_its_form_and_has_all_of_its_pixels() {
        for (width, height) in [(1, 1), (1, 250), (250, 1), (99, 3), (200, 133), (7, 9)] {
            for (most_width, most_height) in [(1, 1), (10, 10), (100, 50), (250, 250)] {
                let small = shrink(&ramp(width, height), most_width, most_height);
                assert!(small.width <= most_width && small.height <= most_height);
                assert!(small.width <= width && small.height <= height);
                assert_eq!(small.pixels_u8.len(), 3 * (small.width * small.height) as usize);
            }
        }
        assert_eq!(shrink(&ramp(200, 100), 100, 100).height, 50);
        assert_eq!(shrink(&ramp(20, 10), 100, 100), ramp(20, 10), "a small image stays");
    }
}
