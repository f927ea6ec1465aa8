//! The captioner: BLIP's image-grounded decoder behind the pipeline's `Captioner` trait (BLIP, section 3.3).

use std::path::Path;

use capfilt_pipeline::model::{Caption, Captioner, ModelError, PixelBatch, SampleKey, TokenLogProb};
use capfilt_schemas::settings::Method;
use tch::Tensor;

use crate::{
    config::MedConfig,
    cross_attention::ImageKeys,
    error::{ComputeError, LoadError},
    generate::{
        GenerationOptions, beam::beam, decoder::Decoder, greedy::greedy, logits::Candidate, nucleus::nucleus,
        score_tokens::score_tokens,
    },
    image_encoder::ImageEncoder,
    load::{LoadOptions, Loading},
    role::Role,
    tokens::BertTokens,
};

/// Writes captions with a BLIP captioning checkpoint.
pub struct BlipCaptioner {
    images: ImageEncoder,
    decoder: Decoder,
    tokens: BertTokens,
    config: MedConfig,
    generation: GenerationOptions,
    /// Ids of `[DEC]` and of the prompt's tokens.
    prompt_ids: Vec<i64>,
    /// The prompt, encoded and decoded again.
    prompt_text: String,
}

impl BlipCaptioner {
    /// Loads a folder in Hugging Face's layout, or an original `.pth`.
    ///
    /// # Errors
    /// Names the file or option that is wrong, and why. A filter's folder is recognised as such.
    pub fn load(
        path: &Path,
        options: &LoadOptions,
        generation: GenerationOptions,
    ) -> Result<Self, LoadError> {
        let loading = Loading::start(path, Role::Captioner, options)?;
        let (root, width) = (loading.store.root(), loading.config.vision.hidden_size);
        let decoder = Decoder::load(&root, &loading.config, width, loading.images.device);
        drop(root);
        let (config, tokens, images) = loading.finish()?;
        let prompt_ids = tokens.prompt(&generation.prompt).map_err(LoadError::Options)?;
        generation
            .check(prompt_ids.len(), config.text.max_position_embeddings as usize)
            .map_err(LoadError::Options)?;
        let prompt_text = tokens.decode(&prompt_ids);
        Ok(Self { images, decoder, tokens, config, generation, prompt_ids, prompt_text })
    }

    /// Sizes of the model.
    pub fn config(&self) -> &MedConfig {
        &self.config
    }

    /// Decoding method and its limits.
    pub fn generation(&self) -> &GenerationOptions {
        &self.generation
    }

    /// Tokenizer.
    pub fn tokens(&self) -> &BertTokens {
        &self.tokens
    }

    /// Image encoder.
    pub fn images(&self) -> &ImageEncoder {
        &self.images
    }

    /// Image-grounded text decoder.
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// Runs the vision transformer alone and waits for the result; for benchmarks.
    ///
    /// # Errors
    /// The device fails or has not enough memory.
    pub fn encode(&self, images: &PixelBatch) -> Result<(), ModelError> {
        let states = tch::no_grad(|| self.images.states(images));
        drop(states.map_err(|error| error.at_seam(images.len(), self.images.precision.name()))?);
        if let tch::Device::Cuda(index) = self.images.device {
            tch::Cuda::synchronize(index as i64);
        }
        Ok(())
    }

    /// Generates `captions` captions (ids) for each image, from the vision tower's states (images, tokens,
    /// d).
    pub fn generate(
        &self,
        states: &Tensor,
        keys: &[SampleKey],
        captions: usize,
    ) -> Result<Vec<Vec<Vec<i64>>>, ComputeError> {
        let beams = if self.generation.method == Method::Beam { self.generation.beams } else { 1 };
        let beams = beams.max(captions);
        let image = self.image_keys(states, beams)?;
        match self.generation.method {
            Method::Greedy => {
                let ids = greedy(&self.decoder, &image, &self.prompt_ids, &self.generation)?;
                Ok(ids.into_iter().map(|ids| vec![ids; captions]).collect())
            }
            Method::Nucleus => self.sample(&image, keys, captions),
            // A beam search cannot return more captions than beams, so the search gets more beams instead of
            // an error.
            Method::Beam => beam(&self.decoder, &image, &self.prompt_ids, beams, captions, &self.generation),
        }
    }

    /// Keys of image states (images, tokens, d) for the decoder, for `captions` captions that are decoded
    /// together.
    fn image_keys(&self, states: &Tensor, captions: usize) -> Result<ImageKeys, ComputeError> {
        Ok(self.decoder.tower.image_keys(states, (captions * self.generation.max_length) as i64)?)
    }

