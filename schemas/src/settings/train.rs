//! Settings of a training run. `configs/train/*.toml`, one file per task, have the meaning and the default of
//! each key; these files are the defaults, and a user's file overrides them.

mod rules;

use super::{
    SettingsError,
    parse::{apply_override, explain},
    training_data::{Augment, DataSource},
};
use crate::settings::Precision;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

/// A kind of training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "arguments", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// Train MED with ITC, ITM and LM losses on human and web pairs (BLIP, section 3.2).
    Pretrain,
    /// Fine-tune the filter with ITC and ITM losses (BLIP, section 3.3).
    Filter,
    /// Fine-tune the captioner with the LM loss (BLIP, section 3.3).
    Captioner,
    /// Fine-tune the answerer of questions with the LM loss of the answers (BLIP, section 5.3).
    Vqa,
    /// Fine-tune the reasoner about pairs of images: whether a statement is true (BLIP, section 5.4).
    Nlvr,
}

/// All settings of a training run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// Folder, steps and intervals of the run.
    pub run: Run,
    /// Starting weights and regularisation.
    pub model: Model,
    /// Sizes of a model from scratch.
    pub sizes: Sizes,
    /// Losses and their parameters.
    pub objective: Objective,
    /// AdamW and its schedule.
    pub optimizer: Optimizer,
    /// Augmentation of the images.
    pub augment: Augment,
    /// Sources of the pairs.
    #[serde(default)]
    pub data: Vec<DataSource>,
}

/// Folder, steps and intervals of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Local folder of checkpoints, metrics and the model.
    pub folder: String,
    /// Seed of weights, order, augmentation, dropout and negatives.
    pub seed: u64,
    /// Device of the model: `cpu`, `cuda`, `cuda:N` or `auto`.
    pub device: String,
    /// Precision of the arithmetic; the weights stay in f32.
    pub precision: Precision,
    /// Passes over the pairs.
    pub epochs: u32,
    /// Most steps; 0: those of the epochs.
    pub max_steps: u64,
    /// Pairs per step and per ITC loss.
    pub batch: u32,
    /// Batches whose gradients are added up per optimizer step.
    pub accumulate: u32,
    /// Consecutive rows of a file that stay together; 1: all rows are shuffled.
    pub together: u32,
    /// Steps between two lines of metrics.
    pub log_every: u32,
    /// Steps between two checkpoints.
    pub save_every: u32,
    /// Checkpoints to keep.
    pub keep: u32,
    /// Precision of the finished model's file.
    pub save_precision: Precision,
    /// Memory for decoded images in GiB.
    pub cache_gib: f64,
}

/// Starting weights and regularisation of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Checkpoint to start from; empty: from scratch, with the sizes below.
    pub from: String,
    /// Without `from`: folder of the tokenizer.
    pub vocabulary: String,
    /// Without `from`: weights of the image encoder.
    pub vision_weights: String,
    /// Without `from`: BERT weights of the text encoder and decoder.
    pub text_weights: String,
    /// Side of the images in pixels; 0: that of the checkpoint.
    pub image_size: u32,
    /// Amplitude of the waves added to the image's position embeddings; 0: none.
    pub waves: f64,
    /// Parameters that encoder and decoder share.
    pub sharing: Sharing,
    /// Dropout of the text encoder and decoder.
    pub dropout: f64,
    /// Stochastic depth of the image encoder.
    pub drop_path: f64,
    /// Whether the backward pass computes the blocks of the image encoder again: less memory, more time.
    pub checkpoint_blocks: bool,
}

/// Parameters that the two text towers share in joint training (BLIP, table 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sharing {
    /// All parameters.
    All,
    /// All but those of cross-attention.
    AllButCa,
    /// All but those of self-attention.
    AllButSa,
    /// No parameters.
    None,
}

/// Sizes of a model from scratch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sizes {
    /// Side of the images in pixels.
    pub image_size: u32,
    /// Side of a patch in pixels.
    pub patch_size: u32,
    /// Hidden size of the image encoder.
    pub vision_width: u32,
    /// Blocks of the image encoder.
    pub vision_layers: u32,
    /// Attention heads of the image encoder.
    pub vision_heads: u32,
    /// Hidden size of the text towers.
    pub text_width: u32,
    /// Layers of the text towers.
    pub text_layers: u32,
    /// Attention heads of the text towers.
    pub text_heads: u32,
    /// Largest number of tokens of a text.
    pub positions: u32,
    /// Dimension of the ITC features.
    pub projection: u32,
}

