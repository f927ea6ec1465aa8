//! Files of a checkpoint by name: those that are read, and those with the weights.

use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// Files besides the weights that describe a model. Any other file in a folder (readme, images, TensorFlow's
/// weights) is ignored.
pub const DESCRIPTIONS: [&str; 12] = [
    CALIBRATION,
    "config.json",
    "generation_config.json",
    MERGES,
    OPEN_CLIP,
    "preprocessor_config.json",
    PROCESSOR,
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
    VOCABULARY,
    "vocab.txt",
];

/// Temperature of a filter's matching logits.
pub const CALIBRATION: &str = "calibration.json";

/// Image processor's values of transformers 5; older versions do not know the file.
pub const PROCESSOR: &str = "processor_config.json";

/// Pairs of a tokenizer of byte pairs, as CLIP's, beside its [`VOCABULARY`].
pub const MERGES: &str = "merges.txt";

/// Vocabulary of a tokenizer of byte pairs.
pub const VOCABULARY: &str = "vocab.json";

/// Sizes and image processor's values of OpenCLIP.
pub const OPEN_CLIP: &str = "open_clip_config.json";

/// Descriptions that older versions of this program do not know. A job that such a version planned does not
/// have them in its record, and its models are loaded without them.
pub const NEWER: [&str; 4] = [PROCESSOR, MERGES, VOCABULARY, OPEN_CLIP];

/// Weights of a folder in Hugging Face's layout, in transformers' order, and then OpenCLIP's: only the first
/// existing file is read.
pub const WEIGHTS: [&str; 6] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.bin",
];

/// Suffix of the name of an original BLIP checkpoint.
pub const ORIGINAL: &str = ".pth";

/// Largest index that is read, in bytes; the index of a model with 10,000 tensors has 1 MB.
pub const MAX_INDEX_BYTES: u64 = 64 << 20;

/// Whether a file is an index of weights in several files, not a file of weights.
pub fn is_index(name: &str) -> bool {
    name.ends_with(".index.json")
}

/// Index of sharded weights in the format of `save_pretrained`: the file of each tensor.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct WeightIndex {
    /// File of each tensor, beside the index.
    pub weight_map: BTreeMap<String, String>,
}

impl WeightIndex {
    /// Reads an index.
    ///
    /// # Errors
    /// A sentence about the fault. A file name that leads out of the folder is refused.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let index: Self =
            serde_json::from_slice(text).map_err(|error| format!("not an index of weights: {error}"))?;
        if index.weight_map.is_empty() {
            return Err("the index names no tensor".into());
        }
        if let Some(name) = index.weight_map.values().find(|name| !is_plain(name)) {
            return Err(format!(
                "the index names the file {name:?}, which is not the name of a file beside it"
            ));
        }
        Ok(index)
    }

    /// The files of the index, each once.
    pub fn files(&self) -> BTreeSet<&str> {
        self.weight_map.values().map(String::as_str).collect()
    }

    /// Error text for a missing file.
    pub fn missing(&self, file: &str) -> String {
        let lost = self.weight_map.values().filter(|name| *name == file).count();
        format!(
            "the index names {file}, which is not beside it and holds {lost} of {} tensors",
            self.weight_map.len()
        )
    }
}

fn is_plain(name: &str) -> bool {
    let is_separator = |c: char| c == '/' || c == '\\' || c.is_control();
    !name.is_empty() && name != "." && name != ".." && !name.contains(is_separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_tells_its_files_and_how_much_each_holds() {
        let text =
            br#"{"metadata": {"size": 9}, "weight_map": {"a": "x-1.bin", "b": "x-2.bin", "c": "x-1.bin"}}"#;
        let index = WeightIndex::parse(text).unwrap();
        assert_eq!(index.files().into_iter().collect::<Vec<_>>(), ["x-1.bin", "x-2.bin"]);
        assert!(
            index.missing("x-1.bin").contains("x-1.bin, which is not beside it and holds 2 of 3 tensors")
        );
    }

    #[test]
    fn an_index_that_leads_out_of_its_folder_or_nowhere_is_refused() {
        for name in ["../x.bin", "/etc/passwd", "..", "", "a\\\\b", "a/b.bin"] {
            let error =
                WeightIndex::parse(format!(r#"{{"weight_map": {{"a": "{name}"}}}}"#).as_bytes()).unwrap_err();
            assert!(error.contains("not the name of a file beside it"), "{name}: {error}");
        }
        assert!(WeightIndex::parse(b"{}").unwrap_err().contains("weight_map"));
        assert!(WeightIndex::parse(br#"{"weight_map": {}}"#).unwrap_err().contains("no tensor"));
    }
}