    fn sample(
        &self,
        image: &ImageKeys,
        keys: &[SampleKey],
        captions: usize,
    ) -> Result<Vec<Vec<Vec<i64>>>, ComputeError> {
        let ids =
            nucleus(&self.decoder, image, &self.prompt_ids, keys, captions, &self.generation, |_, _| ())?;
        Ok(ids.chunks(captions).map(<[_]>::to_vec).collect())
    }

    /// Samples one caption for one image. Also returns the distribution of each sampled token, most probable
    /// first.
    ///
    /// # Errors
    /// The device fails, or has not enough memory for the image.
    pub fn sample_shown(
        &self,
        image: &PixelBatch,
        key: SampleKey,
    ) -> Result<(Caption, Vec<Vec<Candidate>>), ModelError> {
        let mut shown = Vec::new();
        let ids = tch::no_grad(|| {
            let image = self.image_keys(&self.images.states(image)?, 1)?;
            let watch = |_: usize, candidates: &[Candidate]| shown.push(candidates.to_vec());
            nucleus(&self.decoder, &image, &self.prompt_ids, &[key], 1, &self.generation, watch)
        });
        let mut ids = ids.map_err(|error: ComputeError| error.at_seam(1, self.images.precision.name()))?;
        Ok((self.read(ids.swap_remove(0)), shown))
    }

    /// Text of the caption without the prompt. The prompt is cut off by characters, as in BLIP's code: a
    /// WordPiece may join the prompt's last word.
    fn read(&self, ids: Vec<i64>) -> Caption {
        let text = self.tokens.decode(&ids);
        let text: String = text.chars().skip(self.prompt_text.chars().count()).collect();
        Caption { text: text.trim().to_string(), ids }
    }

    fn try_caption(
        &self,
        images: &PixelBatch,
        keys: &[SampleKey],
        captions: usize,
    ) -> Result<Vec<Vec<Caption>>, ComputeError> {
        if keys.len() != images.len() {
            return Err(ComputeError::Input(format!("{} keys for {} images", keys.len(), images.len())));
        }
        if images.is_empty() || captions == 0 {
            return Ok(vec![Vec::new(); images.len()]);
        }
        let ids = self.generate(&self.images.states(images)?, keys, captions)?;
        Ok(ids.into_iter().map(|image| image.into_iter().map(|ids| self.read(ids)).collect()).collect())
    }

    fn try_log_probs(
        &self,
        images: &PixelBatch,
        captions: &[Vec<i64>],
    ) -> Result<Vec<Vec<TokenLogProb>>, ComputeError> {
        if captions.len() != images.len() {
            return Err(ComputeError::Input(format!(
                "{} captions for {} images",
                captions.len(),
                images.len()
            )));
        }
        let (words, positions) =
            (self.config.text.vocab_size, self.config.text.max_position_embeddings as usize);
        for ids in captions {
            if !ids.starts_with(&self.prompt_ids) {
                let prompt = &self.prompt_ids;
                return Err(ComputeError::Input(format!(
                    "a caption's ids are {ids:?}, but the prompt's are {prompt:?}"
                )));
            }
            // On a GPU, an id out of range would abort the process without a usable message.
            if ids.len() > positions || ids.iter().any(|id| !(0..words).contains(id)) {
                let fault = format!(
                    "a caption's ids are {ids:?}, but there are {words} words and {positions} positions"
                );
                return Err(ComputeError::Input(fault));
            }
        }
        if captions.is_empty() {
            return Ok(Vec::new());
        }
        let image = self.image_keys(&self.images.states(images)?, 1)?;
        score_tokens(&self.decoder, &image, &self.prompt_ids, captions, &self.generation)
    }
}

impl Captioner for BlipCaptioner {
    fn image_side(&self) -> usize {
        self.images.side
    }

    fn caption(
        &mut self,
        images: &PixelBatch,
        keys: &[SampleKey],
        captions: usize,
    ) -> Result<Vec<Vec<Caption>>, ModelError> {
        let result = tch::no_grad(|| self.try_caption(images, keys, captions));
        result.map_err(|error| error.at_seam(images.len(), self.images.precision.name()))
    }

    fn log_probs(
        &mut self,
        images: &PixelBatch,
        captions: &[Vec<i64>],
    ) -> Result<Vec<Vec<TokenLogProb>>, ModelError> {
        let result = tch::no_grad(|| self.try_log_probs(images, captions));
        result.map_err(|error| error.at_seam(images.len(), self.images.precision.name()))
    }
}
