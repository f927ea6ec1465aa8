//! Loss of statements about pairs of images (BLIP, section 5.4).

use capfilt_blip::{heads::ClsHead, pair_text::PairTextTower};
use tch::{Reduction, TchError, Tensor};

use crate::texts::TextRows;

/// Mean cross-entropy of the classifier. Source: models/blip_nlvr.py of the published code.
///
/// `statements` start with `[ENC]`, one row per pair; `states` (2 × pairs, tokens, width) are those of all
/// first images and then of all second ones; `labels` (pairs) are 1 for true.
pub fn judging(
    encoder: &PairTextTower,
    head: &ClsHead,
    statements: &TextRows,
    states: &Tensor,
    labels: &Tensor,
) -> Result<Tensor, TchError> {
    let pairs = labels.size1()?;
    let pair = [states.f_narrow(0, 0, pairs)?, states.f_narrow(0, pairs, pairs)?];
    // Training projects the keys of each image, as the absorbed form is for inference.
    let keys = encoder.pair_keys(pair.each_ref(), i64::MAX)?;
    let logits = head.forward(&encoder.encode_with_pair(&statements.ids, &statements.mask, &keys)?)?;
    logits.f_cross_entropy_loss(labels, None::<Tensor>, Reduction::Mean, -100, 0.0)
}
