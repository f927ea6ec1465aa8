//! The transformer of both encoders: pre-norm blocks.

use tch::{TchError, Tensor};

use super::config::{Activation, TowerConfig};
use crate::{
    dense::Dense,
    layers::{Dropout, LayerNorm, Linear, attend, join_heads},
    weights::Path,
};

/// Blocks of an encoder.
pub(super) struct Transformer(Vec<Block>);

struct Block {
    norm1: LayerNorm,
    qkv: Dense,
    output: Dense,
    norm2: LayerNorm,
    fc1: Dense,
    fc2: Dense,
    heads: i64,
    activation: Activation,
}

impl Transformer {
    /// Takes the tensors of `layers.0`, `layers.1`, … below `path`.
    pub fn load(path: &Path<'_>, config: &TowerConfig) -> Self {
        let layers = path.sub("layers");
        Self((0..config.layers).map(|i| Block::load(&layers.at(i), config)).collect())
    }

    /// (rows, tokens, d) -> (rows, tokens, d). A mask is (tokens, tokens), true for visible keys.
    pub fn forward(&self, mut xs: Tensor, mask: Option<&Tensor>) -> Result<Tensor, TchError> {
        for block in &self.0 {
            xs = block.forward(&xs, mask)?;
        }
        Ok(xs)
    }
}

impl Block {
    fn load(path: &Path<'_>, config: &TowerConfig) -> Self {
        let (d, m) = (config.width, config.intermediate);
        let attention = path.sub("self_attn");
        Self {
            norm1: LayerNorm::load(&path.sub("layer_norm1"), d, config.eps),
            qkv: qkv(&attention, d),
            output: Dense::load(&attention.sub("out_proj"), d, d),
            norm2: LayerNorm::load(&path.sub("layer_norm2"), d, config.eps),
            fc1: Dense::load(&path.sub("mlp").sub("fc1"), d, m),
            fc2: Dense::load(&path.sub("mlp").sub("fc2"), m, d),
            heads: config.heads,
            activation: config.activation,
        }
    }

    fn forward(&self, xs: &Tensor, mask: Option<&Tensor>) -> Result<Tensor, TchError> {
        let context = self.context(&self.norm1.forward(xs)?, mask)?;
        let xs = self.output.added(xs, &context, Ok)?;
        let normalised = self.norm2.forward(&xs)?;
        let hidden = match self.activation {
            Activation::Gelu => self.fc1.activated(&normalised)?,
            Activation::QuickGelu => quick_gelu(&self.fc1.forward(&normalised)?)?,
        };
        self.fc2.added(&xs, &hidden, Ok)
    }

    /// Context of the self-attention, all heads concatenated.
    fn context(&self, xs: &Tensor, mask: Option<&Tensor>) -> Result<Tensor, TchError> {
        let (rows, tokens, d) = xs.size3()?;
        // (rows, tokens, 3d) -> (3, rows, heads, tokens, d / heads)
        let qkv = self
            .qkv
            .forward(xs)?
            .f_reshape([rows, tokens, 3, self.heads, d / self.heads])?
            .f_permute([2, 0, 3, 1, 4])?;
        let (q, k, v) = (qkv.f_select(0, 0)?, qkv.f_select(0, 1)?, qkv.f_select(0, 2)?);
        join_heads(&attend(&q, &k, &v, mask, Dropout::default())?)
    }
}

/// Projection to queries, keys and values: joined in OpenCLIP's files, three layers in transformers'.
fn qkv(attention: &Path<'_>, d: i64) -> Dense {
    if !attention.has("in_proj_weight") {
        return Dense::load_joined(attention, &["q_proj", "k_proj", "v_proj"], d, d);
    }
    let weight = attention.take("in_proj_weight", &[3 * d, d]);
    let bias = attention.take("in_proj_bias", &[3 * d]);
    Dense::of_tower(attention, Linear { weight, bias })
}

/// `x · sigmoid(1.702 x)`
fn quick_gelu(xs: &Tensor) -> Result<Tensor, TchError> {
    xs.f_mul(&xs.f_mul_scalar(1.702)?.f_sigmoid()?)
}
