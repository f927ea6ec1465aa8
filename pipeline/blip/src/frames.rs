//! Matching of texts with clips, frame by frame or by the tokens of all frames.

use capfilt_pipeline::frames::Frames;
use capfilt_schemas::settings::FrameMatching;
use tch::{TchError, Tensor};

use crate::text_batch::TextBatch;

/// Inputs of the matching head: rows of texts, ordered by image, and the states of the images.
pub struct SplitInputs {
    /// (images, tokens, d): an image for each frame of each clip, or for each clip.
    pub states: Tensor,
    /// The texts of each image.
    pub texts: TextBatch,
}

/// Splitting of clips into images before matching, and joining of the values after it.
pub trait SplitFrames {
    /// Inputs for clip states (clips, frames · tokens, d) and texts, with the same number for each clip.
    ///
    /// # Errors
    /// States and texts that do not fit, and not enough memory.
    fn split(&self, states: &Tensor, texts: &TextBatch) -> Result<SplitInputs, TchError>;

    /// Values (clips · texts) of values of the split inputs, with `texts` texts for each clip.
    ///
    /// # Errors
    /// Values that are not those of split inputs.
    fn join(&self, values: &Tensor, texts: i64) -> Result<Tensor, TchError>;
}

impl SplitFrames for Frames {
    fn split(&self, states: &Tensor, texts: &TextBatch) -> Result<SplitInputs, TchError> {
        let Some(frames) = split_into(*self) else {
            let texts = TextBatch { ids: texts.ids.shallow_clone(), mask: texts.mask.shallow_clone() };
            return Ok(SplitInputs { states: states.shallow_clone(), texts });
        };
        let (clips, tokens, d) = states.size3()?;
        // (clips · texts, length) -> (clips · frames · texts, length)
        let for_each = |rows: &Tensor| {
            let (all, length) = rows.size2()?;
            let rows = rows.f_view([clips, 1, all / clips.max(1), length])?;
            rows.f_expand([clips, frames, all / clips.max(1), length], false)?.f_reshape([-1, length])
        };
        let texts = TextBatch { ids: for_each(&texts.ids)?, mask: for_each(&texts.mask)? };
        Ok(SplitInputs { states: states.f_reshape([clips * frames, tokens / frames, d])?, texts })
    }

    fn join(&self, values: &Tensor, texts: i64) -> Result<Tensor, TchError> {
        let Some(frames) = split_into(*self) else { return Ok(values.shallow_clone()) };
        let of_frames = values.f_reshape([-1, frames, texts])?;
        let joined = match self.matching {
            FrameMatching::Mean => of_frames.f_mean_dim([1_i64].as_slice(), false, None::<tch::Kind>)?,
            FrameMatching::Max | FrameMatching::Tokens => of_frames.f_amax([1_i64].as_slice(), false)?,
        };
        joined.f_reshape([-1])
    }
}

/// Number of images of each clip; `None` if a clip is matched as a whole.
fn split_into(frames: Frames) -> Option<i64> {
    let is_whole = frames.count == 1 || frames.matching == FrameMatching::Tokens;
    (!is_whole).then_some(frames.count as i64)
}
