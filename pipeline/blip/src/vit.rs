//! The vision transformer (BLIP, section 3.1): pre-norm blocks, one fused qkv, no norm before the blocks.

use tch::{TchError, Tensor};

use crate::{
    config::VisionConfig,
    dense::Dense,
    layers::{Dropout, LayerNorm, attend, join_heads},
    weights::{Path, WeightStore},
};

/// Computes one state per patch, after the class token's state.
pub struct VisionTower {
    patch: Tensor,      // (d, 3, p, p)
    patch_bias: Tensor, // (d)
    class: Tensor,      // (1, 1, d)
    positions: Tensor,  // (1, 1 + patches, d)
    blocks: Vec<Block>,
    norm: LayerNorm,
    patch_size: i64,
}

struct Block {
    norm1: LayerNorm,
    attention: Attention,
    norm2: LayerNorm,
    fc1: Dense,
    fc2: Dense,
    drop_path: Dropout,
}

struct Attention {
    qkv: Dense,
    projection: Dense,
    heads: i64,
}

impl VisionTower {
    /// Takes the tower's tensors. `config.image_size` fixes the length of the position table.
    pub fn load(path: &Path<'_>, config: &VisionConfig, eps: f64) -> Self {
        let (d, p) = (config.hidden_size, config.patch_size);
        let patches = config.grid(config.image_size).pow(2);
        let embeddings = path.sub("embeddings");
        let layers = path.sub("encoder").sub("layers");
        Self {
            patch: embeddings.take("patch_embedding.weight", &[d, 3, p, p]),
            patch_bias: embeddings.take("patch_embedding.bias", &[d]),
            class: embeddings.take("class_embedding", &[1, 1, d]),
            positions: embeddings.take("position_embedding", &[1, 1 + patches, d]),
            blocks: (0..config.num_hidden_layers).map(|i| Block::load(&layers.at(i), config, eps)).collect(),
            norm: LayerNorm::load(&path.sub("post_layernorm"), d, eps),
            patch_size: p,
        }
    }

    /// Sets stochastic depth for training: the probability of dropping a block's branches rises from 0 at the
    /// first block to `most` at the last (as BLIP's ViT-L is trained).
    pub fn set_drop_path(&mut self, most: f64) {
        let last = self.blocks.len().saturating_sub(1).max(1) as f64;
        for (i, block) in self.blocks.iter_mut().enumerate() {
            block.drop_path = Dropout(most * i as f64 / last);
        }
    }

    /// `pixels_norm`: (images, 3, side, side), normalised -> (images, 1 + patches, d). Token 0 is the class
    /// token.
    pub fn forward(&self, pixels_norm: &Tensor) -> Result<Tensor, TchError> {
        let mut xs = self.embed(pixels_norm)?;
        for i in 0..self.depth() {
            xs = self.block(i, &xs)?;
        }
        self.finish(&xs)
    }

    /// Number of blocks between [`Self::embed`] and [`Self::finish`].
    pub fn depth(&self) -> usize {
        self.blocks.len()
    }

    /// Block `i`: (images, 1 + patches, d) -> (images, 1 + patches, d).
    pub fn block(&self, i: usize, xs: &Tensor) -> Result<Tensor, TchError> {
        self.blocks[i].forward(xs)
    }

    /// The norm after the blocks.
    pub fn finish(&self, xs: &Tensor) -> Result<Tensor, TchError> {
        self.norm.forward(xs)
    }

    /// Embeds pixels: the first block's input (images, 1 + patches, d).
    pub fn embed(&self, pixels_norm: &Tensor) -> Result<Tensor, TchError> {
        let p = self.patch_size;
        // The patch convolution is computed as a matrix product, to be f32 in f32: libtorch lets cuDNN's
        // convolutions use TF32, with a mantissa of 10 bits as f16, but matrix products only on request.
        let (images, grid) = (pixels_norm.size()[0], pixels_norm.size()[2] / p);
        let patches = pixels_norm.f_reshape([images, 3, grid, p, grid, p])?.f_permute([0, 2, 4, 1, 3, 5])?;
        let patches = patches.f_reshape([images, grid * grid, 3 * p * p])?; // (images, g², 3p²)
        let patches = patches.f_linear(&self.patch.f_flatten(1, 3)?, Some(&self.patch_bias))?;
        let class = self.class.f_expand([patches.size()[0], -1, -1], false)?;
        Tensor::f_cat(&[class, patches], 1)?.f_add(&self.positions)
    }
}

