//! The text transformer in its three modes (BLIP, section 3.1), as three methods of one tower. Post-norm
//! layers: self-attention, cross-attention to the image, feed-forward network.

use tch::{Device, Kind, TchError, Tensor};

use crate::{
    config::TextConfig,
    cross_attention::{CrossAttention, ImageKeys, KeyValue},
    dense::Dense,
    layers::{Dropout, LayerNorm, attend, join_heads},
    weights::Path,
};

/// Self-attention keys and values of the tokens decoded so far. The cache is separate from the model, so that
/// one model can decode several batches.
#[derive(Default)]
pub struct TextCache {
    layers: Vec<KeyValue>,
    tokens: i64,
}

/// A text transformer: the encoder in the filter, the decoder in the captioner; the answerer has both. `C` is
/// the cross-attention of its layers.
pub struct TextTower<C = CrossAttention> {
    words: Tensor,     // (vocabulary, d)
    positions: Tensor, // (max positions, d)
    norm: LayerNorm,
    layers: Vec<Layer<C>>,
    dropout: Dropout,
}

struct Layer<C> {
    self_attention: SelfAttention,
    cross_attention: C,
    intermediate: Dense,
    output: Dense,
    output_norm: LayerNorm,
    dropout: Dropout,
}

struct SelfAttention {
    qkv: Dense,
    output: Dense,
    norm: LayerNorm,
    heads: i64,
    dropout: Dropout,
}

impl TextCache {
    /// Number of tokens decoded so far.
    pub fn tokens(&self) -> i64 {
        self.tokens
    }

    /// Replaces row `i` by row `index[i]`, for beam search.
    pub(crate) fn reorder(&mut self, index: &Tensor) -> Result<(), TchError> {
        *self = self.select(index)?;
        Ok(())
    }

    /// A cache whose row `i` is row `index[i]` of this one; a row may be selected several times.
    pub(crate) fn select(&self, index: &Tensor) -> Result<Self, TchError> {
        let pick = |kv: &KeyValue| {
            Ok(KeyValue { k: kv.k.f_index_select(0, index)?, v: kv.v.f_index_select(0, index)? })
        };
        let layers = self.layers.iter().map(pick).collect::<Result<_, TchError>>()?;
        Ok(Self { layers, tokens: self.tokens })
    }

    /// Appends the new tokens of layer `i` and returns all tokens.
    fn extend(&mut self, i: usize, new: KeyValue) -> Result<KeyValue, TchError> {
        let past = self.tokens;
        match self.layers.get_mut(i) {
            Some(layer) => {
                *layer =
                    KeyValue { k: extended(&layer.k, &new.k, past)?, v: extended(&layer.v, &new.v, past)? };
                let all = past + new.k.size4()?.2;
                Ok(KeyValue { k: layer.k.f_narrow(2, 0, all)?, v: layer.v.f_narrow(2, 0, all)? })
            }
            None => {
                self.layers.push(KeyValue { k: new.k.shallow_clone(), v: new.v.shallow_clone() });
                Ok(new)
            }
        }
    }
}

/// Returns `kept` (rows, heads, room, d) with `new` after its first `past` tokens. If there is not enough
/// room, the room is doubled: all tokens of a caption are copied once or twice instead of at every step.
fn extended(kept: &Tensor, new: &Tensor, past: i64) -> Result<Tensor, TchError> {
    let ((rows, heads, room, d), more) = (kept.size4()?, new.size4()?.2);
    let kept = if past + more <= room {
        kept.shallow_clone()
    } else {
        let larger = Tensor::f_empty(
            [rows, heads, (2 * room).max(past + more).max(16), d],
            (kept.kind(), kept.device()),
        )?;
        larger.f_narrow(2, 0, past)?.f_copy_(&kept.f_narrow(2, 0, past)?)?;
        larger
    };
    kept.f_narrow(2, past, more)?.f_copy_(new)?;
    Ok(kept)
}

