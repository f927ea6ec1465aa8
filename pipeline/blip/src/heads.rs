//! The three heads (BLIP, section 3.2): matching (ITM), contrastive (ITC), language model (LM); and the
//! classifier of statements about two images (section 5.4).

use tch::{Kind, TchError, Tensor};

use crate::{
    config::MedConfig,
    dense::Dense,
    layers::{LayerNorm, Linear, widened},
    weights::Path,
};

/// Image-text matching: two logits, match or no match.
pub struct ItmHead(Dense);

impl ItmHead {
    /// Loads the weights below `path`.
    pub fn load(path: &Path<'_>, config: &MedConfig) -> Self {
        Self(Dense::load_head(&path.sub("itm_head"), config.text.hidden_size, 2))
    }

    /// Multimodal states (rows, tokens, d) -> logits (rows, 2) in f32; component 1 means "match".
    pub fn forward(&self, states: &Tensor) -> Result<Tensor, TchError> {
        widened(&self.0.forward(&states.f_select(1, 0)?)?)
    }
}

/// Classifier of statements about a pair of images: two logits, false or true.
pub struct ClsHead {
    hidden: Dense,
    output: Dense,
}

impl ClsHead {
    /// Loads the weights below `path`.
    pub fn load(path: &Path<'_>, config: &MedConfig) -> Self {
        let (path, d) = (path.sub("cls_head"), config.text.hidden_size);
        Self { hidden: Dense::load_head(&path.at(0), d, d), output: Dense::load_head(&path.at(2), d, 2) }
    }

    /// Multimodal states (rows, tokens, d) -> logits (rows, 2) in f32; component 1 means "true".
    pub fn forward(&self, states: &Tensor) -> Result<Tensor, TchError> {
        let hidden = self.hidden.forward(&states.f_select(1, 0)?)?.f_relu()?;
        widened(&self.output.forward(&hidden)?)
    }
}

/// Image-text contrast: projections of both modalities to one space of unit vectors.
pub struct ItcHead {
    vision: Dense,
    text: Dense,
}

impl ItcHead {
    /// Loads the weights below `path`.
    pub fn load(path: &Path<'_>, config: &MedConfig) -> Self {
        Self {
            vision: Dense::load_head(&path.sub("vision_proj"), config.vision.hidden_size, config.projection),
            text: Dense::load_head(&path.sub("text_proj"), config.text.hidden_size, config.projection),
        }
    }

    /// Image states (images, frames · tokens, d) -> unit vectors (images, projection) in f32: of a clip, the
    /// mean of the projections of its frames, normalised.
    pub fn image_features(&self, states: &Tensor, frames: i64) -> Result<Tensor, TchError> {
        if frames == 1 {
            return unit(&self.vision.forward(&states.f_select(1, 0)?)?);
        }
        let (clips, tokens, d) = states.size3()?;
        let first = states.f_view([clips * frames, tokens / frames, d])?.f_select(1, 0)?;
        let projected = widened(&self.vision.forward(&first)?)?.f_view([clips, frames, -1])?;
        unit(&projected.f_mean_dim([1_i64].as_slice(), false, None::<Kind>)?)
    }

    /// Unimodal text states (rows, tokens, d) -> unit vectors (rows, projection) in f32.
    pub fn text_features(&self, states: &Tensor) -> Result<Tensor, TchError> {
        unit(&self.text.forward(&states.f_select(1, 0)?)?)
    }
}

/// `x / |x|` over the last axis, in f32: a cosine in bf16 has only two digits.
fn unit(xs: &Tensor) -> Result<Tensor, TchError> {
    let xs = widened(xs)?;
    let norm = xs.f_norm_scalaropt_dim(2.0, [-1], true)?.f_clamp_min(1e-12)?;
    xs.f_div(&norm)
}

/// The language-model head: a dense layer, then one logit per token of the vocabulary.
pub struct LmHead {
    dense: Dense,
    norm: LayerNorm,
    decoder: Dense,
}

impl LmHead {
    /// `path` is `text_decoder.cls.predictions`. Files differ in the tied tensors that they store: the bias
    /// has two names, and the decoder's weight may be missing, as it equals the token embedding.
    pub fn load(path: &Path<'_>, config: &MedConfig, words: &Tensor) -> Self {
        let (d, vocabulary) = (config.text.hidden_size, config.text.vocab_size);
        let transform = path.sub("transform");
        let bias = if path.has("bias") || !path.has("decoder.bias") { "bias" } else { "decoder.bias" };
        let bias = path.take(bias, &[vocabulary]);
        path.forget("decoder.bias");
        let weight = if path.has("decoder.weight") {
            path.take("decoder.weight", &[vocabulary, d])
        } else {
            words.shallow_clone()
        };
        Self {
            dense: Dense::load_head(&transform.sub("dense"), d, d),
            norm: LayerNorm::load(&transform.sub("LayerNorm"), d, config.text.layer_norm_eps),
            decoder: Dense::new(path, Linear { weight, bias }),
        }
    }

    /// Decoder states (rows, tokens, d) -> logits of the token after the last one (rows, vocabulary), in f32.
    pub fn next_word(&self, states: &Tensor) -> Result<Tensor, TchError> {
        self.words(&states.f_select(1, -1)?)
    }

    /// Decoder states (…, d) -> logits of the next token after each state (…, vocabulary), in f32.
    pub fn words(&self, states: &Tensor) -> Result<Tensor, TchError> {
        widened(&self.decoder.forward(&self.norm.forward(&self.dense.activated(states)?)?)?)
    }
}
