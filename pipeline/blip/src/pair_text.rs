//! The text encoder of a statement about a pair of images (BLIP, section 5.4).

use tch::{TchError, Tensor};

use crate::{
    config::TextConfig,
    cross_attention::{ImageAttention, ImageKeys},
    layers::Dropout,
    text::TextTower,
    twin_attention::TwinAttention,
    weights::Path,
};

/// A text encoder whose layers attend to two images.
pub type PairTextTower = TextTower<TwinAttention>;

/// First of `layers` layers that merges the outputs of its two attentions: 6 of 12 in BLIP.
pub fn first_merged(layers: i64) -> i64 {
    layers / 2
}

/// First layer that merges in a checkpoint. From this layer on, every layer merges, and the last layer always
/// does, so that a checkpoint that has lost such a tensor is refused.
pub(crate) fn first_stored(path: &Path<'_>, layers: i64) -> i64 {
    let merges = |i: &i64| {
        let output = path.sub("encoder").sub("layer").at(*i).sub("crossattention").sub("output");
        output.has("merge_layer.weight") || output.has("merge_layer.bias")
    };
    (0..layers).find(merges).unwrap_or(layers - 1)
}

impl TextTower<TwinAttention> {
    /// Takes the tower's tensors; layers from `first_merged` on merge the outputs of their two attentions.
    pub fn load_twin(path: &Path<'_>, config: &TextConfig, image_width: i64, first_merged: i64) -> Self {
        Self::with_cross_attention(path, config, |i, path| {
            TwinAttention::load(path, config, image_width, i >= first_merged)
        })
    }

    /// Sets dropout of embeddings, attention and residual branches, for training.
    pub fn set_dropout_of_twins(&mut self, dropout: Dropout) {
        self.set_dropout_by(dropout, TwinAttention::set_dropout);
    }

    /// Keys of the states (pairs, image tokens, image width) of the first and of the second images, for up to
    /// `queries` tokens per statement.
    pub fn pair_keys(&self, states: [&Tensor; 2], queries: i64) -> Result<[ImageKeys; 2], TchError> {
        let keys = |i: usize| {
            let attentions: Vec<&ImageAttention> =
                self.cross_attentions().map(|twin| &twin.attentions[i]).collect();
            match attentions.first() {
                Some(first) if queries < first.of_head() => first.keep(states[i]),
                _ => {
                    let project = |attention: &&ImageAttention| attention.project(states[i]);
                    Ok(ImageKeys::Projected(attentions.iter().map(project).collect::<Result<_, TchError>>()?))
                }
            }
        };
        Ok([keys(0)?, keys(1)?])
    }

    /// Image-grounded encoder of statements: `ids` (pairs, tokens) int64 -> (pairs, tokens, d). `mask` is as
    /// in [`TextTower::encode_text`].
    pub fn encode_with_pair(
        &self,
        ids: &Tensor,
        mask: &Tensor,
        pair: &[ImageKeys; 2],
    ) -> Result<Tensor, TchError> {
        self.encode_by(ids, mask, |twin, xs, i| twin.forward(&xs, pair, i))
    }
}