/// Losses and their parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Objective {
    /// Losses that are added.
    pub losses: Vec<Loss>,
    /// Momentum of the momentum encoders.
    pub momentum: f64,
    /// ITC features of earlier batches; a multiple of the batch.
    pub queue: u32,
    /// Share of the momentum encoders' soft targets in the ITC targets.
    pub alpha: f64,
    /// Epochs in which `alpha` grows from 0.
    pub alpha_epochs: f64,
    /// Lowest temperature of ITC.
    pub min_temperature: f64,
    /// Weight of the ITC loss relative to the other losses.
    pub contrast_weight: f64,
    /// Number of first steps in which a token of the text encoder attends only to the tokens before it. Over
    /// the same number of further steps, attention to the later tokens is phased in.
    pub causal_steps: u32,
    /// Share of ITM's negative texts whose words are replaced by random ones.
    pub random_words: f64,
    /// Whether pairs of one image are not negatives of each other.
    pub image_ids: bool,
    /// Label smoothing of the LM loss.
    pub label_smoothing: f64,
    /// Text before each caption, without LM loss.
    pub prompt: String,
    /// Tokens to which a text is cut.
    pub max_tokens: u32,
}

/// Loss of the training (BLIP, section 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Loss {
    /// Image-text contrast.
    Itc,
    /// Image-text matching; of the reasoner: a statement with its pair of images.
    Itm,
    /// Language modelling.
    Lm,
}

/// AdamW and its schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Optimizer {
    /// Highest learning rate.
    pub learning_rate: f64,
    /// Learning rate at the end of the schedule.
    pub min_learning_rate: f64,
    /// Learning rate at the start of the warm-up.
    pub warmup_learning_rate: f64,
    /// Steps of the warm-up.
    pub warmup_steps: u32,
    /// Course of the learning rate after the warm-up.
    pub schedule: Schedule,
    /// With `schedule = "decay"`: factor per epoch.
    pub decay: f64,
    /// Weight decay.
    pub weight_decay: f64,
    /// Decay rates of the moments.
    pub betas: [f64; 2],
    /// Term in the denominator of the update.
    pub epsilon: f64,
    /// Largest norm of the gradients; 0: they are not clipped.
    pub clip_norm: f64,
}

/// Course of the learning rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// `rate × decay^epoch`, as in BLIP's pre-training.
    Decay,
    /// Half a cosine, one value per epoch, as in BLIP's fine-tuning.
    Cosine,
    /// Half a cosine, one value per step.
    CosineSteps,
}

impl Task {
    /// The documented defaults.
    pub fn defaults(self) -> &'static str {
        match self {
            Self::Pretrain => include_str!("../../../configs/train/pretrain.toml"),
            Self::Filter => include_str!("../../../configs/train/filter.toml"),
            Self::Captioner => include_str!("../../../configs/train/captioner.toml"),
            Self::Vqa => include_str!("../../../configs/train/vqa.toml"),
            Self::Nlvr => include_str!("../../../configs/train/nlvr.toml"),
        }
    }

    /// Name in settings, arguments and records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pretrain => "pretrain",
            Self::Filter => "filter",
            Self::Captioner => "captioner",
            Self::Vqa => "vqa",
            Self::Nlvr => "nlvr",
        }
    }
}

impl Training {
    /// Reads the settings of a run: overrides take precedence over `text`, and `text` over the task's
    /// defaults.
    ///
    /// # Errors
    /// An unknown key or an invalid value; the error names the key.
    pub fn parse(task: Task, text: &str, overrides: &[String]) -> Result<Self, SettingsError> {
        let mut table: Table = task.defaults().parse().map_err(SettingsError::Syntax)?;
        let mut own: Table = text.parse().map_err(SettingsError::Syntax)?;
        for entry in overrides {
            apply_override(&mut own, entry)?;
        }
        lay_over(&mut table, own);
        let text = toml::to_string(&table).map_err(|error| SettingsError::Content(error.to_string()))?;
        let settings: Self =
            toml::from_str(&text).map_err(|error| SettingsError::Content(explain(&error, &text)))?;
        rules::check(task, &settings)?;
        Ok(settings)
    }

    /// The settings without those that do not affect the model: folder, intervals of writing, device.
    pub fn without_bookkeeping(&self) -> Self {
        let mut settings = self.clone();
        let run = &mut settings.run;
        (run.folder, run.device) = (String::new(), String::new());
        (run.log_every, run.save_every, run.keep, run.cache_gib) = (0, 0, 0, 0.0);
        settings
    }
}

/// Merges tables key by key; any other value of `own` replaces the existing one.
fn lay_over(table: &mut Table, own: Table) {
    for (key, value) in own {
        match (table.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => lay_over(below, above),
            (_, value) => drop(table.insert(key, value)),
        }
    }
}

#[cfg(test)]
mod tests;
