//! Training data of a run, and the augmentation of its images.

use crate::cut::CutName;
use serde::{Deserialize, Serialize};

/// One source of pairs: files with an image and a text in each row, or a finished cleaning job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSource {
    /// Pairs in Parquet, tars, tables of records or folders of images: a file, or a folder or prefix.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// Instead of `url`: URL of a finished cleaning job, whose newest manifest names the kept pairs.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub job: String,
    /// Name of a cut of the job, instead of the job's own pairs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut: Option<CutName>,
    /// Selection of the kept texts of an image.
    #[serde(default, skip_serializing_if = "is_default")]
    pub texts: Texts,
    /// With `texts = "random"`: probability of a synthetic text if a text of the input was kept too.
    #[serde(default = "half", skip_serializing_if = "is_half")]
    pub synthetic_share: f64,
    /// Column with the row's key.
    #[serde(default = "default_key")]
    pub key: String,
    /// Column with the image: bytes, Hugging Face's struct{bytes, path}, or a path below `url`.
    #[serde(default = "default_image")]
    pub image: String,
    /// Column with the text.
    #[serde(default = "default_text")]
    pub text: String,
    /// `train vqa`, instead of `text`: column with the question.
    #[serde(default = "default_question", skip_serializing_if = "is_default_question")]
    pub question: String,
    /// `train vqa`: column with the answers of people, a text or a list of texts.
    #[serde(default = "default_answers", skip_serializing_if = "is_default_answers")]
    pub answers: String,
    /// `train vqa`: weight of the answers in the loss.
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub answer_weight: f64,
    /// `train nlvr`, instead of `text`: column with the statement about the two images.
    #[serde(default = "default_statement", skip_serializing_if = "is_default_statement")]
    pub statement: String,
    /// `train nlvr`: column with the second image, as bytes or Hugging Face's struct{bytes, path}.
    #[serde(default = "default_second_image", skip_serializing_if = "is_default_second_image")]
    pub second_image: String,
    /// `train nlvr`: column with the truth of the statement: a boolean, 0 and 1, or "True" and "False".
    #[serde(default = "default_label", skip_serializing_if = "is_default_label")]
    pub label: String,
    /// Condition on other columns that selects rows: `truth = 'true'`.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// Times that an epoch contains each pair; with a fraction, every epoch has another part of the pairs.
    #[serde(default = "once")]
    pub weight: f64,
}

/// Selection of an image's kept texts (in BLIP, each text is a separate pair).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "arguments", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum Texts {
    /// Every kept text is a separate pair.
    #[default]
    Both,
    /// Only kept texts of the input.
    Web,
    /// Only kept synthetic texts.
    Synthetic,
    /// Each image is one pair; one of its texts is drawn each time.
    #[cfg_attr(feature = "arguments", value(skip))]
    Random,
    /// Each image is one pair, with the text that matches best.
    Score,
}

impl Texts {
    /// Name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::Web => "web",
            Self::Synthetic => "synthetic",
            Self::Random => "random",
            Self::Score => "score",
        }
    }
}

/// Table of the settings that contains a source, for errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceTable {
    /// `[[data]]` of a training run on texts.
    Data,
    /// `[[data]]` of a training run on questions.
    Questions,
    /// `[[data]]` of a training run on statements about pairs of images.
    Statements,
    /// `[[human]]` of a loop.
    Human,
    /// `[web]` of a loop.
    Web,
}

