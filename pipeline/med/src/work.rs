//! How much there is to compute: products and sums of matrix products, counted layer by layer, and bytes that
//! memory has to move for them even if nothing is read twice that fits a cache. Divided by what the device
//! can do, these are the floors under any program's time.

use crate::config::{TextConfig, VisionConfig};

/// Work for one image.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Work {
    /// Additions and multiplications.
    pub flop: f64,
    /// Weights (shared by a batch) and activations, each once in and once out.
    pub bytes: f64,
}

impl std::ops::Add for Work {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { flop: self.flop + other.flop, bytes: self.bytes + other.bytes }
    }
}

impl std::iter::Sum for Work {
    fn sum<I: Iterator<Item = Self>>(works: I) -> Self {
        works.fold(Self::default(), |sum, work| sum + work)
    }
}

/// How a model is run.
#[derive(Debug, Clone, Copy)]
pub struct Running {
    /// Images that share one reading of the weights.
    pub batch: f64,
    /// Bytes of a number.
    pub number: f64,
}

impl Running {
    /// `rows` vectors through a layer of `input × output` weights.
    fn linear(self, rows: f64, input: f64, output: f64) -> Work {
        let weights = input * output / self.batch;
        Work { flop: 2.0 * rows * input * output, bytes: self.number * (weights + rows * (input + output)) }
    }

    /// `queries` over `keys`, both of `width`, all heads together, by a kernel that keeps the scores to
    /// itself.
    fn attention(self, queries: f64, keys: f64, width: f64) -> Work {
        let bytes = self.number * width * (2.0 * queries + 2.0 * keys);
        Work { flop: 4.0 * queries * keys * width, bytes }
    }

    /// What is done to every number of `rows` vectors: read, written.
    fn elementwise(self, rows: f64, width: f64) -> Work {
        Work { flop: 0.0, bytes: self.number * 2.0 * rows * width }
    }

    /// The vision transformer on one image.
    pub fn vision(self, config: &VisionConfig) -> Work {
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
            // Two norms and two additions.
            self.elementwise(4.0 * tokens, d),
        ];
        let block: Work = block.into_iter().sum();
        let blocks = config.num_hidden_layers as f64;
        self.linear(patches, patch, d) + Work { flop: blocks * block.flop, bytes: blocks * block.bytes }
    }

    /// Text of `tokens` in `passes` passes of equal length (one for a text that is given, one a word for one
    /// that is written), which looks at the image's `patches` of width `image_width`; none for text alone.
    pub fn text(self, config: &TextConfig, tokens: f64, passes: f64, image: Option<(f64, f64)>) -> Work {
        let (d, m) = (config.hidden_size as f64, config.intermediate_size as f64);
        let heads = config.num_attention_heads as f64;
        // Every pass reads the weights anew.
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
                + self.looking(tokens, passes, d, heads, (patches, width));
        }
        let layers = config.num_hidden_layers as f64;
        Work { flop: layers * layer.flop, bytes: layers * layer.bytes }
    }

    /// Cross-attention by keys and values, or by the states, whichever is less (`cross_attention.rs`).
    fn looking(self, tokens: f64, passes: f64, d: f64, heads: f64, (patches, width): (f64, f64)) -> Work {
        let by_keys = self.linear(patches, width, 2.0 * d)
            + Work { flop: 4.0 * tokens * patches * d, bytes: self.number * passes * 2.0 * patches * d };
        let by_states = Work {
            flop: 4.0 * tokens * d * width + 4.0 * tokens * heads * patches * width,
            bytes: self.number * passes * 2.0 * (patches * width + d * width / self.batch),
        };
        if by_states.flop < by_keys.flop { by_states } else { by_keys }
    }

    /// The language model's head for `words` words of a vocabulary.
    pub fn words(self, config: &TextConfig, words: f64) -> Work {
        let (d, vocabulary) = (config.hidden_size as f64, config.vocab_size as f64);
        Self { batch: self.batch / words.max(1.0), ..self }.linear(words, d, vocabulary)
            + self.linear(words, d, d)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand, from the sizes in the paper: 577 tokens of 768 through twelve blocks.
    #[test]
    fn a_vit_b_at_384_pixels_is_111_gflop() {
        let running = Running { batch: 8.0, number: 2.0 };
        let config = VisionConfig { image_size: 384, ..VisionConfig::default() };
        let work = running.vision(&config);
        let by_hand = 12.0 * (577.0 * 2.0 * 12.0 * 768.0 * 768.0 + 4.0 * 577.0 * 577.0 * 768.0)
            + 576.0 * 2.0 * 768.0 * 768.0;
        assert!((work.flop - by_hand).abs() < 1.0, "{} instead of {by_hand}", work.flop);
        assert!((110e9..112e9).contains(&work.flop));
        // A tenth of the 86 million weights' 172 MB, and a few MB of activations a block.
        assert!((0.1e9..0.5e9).contains(&work.bytes), "{}", work.bytes);
    }

    #[test]
    fn few_words_look_at_the_states_and_many_at_keys_and_values() {
        let running = Running { batch: 8.0, number: 2.0 };
        let config = TextConfig::default();
        let image = Some((577.0, 768.0));
        let looking = |tokens: f64| {
            running.text(&config, tokens, 1.0, image).flop - running.text(&config, tokens, 1.0, None).flop
        };
        let projection = 12.0 * 577.0 * 2.0 * 768.0 * 1536.0;
        assert!(looking(20.0) < 0.5 * projection, "a caption of twenty words does without");
        assert!(looking(200.0) > projection, "ten texts do not");
    }
}
