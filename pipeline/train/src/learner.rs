//! One step of learning: a batch through MED in the modes its losses need, and back (BLIP, section 3.2).

use capfilt_med::{preprocess::Normalisation, tokens::BertTokens};
use capfilt_schemas::settings::train::{Objective, Sharing};
use tch::{Device, Kind, TchError, Tensor};

use crate::{
    blocks::Recomputed,
    contrast::{Contrast, FeatureQueue, Features, contrast},
    data::Batch,
    error::TrainError,
    language::language,
    matching::{Negatives, matching},
    momentum::MomentumTowers,
    parameters::Parameters,
    texts::{RandomWords, TextRows},
    towers::{Parts, Towers},
};

/// What learns, with all that a step changes besides the optimiser's own state.
pub struct Learner {
    pub parts: Parts,
    pub objective: Objective,
    pub sharing: Sharing,
    pub parameters: Parameters,
    pub memory: Option<Memory>,
    pub tokens: BertTokens,
    pub normalisation: Normalisation,
    pub device: Device,
    /// What the towers compute in; the weights themselves stay as they are.
    pub kind: Kind,
    pub checkpoint_blocks: bool,
}

/// What the contrast remembers.
pub struct Memory {
    pub towers: MomentumTowers,
    pub queue: FeatureQueue,
}

/// The losses of one batch, each (); those that are not trained are absent.
#[derive(Default)]
pub struct Losses {
    pub itc: Option<Tensor>,
    pub itm: Option<Tensor>,
    pub lm: Option<Tensor>,
}

/// A batch on the device.
pub struct Prepared {
    /// (pairs, 3, side, side)
    pub pixels_norm: Tensor,
    /// Starting with `[CLS]`.
    pub texts: TextRows,
    /// Prompt and text, starting with `[DEC]`, and how many ids of it are given.
    pub prompted: Option<(TextRows, i64)>,
    /// (pairs), when pairs of one image are no negatives of each other.
    pub ids: Option<Tensor>,
}

/// What shapes a step besides the batch.
#[derive(Debug, Clone, Copy)]
pub struct StepShape {
    /// Of dropout and negatives.
    pub seed: i64,
    /// Share of the momentum towers' opinion.
    pub alpha: f64,
    /// What the batch's gradient counts, 1 / batches per step.
    pub weight: f64,
    /// Whether momentum towers move, once a step.
    pub first_of_step: bool,
    /// How much a word of the text encoder sees of what is ahead of it, from 0 to 1.
    pub ahead: f64,
}

impl Losses {
    /// What is learnt from; the contrast counts this much.
    pub fn total(&self, contrast_weight: f64) -> Result<Tensor, TchError> {
        let itc = self.itc.as_ref().map(|loss| loss.f_mul_scalar(contrast_weight)).transpose()?;
        let mut parts = [&itc, &self.itm, &self.lm].into_iter().flatten();
        let first = parts
            .next()
            .map_or_else(|| Tensor::f_zeros([0; 0], (Kind::Float, Device::Cpu)), |t| Ok(t.shallow_clone()));
        parts.try_fold(first?, |sum, loss| sum.f_add(loss))
    }
}

impl Learner {
    /// Adds a batch's gradient to the parameters', and moves queue and momentum towers.
    ///
    /// # Errors
    /// libtorch's, memory that ran out among them.
    pub fn learn(&mut self, batch: &Batch, shape: StepShape) -> Result<Losses, TrainError> {
        let mut prepared = self.prepare(batch)?;
        if shape.ahead < 1.0 {
            prepared.texts = prepared.texts.causal(shape.ahead)?;
        }
        tch::manual_seed(shape.seed);
        if self.memory.is_some() {
            self.parameters.clamp_temperature(self.objective.min_temperature)?;
        }
        let towers = self.parameters.towers(&self.parts, self.kind)?;
        if !self.checkpoint_blocks {
            let states = towers.vision.forward(&prepared.pixels_norm)?;
            let losses = self.losses(&towers, &states, &prepared, shape, None)?;
            losses.total(self.objective.contrast_weight)?.f_mul_scalar(shape.weight)?.backward();
            return Ok(losses);
        }
        let recomputed = Recomputed::forward(&towers.vision, &prepared.pixels_norm, shape.seed)?;
        let losses = self.losses(&towers, recomputed.states(), &prepared, shape, None)?;
        losses.total(self.objective.contrast_weight)?.f_mul_scalar(shape.weight)?.backward();
        recomputed.backward(&towers.vision)?;
        Ok(losses)
    }

