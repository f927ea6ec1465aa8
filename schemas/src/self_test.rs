//! `known-answers.json`: the scores of a pair of checkpoints for pictures and texts that every machine can
//! generate. A worker process must reproduce them before its first row.

use crate::{
    hash::sha256_hex_of_parts,
    job::JobRecord,
    record::Record,
    settings::{Precision, Preset},
};
use serde::{Deserialize, Deserializer, Serialize};

/// Version of the record, and of the pictures, texts and computations: other ones need another version.
pub const VERSION: u32 = 1;

/// Generated inputs and their results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KnownAnswers {
    /// Version of the record ([`VERSION`]).
    pub version: u32,
    /// Models of the answers.
    pub models: ModelPair,
    /// Origin of the answers.
    pub made: Made,
    /// Scores of every text with every picture.
    pub scores: Vec<KnownScore>,
    /// The most probable caption of every picture; none for a job that loads no captioner.
    pub captions: Vec<KnownCaption>,
}

impl Record for KnownAnswers {
    const VERSION: u32 = VERSION;
    const KIND: &'static str = "set of known answers";
}

/// All inputs that determine the answers. Sampling is not included: the answers are log-probabilities, not
/// drawn tokens, so they hold for every job with these models.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelPair {
    /// Digests of the checkpoints ([`crate::job::ModelRecord::digest`]).
    pub captioner: String,
    /// Digest of the filter's checkpoint.
    pub filter: String,
    /// Reproduced implementation.
    pub preset: Preset,
    /// Text before every caption.
    pub prompt: String,
}

/// Program and device that made the answers, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// Version of the program.
    pub program: String,
    /// Device that computed the answers.
    pub device: String,
    /// Precision of the computation.
    pub precision: Precision,
}

/// The filter's scores of one text with one picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KnownScore {
    /// Name of the picture.
    pub picture: String,
    /// The text, as the filter reads it.
    pub text: String,
    /// P(match).
    #[serde(deserialize_with = "number")]
    pub itm: f32,
    /// Cosine.
    #[serde(deserialize_with = "number")]
    pub itc: f32,
}

/// The captioner's caption of one picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KnownCaption {
    /// Name of the picture.
    pub picture: String,
    /// All token ids, including prompt and end.
    pub ids: Vec<i64>,
    /// Natural logarithms of the probabilities: of every id after the prompt, given the ids before it.
    #[serde(deserialize_with = "numbers")]
    pub log_probabilities: Vec<f32>,
}

impl ModelPair {
    /// Models of a job.
    pub fn of(job: &JobRecord) -> Self {
        Self {
            captioner: job.captioner.digest(),
            filter: job.filter.digest(),
            preset: job.settings.models.preset,
            // The instruction of an endpoint changes no answer of the filter.
            prompt: match job.captioner.is_none() {
                true => String::new(),
                false => job.settings.captioner.prompt.clone(),
            },
        }
    }

    /// Name of the answers' file in the captioner's checkpoint folder, one per pair, preset and prompt.
    pub fn file_name(&self) -> String {
        let preset = format!("{VERSION} {:?}", self.preset);
        let parts =
            [preset.as_bytes(), self.captioner.as_bytes(), self.filter.as_bytes(), self.prompt.as_bytes()];
        format!("known-answers-{}.json", &sha256_hex_of_parts(parts)[..16])
    }
}

impl KnownAnswers {
    /// Reason why the answers are not those of these models; `None` if they are.
    pub fn misfit(&self, models: &ModelPair) -> Option<String> {
        if self.version != VERSION {
            return Some(format!("it has version {}, and this program has {VERSION}", self.version));
        }
        let (theirs, ours) = (&self.models, models);
        let head = |digest: &str| digest.chars().take(12).collect::<String>();
        let digests =
            [("captioner", &theirs.captioner, &ours.captioner), ("filter", &theirs.filter, &ours.filter)];
        if let Some((role, theirs, ours)) = digests.into_iter().find(|(_, theirs, ours)| theirs != ours) {
            let (theirs, ours) = (head(theirs), head(ours));
            return Some(format!(
                "it was made with another {role} (its checkpoint has digest {theirs}, not {ours})"
            ));
        }
        if theirs.preset != ours.preset {
            return Some(format!("it was made with preset {:?}, not {:?}", theirs.preset, ours.preset));
        }
        let is_other = theirs.prompt != ours.prompt;
        is_other.then(|| format!("it was made with the prompt {:?}, not {:?}", theirs.prompt, ours.prompt))
    }
}

/// JSON has no NaN and writes `null`, which is read as NaN. No answer is close to NaN.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f32, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f32::NAN))
}

fn numbers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f32>, D::Error> {
    let numbers = Vec::<Option<f32>>::deserialize(deserializer)?;
    Ok(numbers.into_iter().map(|number| number.unwrap_or(f32::NAN)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn models() -> ModelPair {
        ModelPair { captioner: "c".into(), filter: "f".into(), preset: Preset::Original, prompt: "a ".into() }
    }

    fn answers() -> KnownAnswers {
        let made = Made { program: "0".into(), device: "cpu".into(), precision: Precision::F32 };
        KnownAnswers { version: VERSION, models: models(), made, scores: vec![], captions: vec![] }
    }

    #[test]
    fn answers_of_other_models_name_the_difference() {
        assert_eq!(answers().misfit(&models()), None);
        let misfit = |models: ModelPair| answers().misfit(&models).unwrap();
        assert!(misfit(ModelPair { filter: "g".into(), ..models() }).contains("another filter"));
        assert!(misfit(ModelPair { preset: Preset::Hf, ..models() }).contains("preset"));
        assert!(misfit(ModelPair { prompt: String::new(), ..models() }).contains("prompt"));
        let newer = KnownAnswers { version: VERSION + 1, ..answers() };
        assert!(newer.misfit(&models()).unwrap().contains("version"));
    }

    #[test]
    fn every_pair_preset_and_prompt_has_a_separate_file() {
        let others = [
            ModelPair { captioner: "f".into(), filter: "c".into(), ..models() },
            ModelPair { preset: Preset::Hf, ..models() },
            ModelPair { prompt: "a".into(), ..models() },
        ];
        others.iter().for_each(|other| assert_ne!(other.file_name(), models().file_name()));
    }

    #[test]
    fn nan_is_written_as_null_and_read_as_nan() {
        let score = KnownScore { picture: "p".into(), text: "t".into(), itm: f32::NAN, itc: 0.5 };
        let text = serde_json::to_string(&score).unwrap();
        assert!(text.contains("null"), "{text}");
        let read: KnownScore = serde_json::from_str(&text).unwrap();
        assert!(read.itm.is_nan() && read.itc == 0.5);
    }
}
