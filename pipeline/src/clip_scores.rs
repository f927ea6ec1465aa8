//! CLIP scores of the images of one model call: every image is encoded once, and each text when it is known.

use crate::{
    frames::Frames,
    judging::{Judging, Target},
    model::{DualEncoder, ModelError, PixelBatch, clip_score},
    prepare::PreparedImage,
};

/// A CLIP with the vectors of the images of one model call. Memory: the vectors, 2 kB per image with 512
/// numbers.
pub(crate) struct ClipScores<'a> {
    model: &'a mut dyn DualEncoder,
    images: Vec<Vec<f32>>,
}

impl<'a> ClipScores<'a> {
    /// Encodes the images.
    pub fn of<'b>(
        model: &'a mut dyn DualEncoder,
        images: impl ExactSizeIterator<Item = &'b PreparedImage>,
    ) -> Result<Self, ModelError> {
        let pixels = PixelBatch::of(model.square().side, Frames::ONE, images.map(|image| &image.clip_u8[..]));
        let images = model.images(&pixels)?;
        Ok(Self { model, images })
    }

    /// Scores the texts that have no score so far. CLIP reads the row's texts unchanged, not as they are
    /// cleaned for the filter: its score is compared between programs.
    pub fn add(&mut self, judging: &mut [Judging]) -> Result<(), ModelError> {
        let of = |(image, judging): (usize, &Judging)| -> Vec<(usize, Target, String)> {
            judging.without_clip().into_iter().map(|(at, text)| (image, at, text.to_owned())).collect()
        };
        let texts: Vec<(usize, Target, String)> = judging.iter().enumerate().flat_map(of).collect();
        let words: Vec<&str> = texts.iter().map(|(.., text)| text.as_str()).collect();
        let vectors = self.model.texts(&words, judging.len())?;
        assert_eq!(vectors.len(), texts.len(), "the model encodes every text that it receives");
        for ((image, at, _), vector) in texts.iter().zip(&vectors) {
            judging[*image].set_clip(*at, clip_score(&self.images[*image], vector));
        }
        Ok(())
    }
}