    /// Brings a batch to the device.
    ///
    /// # Errors
    /// When the tokenizer or the device cannot.
    pub fn prepare(&self, batch: &Batch) -> Result<Prepared, TrainError> {
        let config = &self.parts.config;
        let most = (self.objective.max_tokens as usize).min(config.text.max_position_embeddings as usize);
        let rows = |texts: &[String]| TextRows::new(texts, &self.tokens, config, most, self.device);
        let prompted = if self.parts.decoder {
            let given = self.tokens.prompt(&self.objective.prompt).map_err(TrainError::Tokens)?.len() as i64;
            let texts: Vec<String> =
                batch.texts.iter().map(|text| format!("{}{text}", self.objective.prompt)).collect();
            Some((rows(&texts)?.starting_with(self.tokens.dec())?, given))
        } else {
            None
        };
        let ids = self
            .objective
            .image_ids
            .then(|| Tensor::f_from_slice(&batch.image_ids)?.f_to_device(self.device));
        Ok(Prepared {
            pixels_norm: self.normalisation.apply(&batch.pixels, self.device, self.kind)?,
            texts: rows(&batch.texts)?,
            prompted,
            ids: ids.transpose()?,
        })
    }

    /// The losses of a batch whose image states (pairs, tokens, width) are there. `negatives`: in place of
    /// drawn ones.
    ///
    /// # Errors
    /// libtorch's.
    pub fn losses(
        &mut self,
        towers: &Towers,
        states: &Tensor,
        batch: &Prepared,
        shape: StepShape,
        negatives: Option<Negatives>,
    ) -> Result<Losses, TrainError> {
        let mut losses = Losses::default();
        let mut keys = None;
        if let (Some(encoder), Some(_)) = (&towers.encoder, &towers.itc) {
            let online = towers.features(states, &batch.texts)?;
            let contrast = self.contrast(&online, batch, shape)?;
            if let Some(head) = &towers.itm {
                let negatives = match negatives {
                    Some(negatives) => negatives,
                    None => Negatives::draw(&self.likeness(&online, &contrast)?, batch.ids.as_ref())?,
                };
                let image = encoder.projected_keys(states)?;
                let texts = batch.texts.starting_with(self.tokens.enc())?;
                let (share, vocabulary) = (self.objective.random_words, self.parts.config.text.vocab_size);
                let random = (share > 0.0).then_some(RandomWords { share, vocabulary });
                losses.itm = Some(matching(encoder, head, &texts, &image, &negatives, random.as_ref())?);
                keys = Some(image);
            }
            losses.itc = Some(contrast.loss);
        }
        if let (Some((decoder, head)), Some((texts, given))) = (&towers.decoder, &batch.prompted) {
            // Towers that share their cross-attention read the same of an image.
            let shared = matches!(self.sharing, Sharing::All | Sharing::AllButSa);
            let keys = match keys.filter(|_| shared) {
                Some(keys) => keys,
                None => decoder.projected_keys(states)?,
            };
            losses.lm = Some(language(decoder, head, texts, &keys, *given, self.objective.label_smoothing)?);
        }
        Ok(losses)
    }

    /// The contrast of a batch; its momentum features go into the queue.
    fn contrast(
        &mut self,
        online: &Features,
        batch: &Prepared,
        shape: StepShape,
    ) -> Result<Contrast, TrainError> {
        let memory = self.memory.as_mut().ok_or(TrainError::Bug("a contrast without momentum towers"))?;
        if shape.first_of_step {
            memory.towers.follow(&self.parameters, self.objective.momentum)?;
        }
        let momentum =
            memory.towers.features(&self.parameters, &self.parts, &batch.pixels_norm, &batch.texts)?;
        let temperature = self.parameters.temperature()?;
        let found =
            contrast(online, &momentum, &memory.queue, batch.ids.as_ref(), &temperature, shape.alpha)?;
        let ids = match &batch.ids {
            Some(ids) => ids.shallow_clone(),
            None => Tensor::f_full([momentum.image.size()[0]], -100, (Kind::Int64, self.device))?,
        };
        memory.queue.push(&momentum, &ids)?;
        Ok(found)
    }

    /// What negatives are drawn by: pre-training takes the contrast's own similarities, whose keys are
    /// momentum features; fine-tuning the online features of both sides.
    fn likeness(&self, online: &Features, contrast: &Contrast) -> Result<Contrast, TrainError> {
        if !self.objective.image_ids {
            let clone = |tensor: &Tensor| tensor.shallow_clone();
            return Ok(Contrast {
                loss: clone(&contrast.loss),
                image_to_text: clone(&contrast.image_to_text),
                text_to_image: clone(&contrast.text_to_image),
            });
        }
        tch::no_grad(|| {
            let temperature = self.parameters.temperature()?;
            let image_to_text =
                online.image.f_matmul(&online.text.f_transpose(0, 1)?)?.f_div(&temperature)?;
            let text_to_image = image_to_text.f_transpose(0, 1)?;
            Ok(Contrast { loss: contrast.loss.shallow_clone(), image_to_text, text_to_image })
        })
    }
}
