//! Lists of samples whose images are files below `images/`: JSON arrays for BLIP and LLaVA, and the
//! `metadata.jsonl` of Hugging Face's `imagefolder`.
//!
//! BLIP's pre-training reads `{"image": path, "caption": text}`, LLaVA's training `{"id", "image",
//! "conversations"}`. Paths are relative to the list, or begin with `--image-root`.

use super::sidecar;
use crate::{arrange::Sample, kinds::Kinds};
use capfilt_schemas::export::{DATA, Format, Options};
use serde_json::{Map, Value, json};

/// Instructions of LLaVA's samples without `--prompts`.
const PROMPTS: [&str; 4] = [
    "Describe this image in one sentence.",
    "What does this image show?",
    "Write a caption for this image.",
    "Give a short description of this image.",
];

/// Encoder of a list, one sample per line.
pub(super) struct Encoder<'a> {
    kinds: &'a Kinds,
    format: Format,
    image_root: &'a str,
    prompts: &'a [String],
    lines: u64,
}

impl<'a> Encoder<'a> {
    pub fn new(kinds: &'a Kinds, format: Format, options: &'a Options) -> Self {
        let image_root = options.image_root.trim_end_matches('/');
        Self { kinds, format, image_root, prompts: &options.prompts, lines: 0 }
    }

    pub fn add(&mut self, sample: &Sample) -> Vec<u8> {
        let path = sample.image.path();
        let path = if self.image_root.is_empty() { path } else { format!("{}/{path}", self.image_root) };
        let record = match self.format {
            Format::Llava => self.conversation(sample, path),
            Format::Imagefolder => self.metadata(sample, path),
            _ => self.pair(sample, path),
        };
        let before = match (self.format, self.lines) {
            (Format::Imagefolder, 0) => "",
            (Format::Imagefolder, _) => "\n",
            (_, 0) => "[",
            _ => ",\n ",
        };
        self.lines += 1;
        format!("{before}{}", Value::Object(record)).into_bytes()
    }

    fn pair(&self, sample: &Sample, path: String) -> Map<String, Value> {
        let mut record = sidecar::record(sample, self.kinds);
        record.insert("image".to_owned(), json!(path));
        record
    }

    fn metadata(&self, sample: &Sample, path: String) -> Map<String, Value> {
        let mut record = sidecar::record(sample, self.kinds);
        record.insert("file_name".to_owned(), json!(path));
        record.insert("text".to_owned(), json!(sample.caption.text));
        record
    }

    /// A sample of LLaVA's training: an instruction, and the text as its answer. The instruction follows from
    /// the image, so that equal exports have equal bytes.
    fn conversation(&self, sample: &Sample, path: String) -> Map<String, Value> {
        let digest = sample.image.digest.hex();
        let number = usize::from_str_radix(&digest[..8], 16).unwrap_or_default();
        let prompt = match self.prompts {
            [] => PROMPTS[number % PROMPTS.len()],
            prompts => &prompts[number % prompts.len()],
        };
        let turn = |from: &str, value: &str| json!({"from": from, "value": value});
        let question = turn("human", &format!("<image>\n{prompt}"));
        let turns = json!([question, turn("gpt", &sample.caption.text)]);
        let id = sample.key.clone().filter(|key| !key.is_empty()).unwrap_or(digest);
        let fields = [("id", json!(id)), ("image", json!(path)), ("conversations", turns)];
        fields.map(|(name, value)| (name.to_owned(), value)).into_iter().collect()
    }

    pub fn finish(self) -> Vec<u8> {
        match (self.format, self.lines) {
            (Format::Imagefolder, _) => b"\n".to_vec(),
            (_, 0) => b"[]\n".to_vec(),
            _ => b"]\n".to_vec(),
        }
    }
}

/// Path and content of the text file beside an image: its texts, the best first, one per line.
pub(super) fn beside(sample: &Sample) -> (String, Vec<u8>) {
    let path = sample.image.path();
    let stem = path.rsplit_once('.').map_or(path.as_str(), |(stem, _)| stem);
    let line = |text: &str| text.split(['\n', '\r']).collect::<Vec<_>>().join(" ");
    let lines: Vec<String> = sample.captions.iter().map(|caption| line(&caption.text)).collect();
    (format!("{DATA}/{stem}.txt"), format!("{}\n", lines.join("\n")).into_bytes())
}
