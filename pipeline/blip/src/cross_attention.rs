//! Cross-attention of text to the image (BLIP, section 3.1), in two forms that differ only by rounding.
//!
//! The score of a query q for a patch x is `q · (W_k x)`. The first form projects the keys and values of all
//! patches once: `2 n d w` multiply-adds for `n` patches of width `w` and a text tower of width `d`, for any
//! number of queries.
//!
//! The second form absorbs the projections, because `q · (W_k x) = (W_kᵀ q) · x`. The query is multiplied by
//! `W_kᵀ` and the context by `W_v` (`2 d w` multiply-adds), and the query attends to the image states
//! directly (`2 n h w` with `h` heads). The bias of the keys adds the same number to all patches, and softmax
//! cancels it. The bias of the values is added once, because the weights of the patches sum to 1.
//!
//! Up to about `d / h` queries per image, the width of a head, the second form needs fewer operations. A
//! caption of 20 tokens and two texts to score are below this bound. The first form also stores `2 n d`
//! elements per layer and image; the second stores only the image states, once for all layers.

use capfilt_kernels::{PackedCrossAttention, PackedStates};
use tch::{Kind, TchError, Tensor};

use crate::{
    config::TextConfig,
    dense::Dense,
    layers::{Dropout, LayerNorm, Linear, attend, join_heads, split_heads},
    weights::{Path, WeightMode},
};

/// Keys and values of one attention layer: (rows, heads, tokens, width / heads) each.
pub struct KeyValue {
    /// Keys.
    pub k: Tensor,
    /// Values.
    pub v: Tensor,
}

/// Input of every layer's cross-attention for some images, shared by all texts, beams and captions of an
/// image. Rows of a text batch are ordered by image; the rows of one image are its queries.
pub enum ImageKeys {
    /// Projected keys and values of every layer.
    Projected(Vec<KeyValue>),
    /// Projected keys and values of every layer for padded states, and the visible tokens, (images, 1, 1,
    /// tokens) bool. The states of a batch of questions are padded, those of images never are.
    Masked(Vec<KeyValue>, Tensor),
    /// Image states (images, tokens, image width), for few queries.
    States(Tensor),
    /// Image states packed for the kernels.
    Packed(PackedStates),
}

/// Key and value projections of a layer.
enum Projections {
    Plain { key: Linear, value: Linear },
    Packed(Box<PackedProjections>),
}

/// Projections packed for the kernels: whole ones for keys and values, one per head for queries.
struct PackedProjections {
    key: Dense,
    value: Dense,
    by_head: PackedCrossAttention,
}

/// Attention of text states to image states, without the layer of its outputs.
pub struct ImageAttention {
    query: Dense,
    projections: Projections,
    heads: i64,
    /// Dropout of the attention weights.
    pub dropout: Dropout,
}

/// Cross-attention block of a text layer: attention, layer of its outputs, residual branch and norm.
pub struct CrossAttention {
    /// Attention to the image.
    pub attention: ImageAttention,
    output: Dense,
    norm: LayerNorm,
}

impl ImageKeys {
    /// Number of images.
    pub fn images(&self) -> i64 {
        let first = match self {
            Self::Projected(layers) | Self::Masked(layers, _) => layers.first().map(|layer| &layer.k),
            Self::States(states) => Some(states),
            Self::Packed(states) => return states.images() as i64,
        };
        first.and_then(|tensor| tensor.size().first().copied()).unwrap_or(0)
    }

    /// Selects images by `index`, in that order.
    pub fn select(&self, index: &Tensor) -> Result<Self, TchError> {
        let pick = |kv: &KeyValue| {
            Ok(KeyValue { k: kv.k.f_index_select(0, index)?, v: kv.v.f_index_select(0, index)? })
        };
        let picked = |layers: &[KeyValue]| layers.iter().map(pick).collect::<Result<_, TchError>>();
        Ok(match self {
            Self::Projected(layers) => Self::Projected(picked(layers)?),
            Self::Masked(layers, mask) => Self::Masked(picked(layers)?, mask.f_index_select(0, index)?),
            Self::States(states) => Self::States(states.f_index_select(0, index)?),
            Self::Packed(states) => Self::Packed(states.select(&Vec::<i64>::try_from(index)?)?),
        })
    }
}

impl Projections {
    fn new(path: &Path<'_>, key: Linear, value: Linear, heads: i64) -> Self {
        if path.weight_mode() == WeightMode::Trainable {
            return Self::Plain { key, value };
        }
        match PackedCrossAttention::pack(&key.weight, &value.weight, &value.bias, heads) {
            Ok(Some(by_head)) => {
                let (key, value) = (Dense::new(path, key), Dense::new(path, value));
                Self::Packed(Box::new(PackedProjections { key, value, by_head }))
            }
            Ok(None) => Self::Plain { key, value },
            Err(error) => Self::Plain { key: Linear { weight: path.noted(Err(error)), ..key }, value },
        }
    }
}

impl ImageAttention {
    /// Loads the queries, keys and values below `path`.
    pub fn load(path: &Path<'_>, config: &TextConfig, image_width: i64) -> Self {
        let (d, heads) = (config.hidden_size, config.num_attention_heads);
        let projection = |name: &str| Linear::load(&path.sub(name), image_width, d);
        Self {
            query: Dense::load(&path.sub("query"), d, d),
            projections: Projections::new(path, projection("key"), projection("value"), heads),
            heads,
            dropout: Dropout::default(),
        }
    }