impl SourceTable {
    /// Selects the name of a key in this table from its names in all tables.
    fn of(self, [data, human, web]: [&'static str; 3]) -> &'static str {
        match self {
            Self::Data | Self::Questions | Self::Statements => data,
            Self::Human => human,
            Self::Web => web,
        }
    }
}

impl DataSource {
    /// Files of pairs with these columns, each pair once.
    pub fn of_files(url: &str, key: &str, image: &str, text: &str, filter: Option<&str>) -> Self {
        let [url, key, image, text] = [url, key, image, text].map(str::to_owned);
        let (job, cut, texts, synthetic_share, weight) =
            (String::new(), None, Texts::default(), half(), once());
        Self {
            url,
            job,
            cut,
            texts,
            synthetic_share,
            key,
            image,
            text,
            question: default_question(),
            answers: default_answers(),
            answer_weight: once(),
            statement: default_statement(),
            second_image: default_second_image(),
            label: default_label(),
            filter: filter.map(str::to_owned),
            weight,
        }
    }

    /// Fault of the source: key, value and remedy.
    pub(super) fn fault(&self, table: SourceTable) -> Option<(&'static str, String, &'static str)> {
        let is_job = !self.job.is_empty();
        let rules = [
            (
                is_job != self.url.is_empty(),
                table.of(["data.url", "human.url", "web.url"]),
                self.url.clone(),
                "each source has a url or a job, and not both",
            ),
            (
                is_job && self.filter.is_some(),
                table.of(["data.where", "human.where", "web.where"]),
                self.filter.clone().unwrap_or_default(),
                "a job has selected its rows already",
            ),
            (
                !is_job && self.cut.is_some(),
                table.of(["data.cut", "human.cut", "web.cut"]),
                self.cut.as_ref().map(ToString::to_string).unwrap_or_default(),
                "only a job has cuts",
            ),
            (
                !is_job && self.texts != Texts::Both,
                table.of(["data.texts", "human.texts", "web.texts"]),
                self.texts.name().into(),
                "only a job has several texts",
            ),
            (
                !(0.0..=1.0).contains(&self.synthetic_share),
                table.of(["data.synthetic_share", "human.synthetic_share", "web.synthetic_share"]),
                self.synthetic_share.to_string(),
                "a share from 0 to 1",
            ),
        ];
        let rules = rules.into_iter().chain(self.faults_of_questions(table));
        let rules = rules.chain(self.faults_of_statements(table));
        let found = rules.into_iter().find(|rule| rule.0);
        found.map(|(_, key, value, next)| (key, value, next))
    }

    /// Rules for the keys of questions: whether the rule is broken, key, value and remedy.
    fn faults_of_questions(&self, table: SourceTable) -> [(bool, &'static str, String, &'static str); 6] {
        const ONLY_QUESTIONS: &str = "only `capfilt train vqa` reads questions";
        let asks = table == SourceTable::Questions;
        let weight = self.answer_weight;
        [
            (
                !asks && !is_default_question(&self.question),
                table.of(["data.question", "human.question", "web.question"]),
                self.question.clone(),
                ONLY_QUESTIONS,
            ),
            (
                !asks && !is_default_answers(&self.answers),
                table.of(["data.answers", "human.answers", "web.answers"]),
                self.answers.clone(),
                ONLY_QUESTIONS,
            ),
            (
                !asks && !is_once(&weight),
                table.of(["data.answer_weight", "human.answer_weight", "web.answer_weight"]),
                weight.to_string(),
                ONLY_QUESTIONS,
            ),
            (
                !(weight > 0.0 && weight <= 1000.0),
                "data.answer_weight",
                weight.to_string(),
                "a number above 0, up to 1000",
            ),
            (
                asks && !self.job.is_empty(),
                "data.job",
                self.job.clone(),
                "the pairs of a job have no questions: set data.url",
            ),
            (
                asks && self.text != default_text(),
                "data.text",
                self.text.clone(),
                "set the column with the question: data.question",
            ),
        ]
    }

    /// Rules for the keys of statements, as [`Self::faults_of_questions`].
    fn faults_of_statements(&self, table: SourceTable) -> [(bool, &'static str, String, &'static str); 5] {
        const ONLY_STATEMENTS: &str = "only `capfilt train nlvr` reads statements about pairs of images";
        let states = table == SourceTable::Statements;
        [
            (
                !states && !is_default_statement(&self.statement),
                table.of(["data.statement", "human.statement", "web.statement"]),
                self.statement.clone(),
                ONLY_STATEMENTS,
            ),
            (
                !states && !is_default_second_image(&self.second_image),
                table.of(["data.second_image", "human.second_image", "web.second_image"]),
                self.second_image.clone(),
                ONLY_STATEMENTS,
            ),
            (
                !states && !is_default_label(&self.label),
                table.of(["data.label", "human.label", "web.label"]),
                self.label.clone(),
                ONLY_STATEMENTS,
            ),
            (
                states && !self.job.is_empty(),
                "data.job",
                self.job.clone(),
                "the pairs of a job have no statements: set data.url",
            ),
            (
                states && self.text != default_text(),
                "data.text",
                self.text.clone(),
                "set the column with the statement: data.statement",
            ),
        ]
    }
}

fn is_default(texts: &Texts) -> bool {
    *texts == Texts::default()
}
fn half() -> f64 {
    0.5
}
fn is_half(share: &f64) -> bool {
    *share == half()
}
fn default_key() -> String {
    "key".to_owned()
}
fn default_image() -> String {
    "jpg".to_owned()
}
fn default_text() -> String {
    "caption".to_owned()
}
fn once() -> f64 {
    1.0
}
fn is_once(weight: &f64) -> bool {
    *weight == once()
}
fn default_question() -> String {
    "question".to_owned()
}
fn is_default_question(column: &str) -> bool {
    column == default_question()
}
fn default_answers() -> String {
    "answers".to_owned()
}
fn is_default_answers(column: &str) -> bool {
    column == default_answers()
}
fn default_statement() -> String {
    "statement".to_owned()
}
fn is_default_statement(column: &str) -> bool {
    column == default_statement()
}
fn default_second_image() -> String {
    "jpg2".to_owned()
}
fn is_default_second_image(column: &str) -> bool {
    column == default_second_image()
}
fn default_label() -> String {
    "label".to_owned()
}
fn is_default_label(column: &str) -> bool {
    column == default_label()
}

/// Random augmentation of an image, each time it is used (BLIP, section 4.1).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Augment {
    /// Part of the image that the model sees.
    pub crop: Crop,
    /// Smallest part of the image that a random crop takes, by area.
    pub min_scale: f64,
    /// Probability of a horizontal flip.
    pub flip: f64,
    /// RandAugment: number of operations per image, and their strength, from 0 to 10.
    pub operations: u32,
    /// Strength of RandAugment's operations, from 0 to 10.
    pub magnitude: f64,
}

/// Part of an image that becomes the model's square.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Crop {
    /// A part of the image, resized to the model's square.
    Random,
    /// The whole image, resized to the model's square.
    Squash,
}
