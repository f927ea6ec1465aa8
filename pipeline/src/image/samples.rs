//! Conversion of rows of samples of any depth and colour model to RGB, by Pillow's integer rules.

/// Byte order of samples of more than a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ByteOrder {
    Big,
    Little,
}

impl ByteOrder {
    pub(super) fn u16(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::Big => u16::from_be_bytes(bytes),
            Self::Little => u16::from_le_bytes(bytes),
        }
    }

    pub(super) fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Big => u32::from_be_bytes(bytes),
            Self::Little => u32::from_le_bytes(bytes),
        }
    }
}

/// Storage of a sample, and its conversion to a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// 1, 2 or 4 bits, highest bits of a byte first.
    Packed(u32),
    Byte,
    /// 16 bits, of which the high byte is kept: colours, and grey with alpha.
    High(ByteOrder),
    /// Grey of more bits is clipped to 0 and 255 instead of scaled, so that nearly all of it is white. Pillow
    /// does the same, so the model was trained with it.
    Clipped(Number),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    /// 12 bits: two samples in three bytes, highest bits first.
    U12,
    U16(ByteOrder),
    I16(ByteOrder),
    I32(ByteOrder),
    F32(ByteOrder),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Colours {
    Grey {
        is_inverted: bool,
    },
    Rgb,
    /// Red, green and blue are multiplied with the alpha that follows them.
    Premultiplied,
    /// CMYK without a profile; 255 is full ink.
    Cmyk,
    /// Indices; an index beyond the palette is black.
    Palette(Vec<[u8; 3]>),
}

/// Meaning of the samples of a row. Samples of a pixel that [`Colours`] does not name (usually alpha) are
/// dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    pub depth: Depth,
    pub samples_per_pixel: usize,
    pub colours: Colours,
}

impl Layout {
    pub(super) fn bits_per_sample(&self) -> usize {
        match self.depth {
            Depth::Packed(bits) => bits as usize,
            Depth::Byte => 8,
            Depth::Clipped(Number::U12) => 12,
            Depth::High(_) | Depth::Clipped(Number::U16(_) | Number::I16(_)) => 16,
            Depth::Clipped(Number::I32(_) | Number::F32(_)) => 32,
        }
    }

    /// Length in bytes of a row of `width` pixels.
    pub(super) fn row_bytes(&self, width: usize) -> usize {
        (width * self.samples_per_pixel * self.bits_per_sample()).div_ceil(8)
    }

    /// Whether a stored row is already a row of RGB.
    pub(super) fn is_rgb(&self) -> bool {
        (self.depth, self.samples_per_pixel, &self.colours) == (Depth::Byte, 3, &Colours::Rgb)
    }

    /// (width, samples of any depth) -> (width, 3). The length of `rgb` gives the width; `bytes` is a
    /// reusable buffer.
    pub(super) fn to_rgb(&self, row: &[u8], rgb: &mut [u8], bytes: &mut Vec<u8>) {
        if self.depth == Depth::Byte {
            return self.combine(row, rgb);
        }
        bytes.clear();
        self.to_bytes(row, rgb.len() / 3 * self.samples_per_pixel, bytes);
        self.combine(bytes, rgb);
    }

    /// (samples of any depth) -> (samples, one byte each)
    fn to_bytes(&self, row: &[u8], samples: usize, bytes: &mut Vec<u8>) {
        match self.depth {
            Depth::Packed(bits) => {
                let highest = (1 << bits) - 1;
                let scale = if matches!(self.colours, Colours::Palette(_)) { 1 } else { 255 / highest };
                let shifts = (0..8 / bits).rev().map(|place| place * bits);
                let values = row.iter().flat_map(|byte| {
                    let byte = u32::from(*byte);
                    shifts.clone().map(move |shift| ((byte >> shift & highest) * scale) as u8)
                });
                bytes.extend(values.take(samples));
            }
            Depth::Byte => bytes.extend(&row[..samples]),
            Depth::High(order) => {
                bytes.extend(row.as_chunks().0.iter().map(|pair| (order.u16(*pair) >> 8) as u8));
            }
            Depth::Clipped(number) => number.clip(row, samples, bytes),
        }
    }

    /// (width, samples, one byte each) -> (width, 3)
    fn combine(&self, samples: &[u8], rgb: &mut [u8]) {
        if self.is_rgb() {
            return rgb.copy_from_slice(&samples[..rgb.len()]);
        }
        let pixels = samples.chunks_exact(self.samples_per_pixel).zip(rgb.as_chunks_mut().0);
        match &self.colours {
            Colours::Grey { is_inverted } => {
                let flip = if *is_inverted { 255 } else { 0 };
                pixels.for_each(|(pixel, to)| *to = [pixel[0] ^ flip; 3]);
            }
            Colours::Rgb => pixels.for_each(|(pixel, to)| *to = [pixel[0], pixel[1], pixel[2]]),
            Colours::Premultiplied => pixels.for_each(|(pixel, to)| {
                *to = [pixel[0], pixel[1], pixel[2]].map(|colour| divided(colour, pixel[3]));
            }),
            Colours::Cmyk => pixels.for_each(|(pixel, to)| {
                *to = [pixel[0], pixel[1], pixel[2]].map(|ink| light(ink, pixel[3]));
            }),
            Colours::Palette(palette) => pixels.for_each(|(pixel, to)| {
                *to = palette.get(usize::from(pixel[0])).copied().unwrap_or([0; 3]);
            }),
        }
    }
}

impl Number {
    fn clip(self, row: &[u8], samples: usize, bytes: &mut Vec<u8>) {
        match self {
            Self::U12 => bytes.extend((0..samples).map(|at| {
                let (first, second) =
                    (u16::from(row[at * 3 / 2]), row.get(at * 3 / 2 + 1).copied().map_or(0, u16::from));
                let value = if at % 2 == 0 { first << 4 | second >> 4 } else { (first & 15) << 8 | second };
                value.min(255) as u8
            })),
            Self::U16(order) => {
                bytes.extend(row.as_chunks().0.iter().map(|pair| order.u16(*pair).min(255) as u8))
            }
            Self::I16(order) => {
                let clip = |pair: &[u8; 2]| (order.u16(*pair) as i16).clamp(0, 255) as u8;
                bytes.extend(row.as_chunks().0.iter().map(clip));
            }
            Self::I32(order) => {
                let clip = |four: &[u8; 4]| (order.u32(*four) as i32).clamp(0, 255) as u8;
                bytes.extend(row.as_chunks().0.iter().map(clip));
            }
            // A cast saturates and drops the fraction; NaN becomes 0.
            Self::F32(order) => {
                bytes.extend(row.as_chunks().0.iter().map(|four| f32::from_bits(order.u32(*four)) as u8));
            }
        }
    }
}

/// (pixels) -> (pixels, 3)
pub(super) fn grey_to_rgb(samples: impl IntoIterator<Item = u8>) -> Vec<u8> {
    samples.into_iter().flat_map(|grey| [grey; 3]).collect()
}

/// Divides a colour by its alpha.
fn divided(colour: u8, alpha: u8) -> u8 {
    match u32::from(alpha) {
        0 => 0,
        alpha => (u32::from(colour) * 255 / alpha).min(255) as u8,
    }
}

/// Converts ink to light.
pub(super) fn light(ink: u8, black: u8) -> u8 {
    let paper = 255 - black;
    paper - scale(ink, paper)
}

/// a × b / 255, rounded to nearest, without a division.
fn scale(a: u8, b: u8) -> u8 {
    let product = u32::from(a) * u32::from(b) + 128;
    (((product >> 8) + product) >> 8) as u8
}