impl Block {
    fn load(path: &Path<'_>, config: &VisionConfig, eps: f64) -> Self {
        let (d, m) = (config.hidden_size, config.intermediate_size);
        let attention = path.sub("self_attn");
        Self {
            norm1: LayerNorm::load(&path.sub("layer_norm1"), d, eps),
            attention: Attention {
                qkv: Dense::load(&attention.sub("qkv"), d, 3 * d),
                projection: Dense::load(&attention.sub("projection"), d, d),
                heads: config.num_attention_heads,
            },
            norm2: LayerNorm::load(&path.sub("layer_norm2"), d, eps),
            fc1: Dense::load(&path.sub("mlp").sub("fc1"), d, m),
            fc2: Dense::load(&path.sub("mlp").sub("fc2"), m, d),
            drop_path: Dropout::default(),
        }
    }

    fn forward(&self, xs: &Tensor) -> Result<Tensor, TchError> {
        let context = self.attention.context(&self.norm1.forward(xs)?)?;
        let xs = self.attention.projection.added(xs, &context, |ys| self.drop_path.rows(ys))?;
        let hidden = self.fc1.activated(&self.norm2.forward(&xs)?)?;
        self.fc2.added(&xs, &hidden, |ys| self.drop_path.rows(ys))
    }
}

impl Attention {
    /// Context of the self-attention, all heads concatenated.
    fn context(&self, xs: &Tensor) -> Result<Tensor, TchError> {
        let (b, n, d) = xs.size3()?;
        // (b, n, 3d) -> (3, b, heads, n, d / heads): q, k and v are concatenated along the channels.
        let qkv = self
            .qkv
            .forward(xs)?
            .f_reshape([b, n, 3, self.heads, d / self.heads])?
            .f_permute([2, 0, 3, 1, 4])?;
        let (q, k, v) = (qkv.f_select(0, 0)?, qkv.f_select(0, 1)?, qkv.f_select(0, 2)?);
        join_heads(&attend(&q, &k, &v, None, Dropout::default())?)
    }
}

/// Interpolates the position table in a store; see [`stretch_positions`].
///
/// # Errors
/// Returns libtorch's error when the table is not a square grid plus one.
pub fn interpolate_positions(weights: &WeightStore, name: &str, grid: i64) -> Result<(), TchError> {
    weights.replace(name, |table| stretch_positions(table, grid))
}

/// Interpolates the position table (1, 1 + patches, d) of a square grid to `grid` patches per side, as BLIP
/// does for fine-tuning at a higher resolution: bicubic with a = −0.75, corners not aligned, no antialias.
/// The class token's row is not changed.
///
/// # Errors
/// Returns libtorch's error when the table is not a square grid plus one.
pub fn stretch_positions(table: Tensor, grid: i64) -> Result<Tensor, TchError> {
    let (_, tokens, d) = table.size3()?;
    let old = ((tokens - 1).max(0) as f64).sqrt().round() as i64;
    if old == grid {
        return Ok(table);
    }
    let class = table.f_narrow(1, 0, 1)?;
    let square = table.f_narrow(1, 1, tokens - 1)?.f_reshape([1, old, old, d])?.f_permute([0, 3, 1, 2])?;
    let square = square.f_to_kind(tch::Kind::Float)?.f_upsample_bicubic2d(
        [grid, grid],
        false,
        None::<f64>,
        None::<f64>,
    )?;
    let square = square.f_permute([0, 2, 3, 1])?.f_reshape([1, grid * grid, d])?;
    Tensor::f_cat(&[class.f_to_kind(tch::Kind::Float)?, square], 1)
}
