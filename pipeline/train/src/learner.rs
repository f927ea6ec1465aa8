//! One training step: forward pass of MED in the modes of its losses, and backward pass (BLIP, section 3.2).

use capfilt_blip::{preprocess::Normalisation, tokens::BertTokens};
use capfilt_schemas::settings::train::{Objective, Sharing};
use tch::{Device, Kind, TchError, Tensor};

use crate::{
    answers::{AnswerRows, answering},
    blocks::Recomputed,
    contrast::{Contrast, FeatureQueue, Features, contrast},
    data::Batch,
    error::TrainError,
    language::language,
    matching::{Negatives, matching},
    momentum::MomentumTowers,
    parameters::Parameters,
    statements::judging,
    texts::{RandomWords, TextRows},
    towers::{Attends, Parts, Towers},
};

/// The trained weights, and all state that a step changes except the optimiser's.
pub struct Learner {
    /// Parts of MED that are trained.
    pub parts: Parts,
    /// Losses and their settings.
    pub objective: Objective,
    /// Weights that the text towers share.
    pub sharing: Sharing,
    /// The trained weights.
    pub parameters: Parameters,
    /// State of the contrastive loss, if the loss is trained.
    pub memory: Option<Memory>,
    /// Tokenizer.
    pub tokens: BertTokens,
    /// Normalisation of the pixels.
    pub normalisation: Normalisation,
    /// Device of all tensors.
    pub device: Device,
    /// dtype of the towers' computation; the weights stay in their own dtype.
    pub kind: Kind,
    /// Whether the blocks of the image encoder are computed again in the backward pass.
    pub checkpoint_blocks: bool,
}

/// State of the contrastive loss: queue and momentum towers.
pub struct Memory {
    /// Momentum towers.
    pub towers: MomentumTowers,
    /// Queue of features.
    pub queue: FeatureQueue,
}

/// Losses of one batch, each (); `None` for a loss that is not trained.
#[derive(Default)]
pub struct Losses {
    pub itc: Option<Tensor>,
    pub itm: Option<Tensor>,
    pub lm: Option<Tensor>,
}

/// A batch on the device.
pub struct Prepared {
    /// (pairs, 3, side, side); of statements (2 × pairs, 3, side, side), all first images and then all second
    /// ones.
    pub pixels_norm: Tensor,
    /// Texts that start with `[CLS]`.
    pub texts: TextRows,
    /// Prompt and text, starting with `[DEC]`, and the number of ids of `[DEC]` and prompt.
    pub prompted: Option<(TextRows, i64)>,
    /// Answers to the questions, if the texts are questions.
    pub answers: Option<AnswerRows>,
    /// Truth of the statements (pairs), int64, if the texts are statements about pairs of images.
    pub labels: Option<Tensor>,
    /// Image ids (pairs), if pairs of one image must not be negatives of each other.
    pub ids: Option<Tensor>,
}

/// Parameters of a step besides the batch.
#[derive(Debug, Clone, Copy)]
pub struct StepShape {
    /// Seed of dropout and negatives.
    pub seed: i64,
    /// Weight of the momentum towers' softmax in the targets.
    pub alpha: f64,
    /// Weight of the batch's gradient: 1 / batches per step.
    pub weight: f64,
    /// Whether this batch is the first of its step: momentum towers move once per step.
    pub first_of_step: bool,
    /// Weight of later tokens in the text encoder's self-attention, from 0 to 1.
    pub ahead: f64,
}

impl Losses {
    /// Sum of the losses; the contrastive loss has this weight.
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
    /// Adds a batch's gradient to the parameters', and updates queue and momentum towers.
    ///
    /// # Errors
    /// libtorch's errors, such as out of memory.
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

    /// Copies a batch to the device.
    ///
    /// # Errors
    /// The tokenizer or the device fails.
    pub fn prepare(&self, batch: &Batch) -> Result<Prepared, TrainError> {
        let config = &self.parts.config;
        let most = (self.objective.max_tokens as usize).min(config.text.max_position_embeddings as usize);
        let rows = |texts: &[String]| TextRows::new(texts, &self.tokens, config, most, self.device);
        let (mut prompted, mut answers) = (None, None);
        match self.parts.decoder {
            Some(Attends::ToImage) => {
                let prompt = &self.objective.prompt;
                let given = self.tokens.prompt(prompt).map_err(TrainError::Tokens)?.len() as i64;
                let texts: Vec<String> = batch.texts.iter().map(|text| format!("{prompt}{text}")).collect();
                prompted = Some((rows(&texts)?.starting_with(self.tokens.dec())?, given));
            }
            Some(Attends::ToQuestion) => {
                answers = Some(AnswerRows::new(&batch.answers, &self.tokens, config, most, self.device)?);
            }
            None => {}
        }
        let numbers = |numbers: &[i64]| Tensor::f_from_slice(numbers)?.f_to_device(self.device);
        let ids = self.objective.image_ids.then(|| numbers(&batch.image_ids));
        let labels = self.parts.reasoner.then(|| numbers(&batch.labels));
        Ok(Prepared {
            pixels_norm: self.normalisation.apply(&batch.pixels, self.device, self.kind)?,
            texts: rows(&batch.texts)?,
            prompted,
            answers,
            labels: labels.transpose()?,
            ids: ids.transpose()?,
        })
    }

    /// Computes the losses of a batch from its image states (pairs, tokens, width). `negatives` replace
    /// sampled ones.
    ///
    /// # Errors
    /// Returns libtorch's errors.
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
            // Towers that share their cross-attention have the same keys of an image.
            let shared = matches!(self.sharing, Sharing::All | Sharing::AllButSa);
            let keys = match keys.filter(|_| shared) {
                Some(keys) => keys,
                None => decoder.projected_keys(states)?,
            };
            losses.lm = Some(language(decoder, head, texts, &keys, *given, self.objective.label_smoothing)?);
        }
        if let (Some(encoder), Some((decoder, head)), Some(answers)) =
            (&towers.encoder, &towers.decoder, &batch.answers)
        {
            let questions = batch.texts.starting_with(self.tokens.enc())?;
            let smoothing = self.objective.label_smoothing;
            let decoder = (decoder, head);
            losses.lm = Some(answering(encoder, decoder, &questions, states, answers, smoothing)?);
        }
        if let (Some((encoder, head)), Some(labels)) = (&towers.reasoner, &batch.labels) {
            let statements = batch.texts.starting_with(self.tokens.enc())?;
            losses.itm = Some(judging(encoder, head, &statements, states, labels)?);
        }
        Ok(losses)
    }

    /// Contrastive loss of a batch; its momentum features are added to the queue.
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

    /// Similarities from which negatives are sampled. Pre-training uses those of the contrastive loss, whose
    /// keys are momentum features; fine-tuning uses the online features of both sides.
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
