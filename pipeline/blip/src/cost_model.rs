//! Analytic cost of a model: FLOP of the matrix products, counted layer by layer, and bytes that memory must
//! move even if nothing that fits a cache is read twice. Divided by the peak rates of the device, the cost is
//! a lower bound of any program's time.

use crate::config::{TextConfig, VisionConfig};

/// Cost for one image.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Cost {
    /// Additions and multiplications.
    pub flop: f64,
    /// Bytes of weights (shared by a batch) and activations, each read once and written once.
    pub bytes: f64,
}

impl std::ops::Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { flop: self.flop + other.flop, bytes: self.bytes + other.bytes }
    }
}

impl std::iter::Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        costs.fold(Self::default(), |sum, work| sum + work)
    }
}

/// Batch size and dtype of a run.
#[derive(Debug, Clone, Copy)]
pub struct CostModel {
    /// Images that share one read of the weights.
    pub batch: f64,
    /// Bytes of an element.
    pub number: f64,
}

impl CostModel {
    /// A linear layer of `input × output` weights on `rows` vectors.
    fn linear(self, rows: f64, input: f64, output: f64) -> Cost {
        let weights = input * output / self.batch;
        Cost { flop: 2.0 * rows * input * output, bytes: self.number * (weights + rows * (input + output)) }
    }

    /// Attention of `queries` over `keys`, all heads together of `width` elements, in a fused kernel that
    /// does not write the scores to memory.
    fn attention(self, queries: f64, keys: f64, width: f64) -> Cost {
        let bytes = self.number * width * (2.0 * queries + 2.0 * keys);
        Cost { flop: 4.0 * queries * keys * width, bytes }
    }

    /// An elementwise operation on `rows` vectors: each element is read and written.
    fn elementwise(self, rows: f64, width: f64) -> Cost {
        Cost { flop: 0.0, bytes: self.number * 2.0 * rows * width }
    }

    /// The vision transformer on one image.
    pub fn vision(self, config: &VisionConfig) -> Cost {
        let (d, m) = (config.hidden_size as f64, config.intermediate_size as f64);
        let patches = config.grid(config.image_size).pow(2) as f64;
        let tokens = patches + 1.0;
        let patch = 3.0 * (config.patch_size as f64).powi(2);
        let block = [
            self.linear(tokens, d, 3.0 * d),
            self.attention(tokens, tokens, d),
            self.linear(tokens, d, d),
            self.linear(tokens, d, m),
            self.elementwise(tokens, m),
            self.linear(tokens, m, d),
            // Two norms and two residual additions.
            self.elementwise(4.0 * tokens, d),
        ];
        let block: Cost = block.into_iter().sum();
        let blocks = config.num_hidden_layers as f64;
        self.linear(patches, patch, d) + Cost { flop: blocks * block.flop, bytes: blocks * block.bytes }
    }

    /// The text transformer on `tokens` tokens in `passes` passes of equal length: one pass for a given text,
    /// one per token for a generated text. `image` is (patches, width) of the image states; `None` for text
    /// alone.
    pub fn text(self, config: &TextConfig, tokens: f64, passes: f64, image: Option<(f64, f64)>) -> Cost {
        let (d, m) = (config.hidden_size as f64, config.intermediate_size as f64);
        let heads = config.num_attention_heads as f64;
        // Every pass reads the weights again.
        let again = Self { batch: self.batch / passes, ..self };
        let mut layer = again.linear(tokens, d, 3.0 * d)
            + self.attention(tokens, tokens, d)
            + again.linear(tokens, d, d)
            + again.linear(tokens, d, m)
            + again.linear(tokens, m, d)
            + self.elementwise(tokens, 4.0 * d + m);
        if let Some((patches, width)) = image {
            layer = layer
                + again.linear(tokens, d, d)
                + again.linear(tokens, d, d)
                + self.cross_attention(tokens, passes, d, heads, (patches, width));
        }
        let layers = config.num_hidden_layers as f64;
        Cost { flop: layers * layer.flop, bytes: layers * layer.bytes }
    }

    /// Cross-attention with projected keys and values, or with absorbed projections: the cheaper one
    /// (`cross_attention.rs`).
    fn cross_attention(
        self,
        tokens: f64,
        passes: f64,
        d: f64,
        heads: f64,
        (patches, width): (f64, f64),
    ) -> Cost {
        let by_keys = self.linear(patches, width, 2.0 * d)
            + Cost { flop: 4.0 * tokens * patches * d, bytes: self.number * passes * 2.0 * patches * d };
        let by_states = Cost {
            flop: 4.0 * tokens * d * width + 4.0 * tokens * heads * patches * width,
            bytes: self.number * passes * 2.0 * (patches * width + d * width / self.batch),
        };
        if by_states.flop < by_keys.flop { by_states } else { by_keys }
    }

    /// The language-model head for `words` tokens.
    pub fn words(self, config: &TextConfig, words: f64) -> Cost {
        let (d, vocabulary) = (config.hidden_size as f64, config.vocab_size as f64);
        Self { batch: self.batch / words.max(1.0), ..self }.linear(words, d, vocabulary)
            + self.linear(words, d, d)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed by hand from the sizes in the paper: 577 tokens of width 768 through twelve blocks.
    #[test]
    fn a_vit_b_at_384_pixels_is_111_gflop() {
        let model = CostModel { batch: 8.0, number: 2.0 };
        let config = VisionConfig { image_size: 384, ..VisionConfig::default() };
        let cost = model.vision(&config);
        let by_hand = 12.0 * (577.0 * 2.0 * 12.0 * 768.0 * 768.0 + 4.0 * 577.0 * 577.0 * 768.0)
            + 576.0 * 2.0 * 768.0 * 768.0;
        assert!((cost.flop - by_hand).abs() < 1.0, "{} instead of {by_hand}", cost.flop);
        assert!((110e9..112e9).contains(&cost.flop));
        // A tenth of the 172 MB of 86 million weights, and a few MB of activations per block.
        assert!((0.1e9..0.5e9).contains(&cost.bytes), "{}", cost.bytes);
    }

    #[test]
    fn few_tokens_use_absorbed_projections_and_many_use_keys_and_values() {
        let model = CostModel { batch: 8.0, number: 2.0 };
        let config = TextConfig::default();
        let image = Some((577.0, 768.0));
        let cross_attention = |tokens: f64| {
            model.text(&config, tokens, 1.0, image).flop - model.text(&config, tokens, 1.0, None).flop
        };
        let projection = 12.0 * 577.0 * 2.0 * 768.0 * 1536.0;
        assert!(cross_attention(20.0) < 0.5 * projection, "a caption of twenty words does without");
        assert!(cross_attention(200.0) > projection, "ten texts do not");
    }
}
