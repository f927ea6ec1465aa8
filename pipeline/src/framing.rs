//! The square that a model sees of an image.

/// The squares that a model takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Square {
    /// Side in pixels.
    pub side: usize,
    /// Way from an image to the square.
    pub framing: Framing,
}

/// Way from an image to a square.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// The whole image is resized to the square; its proportions change. BLIP.
    Squash,
    /// The image is resized until its shorter edge has `edge` pixels, at least the side, and the square is
    /// cut out of the centre; the proportions remain. CLIP.
    Crop {
        /// Length of the shorter edge in pixels.
        edge: usize,
        /// Position of the square.
        centre: Centre,
    },
}

/// First pixel of a centred square if the margins cannot be equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Centre {
    /// Half of both margins, rounded down: transformers.
    RoundedDown,
    /// Half of both margins, rounded to the nearest even number: torchvision's transforms, in OpenCLIP.
    HalfToEven,
}

/// A resized image, of which only a square is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Size of the whole resized image in pixels.
    pub width: usize,
    pub height: usize,
    /// First column and row of the square.
    pub left: usize,
    pub top: usize,
    /// Side of the square.
    pub side: usize,
}

impl Square {
    /// Length in pixels of the shorter edge of the resized image.
    pub fn shorter_edge(self) -> usize {
        match self.framing {
            Framing::Squash => self.side,
            Framing::Crop { edge, .. } => edge,
        }
    }

    /// The frame of an image of this size; both sides are above 0.
    pub(crate) fn frame(self, width: usize, height: usize) -> Frame {
        let side = self.side;
        match self.framing {
            Framing::Squash => Frame { width: side, height: side, left: 0, top: 0, side },
            Framing::Crop { edge, centre } => {
                let longer = |long: usize, short: usize| edge * long / short;
                let (width, height) = match width <= height {
                    true => (edge, longer(height, width)),
                    false => (longer(width, height), edge),
                };
                let first = |length: usize| centre.first(length.saturating_sub(side));
                Frame { width, height, left: first(width), top: first(height), side }
            }
        }
    }
}

impl Centre {
    /// First pixel, for the sum of both margins.
    fn first(self, margins: usize) -> usize {
        let half = margins / 2;
        match self {
            Self::HalfToEven if margins % 2 == 1 && half % 2 == 1 => half + 1,
            _ => half,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(size: (usize, usize), edge: usize, centre: Centre) -> Frame {
        Square { side: 224, framing: Framing::Crop { edge, centre } }.frame(size.0, size.1)
    }

    #[test]
    fn the_shorter_edge_is_resized_and_the_longer_one_is_cut_on_both_sides() {
        let of = |size| frame(size, 224, Centre::RoundedDown);
        assert_eq!(of((640, 480)), Frame { width: 298, height: 224, left: 37, top: 0, side: 224 });
        assert_eq!(of((480, 640)), Frame { width: 224, height: 298, left: 0, top: 37, side: 224 });
        assert_eq!(of((7, 7)), Frame { width: 224, height: 224, left: 0, top: 0, side: 224 });
        let larger = frame((640, 480), 256, Centre::RoundedDown);
        assert_eq!(larger, Frame { width: 341, height: 256, left: 58, top: 16, side: 224 });
    }

    #[test]
    fn an_odd_margin_is_halved_as_python_does() {
        for (margins, down, even) in [(0, 0, 0), (1, 0, 0), (2, 1, 1), (3, 1, 2), (5, 2, 2), (7, 3, 4)] {
            assert_eq!(Centre::RoundedDown.first(margins), down);
            assert_eq!(Centre::HalfToEven.first(margins), even, "{margins}");
        }
    }
}
