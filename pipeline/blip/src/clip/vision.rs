//! The image encoder: a vision transformer with a norm before its blocks.

use tch::{Kind, TchError, Tensor};

use super::{config::ClipConfig, transformer::Transformer};
use crate::{layers::LayerNorm, weights::Path};

/// Computes one vector per image.
pub(super) struct ClipVision {
    patch: Tensor,     // (d, 3, p, p)
    class: Tensor,     // (d)
    positions: Tensor, // (1 + patches, d)
    norm_before: LayerNorm,
    blocks: Transformer,
    norm_after: LayerNorm,
    projection: Tensor, // (projection, d)
    patch_size: i64,
}

impl ClipVision {
    /// Takes the encoder's tensors.
    pub fn load(root: &Path<'_>, config: &ClipConfig) -> Self {
        let (d, p, eps) = (config.vision.width, config.patch_size, config.vision.eps);
        let path = root.sub("vision_model");
        let embeddings = path.sub("embeddings");
        Self {
            patch: embeddings.take("patch_embedding.weight", &[d, 3, p, p]),
            class: embeddings.take("class_embedding", &[d]),
            positions: embeddings.take("position_embedding.weight", &[1 + config.grid().pow(2), d]),
            norm_before: LayerNorm::load(&path.sub("pre_layrnorm"), d, eps),
            blocks: Transformer::load(&path.sub("encoder"), &config.vision),
            norm_after: LayerNorm::load(&path.sub("post_layernorm"), d, eps),
            projection: projection(root, "visual_projection", config.projection, d),
            patch_size: p,
        }
    }

    /// `pixels_norm`: (images, 3, side, side), normalised -> unit vectors (images, projection) in f32.
    pub fn forward(&self, pixels_norm: &Tensor) -> Result<Tensor, TchError> {
        let xs = self.norm_before.forward(&self.embed(pixels_norm)?)?;
        let class = self.blocks.forward(xs, None)?.f_select(1, 0)?;
        unit_vectors(&self.norm_after.forward(&class.f_contiguous()?)?, &self.projection)
    }

    /// The patch convolution as a matrix product, as in BLIP's tower.
    fn embed(&self, pixels_norm: &Tensor) -> Result<Tensor, TchError> {
        let p = self.patch_size;
        let (images, grid) = (pixels_norm.size()[0], pixels_norm.size()[2] / p);
        let patches = pixels_norm.f_reshape([images, 3, grid, p, grid, p])?.f_permute([0, 2, 4, 1, 3, 5])?;
        let patches = patches.f_reshape([images, grid * grid, 3 * p * p])?; // (images, g², 3p²)
        let patches = patches.f_linear(&self.patch.f_flatten(1, 3)?, None::<Tensor>)?;
        let class = self.class.f_reshape([1, 1, -1])?.f_expand([images, -1, -1], false)?;
        Tensor::f_cat(&[class, patches], 1)?.f_add(&self.positions)
    }
}

/// A projection (projection, d) without bias: a linear layer in transformers' files, its transpose in
/// OpenCLIP's.
pub(super) fn projection(root: &Path<'_>, name: &str, width: i64, d: i64) -> Tensor {
    let own = root.sub(name);
    if own.has("weight") || !root.has(name) {
        return own.take("weight", &[width, d]);
    }
    let transposed = root.take(name, &[d, width]);
    // An empty tensor replaces one that did not fit.
    if transposed.dim() != 2 {
        return transposed;
    }
    root.noted(transposed.f_transpose(0, 1).and_then(|weight| weight.f_contiguous()))
}

/// Projects states (rows, d) and divides by their length: unit vectors (rows, projection) in f32.
pub(super) fn unit_vectors(states: &Tensor, projection: &Tensor) -> Result<Tensor, TchError> {
    let vectors = states.f_linear(projection, None::<Tensor>)?.f_to_kind(Kind::Float)?;
    let squares = vectors.f_square()?.f_sum_dim_intlist([-1].as_slice(), true, Kind::Float)?;
    vectors.f_div(&squares.f_sqrt()?)
}