    /// Width of a head. From this number of queries per image on, projected keys and values are cheaper.
    pub fn of_head(&self) -> i64 {
        self.query.width() / self.heads
    }

    /// Keeps image states (images, tokens, image width) for few queries.
    pub fn keep(&self, states: &Tensor) -> Result<ImageKeys, TchError> {
        if let Projections::Packed(_) = self.projections
            && let Some(packed) = PackedStates::pack(states)?
        {
            return Ok(ImageKeys::Packed(packed));
        }
        Ok(ImageKeys::States(states.shallow_clone()))
    }

    /// Projects image states (images, tokens, image width) to keys and values.
    pub fn project(&self, states: &Tensor) -> Result<KeyValue, TchError> {
        let (k, v) = match &self.projections {
            Projections::Plain { key, value } => (key.forward(states)?, value.forward(states)?),
            Projections::Packed(packed) => (packed.key.forward(states)?, packed.value.forward(states)?),
        };
        let by_head = |xs: &Tensor| split_heads(xs, self.heads)?.f_contiguous();
        Ok(KeyValue { k: by_head(&k)?, v: by_head(&v)? })
    }

    /// Joined heads of all tokens: (rows, tokens, d) -> (rows, tokens, d). `layer` is the index of this layer
    /// in its tower.
    pub fn context(&self, xs: &Tensor, image: &ImageKeys, layer: usize) -> Result<Tensor, TchError> {
        let (rows, tokens, d) = xs.size3()?;
        let images = image.images().max(1);
        // (rows, tokens, d) -> (images, queries, d), so that an image's keys are not copied for each text.
        let q = self.query.forward(xs)?.f_reshape([images, rows / images * tokens, d])?;
        let by_head = |q: &Tensor| split_heads(q, self.heads);
        let attend_to = |kv: &KeyValue, mask: Option<&Tensor>| {
            join_heads(&attend(&by_head(&q)?, &kv.k, &kv.v, mask, self.dropout)?)
        };
        let context = match (image, &self.projections) {
            (ImageKeys::Projected(layers), _) => attend_to(&layers[layer], None)?,
            (ImageKeys::Masked(layers, mask), _) => attend_to(&layers[layer], Some(mask))?,
            (ImageKeys::States(states), Projections::Plain { key, value }) => {
                join_heads(&self.attend_to_states(states, &by_head(&q)?, key, value)?)?
            }
            (ImageKeys::Packed(states), Projections::Packed(packed)) => packed.by_head.forward(&q, states)?,
            _ => return Err(TchError::Shape("image keys of another tower".into())),
        };
        context.f_reshape([rows, tokens, d])
    }

    /// Absorbed form: `states` (images, n, w), `q` (images, heads, queries, d / heads) -> context, in the
    /// shape of `q`.
    fn attend_to_states(
        &self,
        states: &Tensor,
        q: &Tensor,
        key: &Linear,
        value: &Linear,
    ) -> Result<Tensor, TchError> {
        let (images, heads, queries, of_head) = q.size4()?;
        let width = states.size3()?.2;
        let by_head = |linear: &Linear| linear.weight.f_view([heads, of_head, width]);
        // Heads first for the product with their weights, images first for the product with their states.
        let q = q.f_transpose(0, 1)?.f_reshape([heads, images * queries, of_head])?;
        let q = q.f_mul_scalar((of_head as f64).sqrt().recip())?.f_bmm(&by_head(key)?)?;
        let q = q.f_view([heads, images, queries, width])?.f_transpose(0, 1)?;
        let scores = q.f_reshape([images, heads * queries, width])?.f_bmm(&states.f_transpose(1, 2)?)?;
        let seen = self.dropout.forward(scores.f_softmax(-1, None::<Kind>)?)?.f_bmm(states)?;
        let seen = seen.f_view([images, heads, queries, width])?.f_transpose(0, 1)?;
        let seen =
            seen.f_reshape([heads, images * queries, width])?.f_bmm(&by_head(value)?.f_transpose(1, 2)?)?;
        let bias = value.bias.f_view([heads, 1, of_head])?;
        seen.f_add(&bias)?.f_view([heads, images, queries, of_head])?.f_transpose(0, 1)
    }
}

impl CrossAttention {
    /// Loads the weights below `path`.
    pub fn load(path: &Path<'_>, config: &TextConfig, image_width: i64) -> Self {
        let d = config.hidden_size;
        Self {
            attention: ImageAttention::load(&path.sub("self"), config, image_width),
            output: Dense::load(&path.sub("output").sub("dense"), d, d),
            norm: LayerNorm::load(&path.sub("output").sub("LayerNorm"), d, config.layer_norm_eps),
        }
    }

    /// Computes (rows, tokens, d) -> (rows, tokens, d). `layer` is the index of this layer in its tower.
    pub fn forward(&self, xs: &Tensor, image: &ImageKeys, layer: usize) -> Result<Tensor, TchError> {
        let context = self.attention.context(xs, image, layer)?;
        self.norm.forward(&self.output.added(xs, &context, |ys| self.attention.dropout.forward(ys))?)
    }
}
