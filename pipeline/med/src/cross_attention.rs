//! How text looks at the image (BLIP, section 3.1), in two ways that are equal but for rounding.
//!
//! A query q scores a patch x by `q · (W_k x)`. With all patches' keys and values computed first, that is `2
//! n d w` products for `n` patches of width `w` and a text tower of width `d`, however few queries follow.
//! But `q · (W_k x) = (W_kᵀ q) · x`: the query can be taken to the patches' space instead, `2 d w` products
//! and `2 n h w` more to look at the patches with its `h` heads, and what it sees is taken back by `W_v`
//! afterwards. (Key's bias adds the same to all patches, which softmax does not see; value's is added once,
//! as the weights of the patches sum to 1.) So up to about `d / h` queries an image, which is a head's width,
//! keys and values are more work than they save: a caption of 20 words and a pair of texts to judge are below
//! that. They also need memory of `2 n d` numbers per layer and image, where the states are there anyway,
//! once for all layers.

use capfilt_kernels::{PackedSight, PackedStates};
use tch::{Kind, TchError, Tensor};

use crate::{
    config::TextConfig,
    dense::Dense,
    layers::{Dropout, LayerNorm, Linear, attend, join_heads, split_heads},
    weights::{Path, Use},
};

/// Keys and values of one attention: (rows, heads, tokens, width / heads) each.
pub struct KeyValue {
    pub k: Tensor,
    pub v: Tensor,
}

/// What every layer's cross-attention reads of the images, shared by all texts, beams and captions of an
/// image: rows of a text batch lie image by image, and the rows of one image query it side by side.
pub enum ImageKeys {
    /// Every layer's keys and values.
    Projected(Vec<KeyValue>),
    /// The image states themselves (images, tokens, image width), for few queries.
    States(Tensor),
    /// The same for layers in the kernels' layout.
    Packed(PackedStates),
}

/// A layer's projections of keys and values.
enum Sight {
    Plain { key: Linear, value: Linear },
    Packed(Box<PackedProjections>),
}

/// In the kernels' layout: whole for keys and values, and by head for queries.
struct PackedProjections {
    key: Dense,
    value: Dense,
    by_head: PackedSight,
}

pub struct CrossAttention {
    query: Dense,
    sight: Sight,
    output: Dense,
    norm: LayerNorm,
    heads: i64,
    pub dropout: Dropout,
}

impl ImageKeys {
    /// How many images there are.
    pub fn images(&self) -> i64 {
        let first = match self {
            Self::Projected(layers) => layers.first().map(|layer| &layer.k),
            Self::States(states) => Some(states),
            Self::Packed(states) => return states.images() as i64,
        };
        first.and_then(|tensor| tensor.size().first().copied()).unwrap_or(0)
    }

    /// Those of the images `index`, in that order.
    pub fn select(&self, index: &Tensor) -> Result<Self, TchError> {
        let pick = |kv: &KeyValue| {
            Ok(KeyValue { k: kv.k.f_index_select(0, index)?, v: kv.v.f_index_select(0, index)? })
        };
        Ok(match self {
            Self::Projected(layers) => {
                Self::Projected(layers.iter().map(pick).collect::<Result<_, TchError>>()?)
            }
            Self::States(states) => Self::States(states.f_index_select(0, index)?),
            Self::Packed(states) => Self::Packed(states.select(&Vec::<i64>::try_from(index)?)?),
        })
    }
}

impl Sight {
    fn new(path: &Path<'_>, key: Linear, value: Linear, heads: i64) -> Self {
        if path.use_of_weights() == Use::Learn {
            return Self::Plain { key, value };
        }
        match PackedSight::pack(&key.weight, &value.weight, &value.bias, heads) {
            Ok(Some(by_head)) => {
                let (key, value) = (Dense::new(path, key), Dense::new(path, value));
                Self::Packed(Box::new(PackedProjections { key, value, by_head }))
            }
            Ok(None) => Self::Plain { key, value },
            Err(error) => Self::Plain { key: Linear { weight: path.noted(Err(error)), ..key }, value },
        }
    }
}

