//! Cross-attention of a statement to a pair of images (BLIP, section 5.4): one attention per image. The
//! outputs of the two are averaged in lower layers, and concatenated and projected (merged) in upper layers.

use tch::{TchError, Tensor};

use crate::{
    config::TextConfig,
    cross_attention::{ImageAttention, ImageKeys},
    dense::Dense,
    layers::{Dropout, LayerNorm},
    weights::Path,
};

/// Cross-attention block of a text layer that reads two images.
pub struct TwinAttention {
    /// Attention to the first and to the second image.
    pub(crate) attentions: [ImageAttention; 2],
    outputs: [Dense; 2],
    /// Projection of both outputs, (d, 2 d); without it they are averaged.
    merge: Option<Dense>,
    norm: LayerNorm,
    dropout: Dropout,
}

impl TwinAttention {
    /// Loads the weights below `path`; `merges`: the two outputs are merged and not averaged.
    pub fn load(path: &Path<'_>, config: &TextConfig, image_width: i64, merges: bool) -> Self {
        let (d, output) = (config.hidden_size, path.sub("output"));
        let attention = |name: &str| ImageAttention::load(&path.sub(name), config, image_width);
        let dense = |name: &str| Dense::load(&output.sub(name), d, d);
        Self {
            attentions: [attention("self0"), attention("self1")],
            outputs: [dense("dense0"), dense("dense1")],
            merge: merges.then(|| Dense::load(&output.sub("merge_layer"), 2 * d, d)),
            norm: LayerNorm::load(&output.sub("LayerNorm"), d, config.layer_norm_eps),
            dropout: Dropout::default(),
        }
    }

    /// Sets dropout of both attentions and of the residual branch.
    pub(crate) fn set_dropout(&mut self, dropout: Dropout) {
        self.attentions.iter_mut().for_each(|attention| attention.dropout = dropout);
        self.dropout = dropout;
    }

    /// Computes (rows, tokens, d) -> (rows, tokens, d). `layer` is the index of this layer in its tower.
    pub fn forward(&self, xs: &Tensor, pair: &[ImageKeys; 2], layer: usize) -> Result<Tensor, TchError> {
        let output = |i: usize| self.outputs[i].forward(&self.attentions[i].context(xs, &pair[i], layer)?);
        let (first, second) = (output(0)?, output(1)?);
        let both = match &self.merge {
            Some(merge) => merge.forward(&Tensor::f_cat(&[first, second], -1)?)?,
            None => first.f_add(&second)?.f_mul_scalar(0.5)?,
        };
        self.norm.forward(&xs.f_add(&self.dropout.forward(both)?)?)
    }
}
