//! The text encoder: each token sees the tokens before it, and the state of the end is the text's.

use tch::{Kind, TchError, Tensor};

use super::{
    config::ClipConfig,
    transformer::Transformer,
    vision::{projection, unit_vectors},
};
use crate::{layers::LayerNorm, weights::Path};

/// Computes one vector per text.
pub(super) struct ClipText {
    words: Tensor,     // (vocabulary, d)
    positions: Tensor, // (positions, d)
    blocks: Transformer,
    norm: LayerNorm,
    projection: Tensor, // (projection, d)
}

impl ClipText {
    /// Takes the encoder's tensors.
    pub fn load(root: &Path<'_>, config: &ClipConfig) -> Self {
        let d = config.text.width;
        let path = root.sub("text_model");
        let embeddings = path.sub("embeddings");
        Self {
            words: embeddings.take("token_embedding.weight", &[config.vocab_size, d]),
            positions: embeddings.take("position_embedding.weight", &[config.positions, d]),
            blocks: Transformer::load(&path.sub("encoder"), &config.text),
            norm: LayerNorm::load(&path.sub("final_layer_norm"), d, config.text.eps),
            projection: projection(root, "text_projection", config.projection, d),
        }
    }

    /// `ids` (texts, tokens) int64, padded at the end with any ids; `ends` (texts) int64: position of each
    /// text's end. The result has unit vectors (texts, projection) in f32. No token before the end sees the
    /// padding, so the padding changes nothing.
    pub fn forward(&self, ids: &Tensor, ends: &Tensor) -> Result<Tensor, TchError> {
        let (texts, tokens) = ids.size2()?;
        let words = Tensor::f_embedding(&self.words, ids, -1, false, false)?;
        let xs = words.f_add(&self.positions.f_narrow(0, 0, tokens)?)?;
        let before = Tensor::f_ones([tokens, tokens], (Kind::Bool, ids.device()))?.f_tril(0)?;
        let xs = self.blocks.forward(xs, Some(&before))?;
        let d = xs.size3()?.2;
        let ends = ends.f_reshape([texts, 1, 1])?.f_expand([texts, 1, d], false)?;
        let states = xs.f_gather(1, &ends, false)?.f_reshape([texts, d])?;
        unit_vectors(&self.norm.forward(&states)?, &self.projection)
    }
}
