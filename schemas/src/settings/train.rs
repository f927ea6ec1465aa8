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
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// MED on human and web pairs: ITC, ITM and LM together (BLIP, section 3.2).
    Pretrain,
    /// The filter: ITC and ITM (BLIP, section 3.3).
    Filter,
    /// The captioner: LM (BLIP, section 3.3).
    Captioner,
}

/// All settings of a training run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    pub run: Run,
    pub model: Model,
    pub sizes: Sizes,
    pub objective: Objective,
    pub optimizer: Optimizer,
    pub augment: Augment,
    #[serde(default)]
    pub data: Vec<DataSource>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    pub folder: String,
    pub seed: u64,
    pub device: String,
    pub precision: Precision,
    pub epochs: u32,
    /// 0: the number of steps of the epochs.
    pub max_steps: u64,
    pub batch: u32,
    pub accumulate: u32,
    pub together: u32,
    pub log_every: u32,
    pub save_every: u32,
    pub keep: u32,
    pub save_precision: Precision,
    pub cache_gib: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Checkpoint to start from; empty: from scratch, with the sizes below.
    pub from: String,
    pub vocabulary: String,
    pub vision_weights: String,
    pub text_weights: String,
    /// 0: the size of the checkpoint.
    pub image_size: u32,
    /// Amplitude of the waves added to the image's position embeddings; 0: none.
    pub waves: f64,
    pub sharing: Sharing,
    pub dropout: f64,
    pub drop_path: f64,
    pub checkpoint_blocks: bool,
}

/// Parameters that the two text towers share in joint training (BLIP, table 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sharing {
    All,
    AllButCa,
    AllButSa,
    None,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sizes {
    pub image_size: u32,
    pub patch_size: u32,
    pub vision_width: u32,
    pub vision_layers: u32,
    pub vision_heads: u32,
    pub text_width: u32,
    pub text_layers: u32,
    pub text_heads: u32,
    pub positions: u32,
    pub projection: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Objective {
    pub losses: Vec<Loss>,
    pub momentum: f64,
    pub queue: u32,
    pub alpha: f64,
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
    pub image_ids: bool,
    pub label_smoothing: f64,
    pub prompt: String,
    pub max_tokens: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Loss {
    Itc,
    Itm,
    Lm,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Optimizer {
    pub learning_rate: f64,
    pub min_learning_rate: f64,
    pub warmup_learning_rate: f64,
    pub warmup_steps: u32,
    pub schedule: Schedule,
    pub decay: f64,
    pub weight_decay: f64,
    pub betas: [f64; 2],
    pub epsilon: f64,
    /// 0: gradients are not clipped.
    pub clip_norm: f64,
}

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
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Pretrain => "pretrain",
            Self::Filter => "filter",
            Self::Captioner => "captioner",
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
        rules::check(&settings)?;
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
mod tests {
    use super::*;

    const OWN: &str = "[run]\nfolder='/r'\n[model]\nvocabulary='/v'\n[[data]]\nurl='/d'\n";

    #[test]
    fn the_defaults_of_every_task_are_blip_s() {
        let of = |task| Training::parse(task, OWN, &[]).unwrap();
        let pretrain = of(Task::Pretrain);
        assert_eq!(pretrain.objective.losses, [Loss::Itc, Loss::Itm, Loss::Lm]);
        assert_eq!(
            (pretrain.objective.queue, pretrain.objective.momentum, pretrain.objective.alpha),
            (57_600, 0.995, 0.4)
        );
        assert_eq!((pretrain.optimizer.learning_rate, pretrain.optimizer.weight_decay), (3e-4, 0.05));
        assert_eq!((pretrain.augment.min_scale, pretrain.objective.max_tokens), (0.2, 30));
        let filter = of(Task::Filter);
        assert_eq!(
            (filter.objective.losses.as_slice(), filter.objective.image_ids),
            ([Loss::Itc, Loss::Itm].as_slice(), true)
        );
        assert_eq!(
            (filter.run.epochs, filter.optimizer.schedule, filter.model.image_size),
            (6, Schedule::Cosine, 384)
        );
        let captioner = of(Task::Captioner);
        assert_eq!((captioner.run.epochs, captioner.objective.max_tokens), (5, 40));
        assert_eq!(captioner.objective.prompt, "a picture of ");
    }

    #[test]
    fn a_user_s_tables_are_laid_over_the_defaults_key_by_key() {
        let overrides = ["objective.queue=120", "run.batch=60"].map(str::to_owned);
        let settings = Training::parse(Task::Filter, OWN, &overrides).unwrap();
        assert_eq!(
            (settings.objective.queue, settings.run.batch, settings.objective.momentum),
            (120, 60, 0.995)
        );
        let data = |source: &str| {
            let text = OWN.replace("url='/d'", source);
            Training::parse(Task::Filter, &text, &[])
                .err()
                .map_or_else(String::new, |error| error.to_string())
        };
        assert_eq!(data("job='/j'\ntexts='random'"), "");
        for wrong in ["weight=1.0", "url='/d'\njob='/j'", "url='/d'\ntexts='web'", "job='/j'\nwhere='a = 1'"]
        {
            assert!(data(wrong).contains("data."), "{wrong}: {}", data(wrong));
        }
        let error =
            Training::parse(Task::Filter, OWN, &["objective.queu=1".to_owned()]).unwrap_err().to_string();
        assert!(error.contains("did you mean `queue`"), "{error}");
        // A captioner has no text encoder.
        for of_an_encoder in ["objective.causal_steps=5", "objective.random_words=0.5"] {
            let alone =
                Training::parse(Task::Captioner, OWN, &[of_an_encoder.to_owned()]).unwrap_err().to_string();
            assert!(alone.contains(of_an_encoder.split('=').next().unwrap()), "{of_an_encoder}: {alone}");
        }
    }

    #[test]
    fn the_demo_s_runs_have_valid_settings() {
        for (task, text) in [
            (Task::Pretrain, include_str!("../../../demo/train/pretrain.toml")),
            (Task::Pretrain, include_str!("../../../demo/train/relations.toml")),
            (Task::Filter, include_str!("../../../demo/train/places.toml")),
            (Task::Filter, include_str!("../../../demo/train/opening.toml")),
            (Task::Filter, include_str!("../../../demo/train/filter.toml")),
            (Task::Filter, include_str!("../../../demo/train/finish.toml")),
            (Task::Captioner, include_str!("../../../demo/train/captioner.toml")),
        ] {
            Training::parse(task, text, &[]).unwrap_or_else(|error| panic!("{}: {error}", task.name()));
        }
    }
}