impl CrossAttention {
    pub fn load(path: &Path<'_>, config: &TextConfig, image_width: i64) -> Self {
        let d = config.hidden_size;
        let attention = path.sub("self");
        let projection = |name: &str| Linear::load(&attention.sub(name), image_width, d);
        Self {
            query: Dense::load(&attention.sub("query"), d, d),
            sight: Sight::new(path, projection("key"), projection("value"), config.num_attention_heads),
            output: Dense::load(&path.sub("output").sub("dense"), d, d),
            norm: LayerNorm::load(&path.sub("output").sub("LayerNorm"), d, config.layer_norm_eps),
            heads: config.num_attention_heads,
            dropout: Dropout::default(),
        }
    }

    /// Width of a head: from so many queries an image on, keys and values are worth their while.
    pub fn of_head(&self) -> i64 {
        self.query.width() / self.heads
    }

    /// Image states (images, tokens, image width) as few queries look at them.
    pub fn keep(&self, states: &Tensor) -> Result<ImageKeys, TchError> {
        if let Sight::Packed(_) = self.sight
            && let Some(packed) = PackedStates::pack(states)?
        {
            return Ok(ImageKeys::Packed(packed));
        }
        Ok(ImageKeys::States(states.shallow_clone()))
    }

    /// Keys and values of image states (images, tokens, image width).
    pub fn project(&self, states: &Tensor) -> Result<KeyValue, TchError> {
        let (k, v) = match &self.sight {
            Sight::Plain { key, value } => (key.forward(states)?, value.forward(states)?),
            Sight::Packed(packed) => (packed.key.forward(states)?, packed.value.forward(states)?),
        };
        let by_head = |xs: &Tensor| split_heads(xs, self.heads)?.f_contiguous();
        Ok(KeyValue { k: by_head(&k)?, v: by_head(&v)? })
    }

    /// `xs`: (rows, tokens, d), as it comes and as it goes; `image` as layer `layer` of a tower sees it.
    pub fn forward(&self, xs: &Tensor, image: &ImageKeys, layer: usize) -> Result<Tensor, TchError> {
        let (rows, tokens, d) = xs.size3()?;
        let images = image.images().max(1);
        // (rows, tokens, d) -> (images, queries, d): no copy of what is known of an image per text.
        let q = self.query.forward(xs)?.f_reshape([images, rows / images * tokens, d])?;
        let by_head = |q: &Tensor| split_heads(q, self.heads);
        let context = match (image, &self.sight) {
            (ImageKeys::Projected(layers), _) => {
                join_heads(&attend(&by_head(&q)?, &layers[layer].k, &layers[layer].v, None, self.dropout)?)?
            }
            (ImageKeys::States(states), Sight::Plain { key, value }) => {
                join_heads(&self.look_at(states, &by_head(&q)?, key, value)?)?
            }
            (ImageKeys::Packed(states), Sight::Packed(packed)) => packed.by_head.look(&q, states)?,
            _ => return Err(TchError::Shape("image keys of another tower".into())),
        };
        let context = context.f_reshape([rows, tokens, d])?;
        self.norm.forward(&self.output.added(xs, &context, |ys| self.dropout.forward(ys))?)
    }

    /// `states`: (images, n, w), `q`: (images, heads, queries, d / heads) -> the context, in `q`'s shape.
    fn look_at(&self, states: &Tensor, q: &Tensor, key: &Linear, value: &Linear) -> Result<Tensor, TchError> {
        let (images, heads, queries, of_head) = q.size4()?;
        let width = states.size3()?.2;
        let by_head = |linear: &Linear| linear.weight.f_view([heads, of_head, width]);
        // Heads first for their own weights, images first for their own states.
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