impl<C> TextTower<C> {
    /// Takes the tower's tensors; `load` takes those of a layer's cross-attention, below its path.
    pub(crate) fn with_cross_attention(
        path: &Path<'_>,
        config: &TextConfig,
        load: impl Fn(i64, &Path<'_>) -> C,
    ) -> Self {
        let d = config.hidden_size;
        let embeddings = path.sub("embeddings");
        let layers = path.sub("encoder").sub("layer");
        Self {
            words: embeddings.take("word_embeddings.weight", &[config.vocab_size, d]),
            positions: embeddings.take("position_embeddings.weight", &[config.max_position_embeddings, d]),
            norm: LayerNorm::load(&embeddings.sub("LayerNorm"), d, config.layer_norm_eps),
            layers: (0..config.num_hidden_layers)
                .map(|i| Layer::load(&layers.at(i), config, |path| load(i, path)))
                .collect(),
            dropout: Dropout::default(),
        }
    }

    /// Sets dropout; `set` sets that of a layer's cross-attention.
    pub(crate) fn set_dropout_by(&mut self, dropout: Dropout, set: impl Fn(&mut C, Dropout)) {
        self.dropout = dropout;
        for layer in &mut self.layers {
            (layer.dropout, layer.self_attention.dropout) = (dropout, dropout);
            set(&mut layer.cross_attention, dropout);
        }
    }

    /// The layers' cross-attentions.
    pub(crate) fn cross_attentions(&self) -> impl Iterator<Item = &C> {
        self.layers.iter().map(|layer| &layer.cross_attention)
    }

    /// The token embedding; the language-model head may share it.
    pub fn words(&self) -> &Tensor {
        &self.words
    }

    /// Encodes texts; `attend` computes a layer's cross-attention from the states and the layer's index.
    pub(crate) fn encode_by(
        &self,
        ids: &Tensor,
        mask: &Tensor,
        attend: impl Fn(&C, Tensor, usize) -> Result<Tensor, TchError>,
    ) -> Result<Tensor, TchError> {
        let mut xs = self.embed(ids, 0)?;
        // (rows, heads, queries, keys): the mask is equal for all heads, and, if it has two axes, for all
        // queries.
        let mask = if mask.dim() == 2 { mask.f_unsqueeze(1)? } else { mask.shallow_clone() };
        let mask = if mask.is_floating_point() { mask.f_log()?.f_to_kind(xs.kind())? } else { mask.f_ne(0)? };
        let mask = mask.f_unsqueeze(1)?;
        for (i, layer) in self.layers.iter().enumerate() {
            let (q, kv) = layer.self_attention.project(&xs)?;
            xs = layer.self_attention.finish(&xs, &q, &kv, Some(&mask))?;
            xs = layer.feed_forward(&attend(&layer.cross_attention, xs, i)?)?;
        }
        Ok(xs)
    }

    /// `LayerNorm(word + position)`; BLIP has no token types.
    fn embed(&self, ids: &Tensor, past: i64) -> Result<Tensor, TchError> {
        let positions = self.positions.f_narrow(0, past, ids.size2()?.1)?;
        let words = Tensor::f_embedding(&self.words, ids, -1, false, false)?;
        self.dropout.forward(self.norm.forward(&words.f_add(&positions)?)?)
    }
}

impl TextTower {
    /// Takes the tower's tensors; `image_width` is the width of the states that cross-attention reads.
    pub fn load(path: &Path<'_>, config: &TextConfig, image_width: i64) -> Self {
        Self::with_cross_attention(path, config, |_, path| CrossAttention::load(path, config, image_width))
    }

    /// Sets dropout of embeddings, attention and residual branches, for training.
    pub fn set_dropout(&mut self, dropout: Dropout) {
        self.set_dropout_by(dropout, |cross, dropout| cross.attention.dropout = dropout);
    }

    /// Unimodal encoder: text alone. `ids` (rows, tokens) int64 -> (rows, tokens, d). `mask` is (rows,
    /// tokens), 1 for a visible token, or (rows, tokens, tokens) with a mask per query. A mask of real
    /// numbers multiplies the attention weights before they are normalised to a sum of 1.
    pub fn encode_text(&self, ids: &Tensor, mask: &Tensor) -> Result<Tensor, TchError> {
        self.encode_by(ids, mask, |_, xs, _| Ok(xs))
    }

    /// Image-grounded encoder: as [`Self::encode_text`], with cross-attention to the image in every layer.
    pub fn encode_with_image(
        &self,
        ids: &Tensor,
        mask: &Tensor,
        image: &ImageKeys,
    ) -> Result<Tensor, TchError> {
        self.encode_by(ids, mask, |cross, xs, i| cross.forward(&xs, image, i))
    }

    /// Image-grounded decoder: `ids` (rows, new tokens) continue the tokens of the cache. Returns (rows, new
    /// tokens, d).
    pub fn decode_step(
        &self,
        ids: &Tensor,
        cache: &mut TextCache,
        image: &ImageKeys,
    ) -> Result<Tensor, TchError> {
        let (new, past) = (ids.size2()?.1, cache.tokens);
        let mask = causal_mask(new, past, ids.device())?;
        let mut xs = self.embed(ids, past)?;
        for (i, layer) in self.layers.iter().enumerate() {
            let (q, kv) = layer.self_attention.project(&xs)?;
            let kv = cache.extend(i, kv)?;
            xs = layer.self_attention.finish(&xs, &q, &kv, mask.as_ref())?;
            xs = layer.feed_forward(&layer.cross_attention.forward(&xs, image, i)?)?;
        }
        cache.tokens += new;
        Ok(xs)
    }

