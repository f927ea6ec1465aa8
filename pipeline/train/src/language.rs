//! Language-modelling loss (BLIP, section 3.2: LM): each token is predicted from the tokens before it and the
//! image.

use capfilt_blip::{
    cross_attention::ImageKeys,
    heads::LmHead,
    text::{TextCache, TextTower},
};
use tch::{Reduction, TchError, Tensor};

use crate::texts::TextRows;

/// Label of tokens that are not predicted: padding and prompt.
pub(crate) const IGNORED: i64 = -100;

/// Cross-entropy with label smoothing, mean over the predicted tokens, which include `[SEP]`.
///
/// `texts` start with `[DEC]`. The first `given` ids of a row (`[DEC]` and the prompt) are not predicted.
/// Padding is at the end, where the causal mask hides it.
pub fn language(
    decoder: &TextTower,
    head: &LmHead,
    texts: &TextRows,
    keys: &ImageKeys,
    given: i64,
    smoothing: f64,
) -> Result<Tensor, TchError> {
    let width = texts.ids.size2()?.1;
    let states =
        decoder.decode_step(&texts.ids.f_narrow(1, 0, width - 1)?, &mut TextCache::default(), keys)?;
    let logits = head.words(&states)?; // (rows, width − 1, vocabulary)
    let mut labels = texts.ids.f_masked_fill(&texts.mask.f_eq(0)?, IGNORED)?;
    let _ = labels.f_narrow(1, 0, given.clamp(1, width))?.f_fill_(IGNORED)?;
    labels = labels.f_narrow(1, 1, width - 1)?.f_reshape([-1])?;
    let logits = logits.f_flatten(0, 1)?;
    logits.f_cross_entropy_loss(&labels, None::<Tensor>, Reduction::Mean, IGNORED, smoothing)
}
