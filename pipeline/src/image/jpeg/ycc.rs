//! The last two steps of decoding a colour JPEG, bit-identical to libjpeg-turbo: upsampling of chroma, and
//! YCbCr to RGB.
//!
//! In plain C these steps take two fifths of the decoding time; `mozjpeg` is plain C if `nasm` was not
//! installed to assemble its vector code. Here they are loops that the compiler vectorises, and `pulp`
//! compiles them for each vector unit.

/// A decoded component: rows of `stride` samples, of which the first `width` of the first `height` belong to
/// the image.
#[derive(Default)]
pub struct Plane {
    pub samples: Vec<u8>,
    pub stride: usize,
    pub width: usize,
    pub height: usize,
}

/// An image before these steps. The planes of Cb and Cr have the same size: that of luma, or half of it, in
/// each direction.
pub struct Ycc {
    pub luma: Plane,
    pub blue: Plane,
    pub red: Plane,
    pub half_across: bool,
    pub half_down: bool,
}

/// Pixels that are converted together.
const LANES: usize = 32;

impl Ycc {
    /// The image as RGB: (height, width, 3).
    pub fn to_rgb(&self) -> Vec<u8> {
        pulp::Arch::new().dispatch(self)
    }

    /// Upsamples chroma of the image's row `row` into `up`, whose length is a multiple of [`LANES`]. `sums`
    /// is a buffer.
    #[inline(always)]
    fn upsample(&self, plane: &Plane, row: usize, sums: &mut [u16], up: &mut [u8]) {
        let line = |i: usize| &plane.samples[i * plane.stride..][..plane.width];
        if !self.half_across {
            // Chroma with half the height and full width is decoded by libjpeg-turbo itself.
            return up[..plane.width].copy_from_slice(line(row));
        }
        let sums = &mut sums[..plane.width + 2];
        if self.half_down {
            let near = row / 2;
            let far =
                if row.is_multiple_of(2) { near.saturating_sub(1) } else { (near + 1).min(plane.height - 1) };
            for ((sum, near), far) in sums[1..].iter_mut().zip(line(near)).zip(line(far)) {
                *sum = 3 * u16::from(*near) + u16::from(*far);
            }
        } else {
            sums[1..].iter_mut().zip(line(row)).for_each(|(sum, near)| *sum = u16::from(*near));
        }
        (sums[0], sums[plane.width + 1]) = (sums[1], sums[plane.width]);
        // Three quarters of the nearer sample and one quarter of the farther one. The rounding term before
        // the shift alternates, so that rounding errors average out.
        let (shift, even, odd) = if self.half_down { (4, 8, 7) } else { (2, 1, 2) };
        let pairs = up.as_chunks_mut::<2>().0.iter_mut();
        for (((before, this), after), pair) in sums.iter().zip(&sums[1..]).zip(&sums[2..]).zip(pairs) {
            *pair = [((3 * this + before + even) >> shift) as u8, ((3 * this + after + odd) >> shift) as u8];
        }
    }
}

impl pulp::WithSimd for &Ycc {
    type Output = Vec<u8>;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) -> Vec<u8> {
        let (width, height) = (self.luma.width, self.luma.height);
        let room = (width + 1).next_multiple_of(LANES);
        let [mut luma, mut blue, mut red] = [const { Vec::new() }; 3].map(|mut line: Vec<u8>| {
            line.resize(room, 0);
            line
        });
        let (mut sums, mut rgb) = (vec![0; self.blue.width + 2], vec![0; room * 3]);
        let mut out = Vec::with_capacity(width * height * 3);
        for row in 0..height {
            luma[..width].copy_from_slice(&self.luma.samples[row * self.luma.stride..][..width]);
            self.upsample(&self.blue, row, &mut sums, &mut blue);
            self.upsample(&self.red, row, &mut sums, &mut red);
            let lanes =
                luma.as_chunks::<LANES>().0.iter().zip(blue.as_chunks::<LANES>().0).zip(red.as_chunks().0);
            for (((luma, blue), red), rgb) in lanes.zip(rgb.as_chunks_mut::<{ 3 * LANES }>().0) {
                convert(luma, blue, red, rgb);
            }
            out.extend_from_slice(&rgb[..width * 3]);
        }
        out
    }
}

/// ITU-R BT.601 over the full range (JFIF), in 16 fractional bits.
#[inline(always)]
fn convert(luma: &[u8; LANES], blue: &[u8; LANES], red: &[u8; LANES], rgb: &mut [u8; 3 * LANES]) {
    let (mut r, mut g, mut b) = ([0_u8; LANES], [0_u8; LANES], [0_u8; LANES]);
    for i in 0..LANES {
        let (y, cb, cr) = (i32::from(luma[i]), i32::from(blue[i]) - 128, i32::from(red[i]) - 128);
        r[i] = (y + ((91_881 * cr + 32_768) >> 16)).clamp(0, 255) as u8;
        g[i] = (y + ((32_768 - 22_554 * cb - 46_802 * cr) >> 16)).clamp(0, 255) as u8;
        b[i] = (y + ((116_130 * cb + 32_768) >> 16)).clamp(0, 255) as u8;
    }
    for i in 0..LANES {
        (rgb[3 * i], rgb[3 * i + 1], rgb[3 * i + 2]) = (r[i], g[i], b[i]);
    }
}