    /// Keys of image states (images, tokens, image width) for up to `queries` tokens per image.
    pub fn image_keys(&self, states: &Tensor, queries: i64) -> Result<ImageKeys, TchError> {
        match self.cross_attentions().next() {
            Some(cross) if queries < cross.attention.of_head() => cross.attention.keep(states),
            _ => self.projected_keys(states),
        }
    }

    /// Projected keys and values of every layer for image states (images, tokens, image width), for any
    /// number of queries.
    pub fn projected_keys(&self, states: &Tensor) -> Result<ImageKeys, TchError> {
        Ok(ImageKeys::Projected(self.project(states)?))
    }

    /// As [`Self::projected_keys`], for padded states of texts: `mask` is (texts, tokens), 1 for a visible
    /// token.
    pub fn masked_keys(&self, states: &Tensor, mask: &Tensor) -> Result<ImageKeys, TchError> {
        let mask = mask.f_ne(0)?.f_unsqueeze(1)?.f_unsqueeze(1)?;
        Ok(ImageKeys::Masked(self.project(states)?, mask))
    }

    fn project(&self, states: &Tensor) -> Result<Vec<KeyValue>, TchError> {
        self.cross_attentions().map(|cross| cross.attention.project(states)).collect()
    }
}

/// True where a query attends: to its own token and earlier ones. `None` for a single new token, which
/// attends to all.
fn causal_mask(new: i64, past: i64, device: Device) -> Result<Option<Tensor>, TchError> {
    if new == 1 {
        return Ok(None);
    }
    Tensor::f_ones([new, past + new], (Kind::Bool, device))?.f_tril(past).map(Some)
}

impl<C> Layer<C> {
    fn load(path: &Path<'_>, config: &TextConfig, cross: impl FnOnce(&Path<'_>) -> C) -> Self {
        let (d, m, eps) = (config.hidden_size, config.intermediate_size, config.layer_norm_eps);
        Self {
            self_attention: SelfAttention::load(&path.sub("attention"), config),
            cross_attention: cross(&path.sub("crossattention")),
            intermediate: Dense::load(&path.sub("intermediate").sub("dense"), d, m),
            output: Dense::load(&path.sub("output").sub("dense"), m, d),
            output_norm: LayerNorm::load(&path.sub("output").sub("LayerNorm"), d, eps),
            dropout: Dropout::default(),
        }
    }

    fn feed_forward(&self, xs: &Tensor) -> Result<Tensor, TchError> {
        let hidden = self.intermediate.activated(xs)?;
        self.output_norm.forward(&self.output.added(xs, &hidden, |ys| self.dropout.forward(ys))?)
    }
}

impl SelfAttention {
    fn load(path: &Path<'_>, config: &TextConfig) -> Self {
        let d = config.hidden_size;
        Self {
            qkv: Dense::load_joined(&path.sub("self"), &["query", "key", "value"], d, d),
            output: Dense::load(&path.sub("output").sub("dense"), d, d),
            norm: LayerNorm::load(&path.sub("output").sub("LayerNorm"), d, config.layer_norm_eps),
            heads: config.num_attention_heads,
            dropout: Dropout::default(),
        }
    }

    fn project(&self, xs: &Tensor) -> Result<(Tensor, KeyValue), TchError> {
        let (rows, tokens, d) = xs.size3()?;
        // (rows, tokens, 3d) -> (3, rows, heads, tokens, d / heads)
        let qkv = self
            .qkv
            .forward(xs)?
            .f_reshape([rows, tokens, 3, self.heads, d / self.heads])?
            .f_permute([2, 0, 3, 1, 4])?;
        Ok((qkv.f_select(0, 0)?, KeyValue { k: qkv.f_select(0, 1)?, v: qkv.f_select(0, 2)? }))
    }

    fn finish(
        &self,
        xs: &Tensor,
        q: &Tensor,
        kv: &KeyValue,
        mask: Option<&Tensor>,
    ) -> Result<Tensor, TchError> {
        let context = join_heads(&attend(q, &kv.k, &kv.v, mask, self.dropout)?)?;
        self.norm.forward(&self.output.added(xs, &context, |ys| self.dropout.forward(ys))?)
    }
}
