//! FLOP and bytes of captioner and filter per image.

use capfilt_blip::{
    BlipCaptioner, BlipFilter,
    config::MedConfig,
    cost_model::{Cost, CostModel},
};

/// Cost of the models per image.
pub struct Costs {
    running: CostModel,
    /// Cost of one image encoder; both models have one of equal size.
    pub vision: Cost,
    captioner: MedConfig,
    filter: MedConfig,
    prompt: f64,
}

impl Costs {
    /// Costs of loaded models at a batch size.
    pub fn new(batch: usize, captioner: &BlipCaptioner, filter: &BlipFilter) -> Self {
        let number = captioner.images().precision.kind().elt_size_in_bytes() as f64;
        let running = CostModel { batch: batch as f64, number };
        // `BlipCaptioner::load` refuses a prompt that cannot be tokenized.
        let prompt =
            captioner.tokens().prompt(&captioner.generation().prompt).map_or(1, |ids| ids.len()) as f64;
        let (captioner, filter) = (captioner.config().clone(), filter.config().clone());
        Self { running, vision: running.vision(&captioner.vision), captioner, filter, prompt }
    }

    /// Cost of a caption of `ids` tokens, including the prompt, which takes one pass; no pass reads the last
    /// token.
    pub fn caption(&self, ids: f64) -> Cost {
        let words = (ids - self.prompt).max(1.0);
        let config = &self.captioner.text;
        let text = self.running.text(config, ids - 1.0, words, Some(seen(&self.captioner)));
        self.vision + text + self.running.words(config, words)
    }

    /// Cost of judging texts of `tokens` tokens in total, once with the image and once without.
    pub fn score(&self, tokens: f64) -> Cost {
        let config = &self.filter.text;
        let vision = self.running.vision(&self.filter.vision);
        let with_image = self.running.text(config, tokens, 1.0, Some(seen(&self.filter)));
        vision + with_image + self.running.text(config, tokens, 1.0, None)
    }
}

/// Number and width of the image states.
fn seen(config: &MedConfig) -> (f64, f64) {
    let patches = config.vision.grid(config.vision.image_size).pow(2);
    ((patches + 1) as f64, config.vision.hidden_size as f64)
}
