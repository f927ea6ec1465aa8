//! Image-text matching loss (BLIP, section 3.2: ITM): every pair, and two hard negatives of it that are
//! similar but do not match.

use capfilt_blip::{cross_attention::ImageKeys, heads::ItmHead, text::TextTower};
use tch::{Kind, Reduction, TchError, Tensor};

use crate::{
    contrast::Contrast,
    texts::{RandomWords, TextRows},
};

/// For each pair of a batch, the image and the text of the batch that replace its own ones as negatives.
pub struct Negatives {
    /// (pairs), int64: an image for each text
    pub image: Tensor,
    /// (pairs), int64: a text for each image
    pub text: Tensor,
}

impl Negatives {
    /// Samples hard negatives from the softmax of the contrastive similarities within the batch.
    ///
    /// Pre-training adds 1e-4 and excludes only the pair itself. Fine-tuning excludes every entry with the
    /// same image id and adds nothing, so that all probabilities of a row can underflow to 0. Such a row is
    /// sampled uniformly.
    pub fn draw(contrast: &Contrast, ids: Option<&Tensor>) -> Result<Self, TchError> {
        let pairs = contrast.image_to_text.size()[0];
        let device = contrast.image_to_text.device();
        let same = match ids {
            Some(ids) => ids.f_unsqueeze(1)?.f_eq_tensor(&ids.f_unsqueeze(0)?)?,
            None => Tensor::f_eye(pairs, (Kind::Bool, device))?,
        };
        let other = Tensor::f_eye(pairs, (Kind::Bool, device))?.f_logical_not()?;
        let draw = |similarity: &Tensor| {
            let likeness = similarity.f_narrow(1, 0, pairs)?.f_detach()?.f_softmax(1, Kind::Float)?;
            let likeness = if ids.is_none() { likeness.f_add_scalar(1e-4)? } else { likeness };
            let likeness = likeness.f_nan_to_num(0.0, 0.0, 0.0)?.f_masked_fill(&same, 0.0)?;
            // A row of zeros: uniform over entries with another id or, if there are none of these, over all
            // other pairs.
            let evenly = same.f_logical_not()?.f_to_kind(Kind::Float)?.f_mul_scalar(1e-12)?;
            let evenly = evenly.f_add(&other.f_to_kind(Kind::Float)?.f_mul_scalar(1e-24)?)?;
            likeness.f_add(&evenly)?.f_multinomial(1, true)?.f_squeeze_dim(1)
        };
        Ok(Self { image: draw(&contrast.text_to_image)?, text: draw(&contrast.image_to_text)? })
    }
}

/// Loss of a batch: cross-entropy of `[pairs match, 2 × pairs do not]`, mean over all three.
///
/// `texts` start with `[ENC]`; `keys` are the encoder's keys of the batch's images. Negative texts get
/// `random` words; without these the loss is the paper's.
pub fn matching(
    encoder: &TextTower,
    head: &ItmHead,
    texts: &TextRows,
    keys: &ImageKeys,
    negatives: &Negatives,
    random: Option<&RandomWords>,
) -> Result<Tensor, TchError> {
    let pairs = texts.ids.size()[0];
    let device = texts.ids.device();
    let own = Tensor::f_arange(pairs, (Kind::Int64, device))?;
    let images = Tensor::f_cat(&[&own, &negatives.image, &own], 0)?;
    let chosen = Tensor::f_cat(&[&own, &own, &negatives.text], 0)?;
    let texts = texts.select(&chosen)?;
    let texts = match random {
        Some(words) => texts.with_random_words(2 * pairs, words)?,
        None => texts,
    };
    let logits =
        head.forward(&encoder.encode_with_image(&texts.ids, &texts.mask, &keys.select(&images)?)?)?;
    let labels = Tensor::f_cat(
        &[
            Tensor::f_ones([pairs], (Kind::Int64, device))?,
            Tensor::f_zeros([2 * pairs], (Kind::Int64, device))?,
        ],
        0,
    )?;
    logits.f_cross_entropy_loss(&labels, None::<Tensor>, Reduction::Mean, -100, 0.0)
}
