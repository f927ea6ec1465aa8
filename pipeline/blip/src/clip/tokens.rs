//! CLIP's tokenizer: lower-case byte pairs between the tokens of start and end.
//!
//! The steps before the byte pairs are fixed, because a `tokenizer.json` can contain regular expressions that
//! do not terminate: a file with CLIP's steps is read, any other is refused by the step that differs.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tokenizers::Tokenizer;

use super::config::{ClipConfig, EndToken};
use crate::{
    error::LoadError,
    small_file::{self, MAX_TOKENIZER_BYTES},
};

const START: &str = "<|startoftext|>";
const END: &str = "<|endoftext|>";

/// Words of a text: short forms, letters, single digits, and other characters without spaces.
const WORDS: &str = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// Texts are cut to this number of bytes before tokenization. A model reads 77 tokens, which are far shorter.
const MAX_TEXT_BYTES: usize = 256 << 10;

/// Largest number of tokens outside the vocabulary; CLIP has two.
const MAX_ADDED: usize = 10_000;

/// A tokenizer with its ids of start and end.
pub struct ClipTokens {
    tokenizer: Tokenizer,
    start: i64,
    end: i64,
    positions: usize,
    pooled: EndToken,
}

impl ClipTokens {
    /// Opens `tokenizer.json`, or builds the same tokenizer from `vocab.json` and `merges.txt`.
    ///
    /// # Errors
    /// The files are missing, or do not have CLIP's tokenizer; and a vocabulary that the model does not know.
    pub(super) fn open(folder: &Path, config: &ClipConfig) -> Result<Self, LoadError> {
        let (path, text) = text_of(folder)?;
        let refused = |reason: String| LoadError::Format { path: path.clone(), reason };
        let file: Value = serde_json::from_str(&text).map_err(|error| refused(error.to_string()))?;
        look_over(&file).map_err(refused)?;
        let unreadable = |source| LoadError::Tokenizer { path: path.clone(), source };
        let mut tokenizer = Tokenizer::from_bytes(text.as_bytes()).map_err(unreadable)?;
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(unreadable)?;
        Self::new(tokenizer, config).map_err(refused)
    }

    fn new(tokenizer: Tokenizer, config: &ClipConfig) -> Result<Self, String> {
        let id = |token: &str| {
            let found = tokenizer.token_to_id(token).map(i64::from);
            found.ok_or_else(|| format!("the vocabulary has no {token}"))
        };
        let (start, end) = (id(START)?, id(END)?);
        let last = tokenizer.get_vocab(true).into_iter().max_by_key(|(_, id)| *id);
        let (word, last) = last.map(|(word, id)| (word, i64::from(id))).unwrap_or_default();
        if last >= config.vocab_size {
            return Err(format!(
                "{word:?} has the id {last}, but the model knows {} ids; is this another model's tokenizer?",
                config.vocab_size
            ));
        }
        match config.end {
            EndToken::Id(other) if other != end => {
                return Err(format!("{END} has the id {end}, but eos_token_id of config.json is {other}"));
            }
            EndToken::LargestId if last != end => {
                return Err(format!(
                    "{word:?} has the largest id, {last}; the model takes the state of the largest id, which \
                     must be that of {END}"
                ));
            }
            _ => {}
        }
        Ok(Self { tokenizer, start, end, positions: config.positions as usize, pooled: config.end })
    }

    /// Ids of a text between start and end, cut to the model's positions.
    ///
    /// # Errors
    /// The tokenizer's own message.
    pub fn encode(&self, text: &str) -> Result<Vec<i64>, String> {
        let text = &text[..text.floor_char_boundary(MAX_TEXT_BYTES)];
        let encoding = self.tokenizer.encode_fast(text, false).map_err(|error| error.to_string())?;
        let words = encoding.get_ids().iter().map(|id| i64::from(*id)).take(self.positions - 2);
        Ok([self.start].into_iter().chain(words).chain([self.end]).collect())
    }

    /// Position of the token whose state is the text's. A text may contain the end token itself.
    pub(super) fn end_of(&self, ids: &[i64]) -> usize {
        let id = match self.pooled {
            EndToken::LargestId => ids.iter().max().copied().unwrap_or(self.end),
            EndToken::Id(id) => id,
        };
        ids.iter().position(|found| *found == id).unwrap_or_default()
    }

    /// Id of the end token, with which texts of a batch are padded.
    pub fn end(&self) -> i64 {
        self.end
    }
}

/// Text of `tokenizer.json`, or the same of `vocab.json` and `merges.txt`, and the path that errors name.
fn text_of(folder: &Path) -> Result<(PathBuf, String), LoadError> {
    let [json, vocabulary, merges] =
        ["tokenizer.json", "vocab.json", "merges.txt"].map(|name| folder.join(name));
    if let Some(text) = small_file::read(&json, MAX_TOKENIZER_BYTES)? {
        return Ok((json, text));
    }
    let missing = || LoadError::Missing {
        folder: folder.into(),
        what: "tokenizer of CLIP (tokenizer.json, or vocab.json and merges.txt)",
    };
    let words = small_file::read(&vocabulary, MAX_TOKENIZER_BYTES)?.ok_or_else(missing)?;
    let pairs = small_file::read(&merges, MAX_TOKENIZER_BYTES)?.ok_or_else(missing)?;
    let words: Value = serde_json::from_str(&words)
        .map_err(|error| LoadError::Format { path: vocabulary.clone(), reason: error.to_string() })?;
    Ok((vocabulary, whole(&words, &pairs).to_string()))
}

/// The `tokenizer.json` of a vocabulary and the lines of `merges.txt`.
fn whole(vocabulary: &Value, merges: &str) -> Value {
    let is_pair = |line: &&str| !line.is_empty() && !line.starts_with("#version");
    let added = [START, END].into_iter().filter_map(|token| {
        let id = vocabulary[token].as_u64()?;
        let flags = json!({"single_word": false, "lstrip": false, "rstrip": false, "normalized": false});
        let mut added = json!({"id": id, "content": token, "special": true});
        added.as_object_mut()?.extend(flags.as_object()?.clone());
        Some(added)
    });
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added.collect::<Vec<Value>>(),
        "normalizer": normalizer(),
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            split(WORDS),
            {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        ]},
        "post_processor": null,
        "decoder": null,
        "model": {
            "type": "BPE", "dropout": null, "unk_token": END, "continuing_subword_prefix": "",
            "end_of_word_suffix": "</w>", "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": vocabulary, "merges": merges.lines().filter(is_pair).collect::<Vec<_>>(),
        },
    })
}

fn normalizer() -> Value {
    json!({"type": "Sequence", "normalizers": [
        {"type": "NFC"},
        {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
        {"type": "Lowercase"},
    ]})
}

fn split(words: &str) -> Value {
    json!({"type": "Split", "pattern": {"Regex": words}, "behavior": "Removed", "invert": true})
}

/// Checks that a `tokenizer.json` has CLIP's steps.
fn look_over(file: &Value) -> Result<(), String> {
    let added = file["added_tokens"].as_array().map_or(0, Vec::len);
    if added > MAX_ADDED {
        return Err(format!("{added} added tokens; expected {MAX_ADDED} or fewer"));
    }
    if file["normalizer"] != normalizer() {
        return Err(format!("its normalizer is not CLIP's, which is {}", normalizer()));
    }
    // Newer files name start and end in the pattern; they are special tokens, and never reach it.
    let newer = format!(r"<\|startoftext\|>|<\|endoftext\|>|{WORDS}");
    let steps = &file["pre_tokenizer"]["pretokenizers"];
    let byte_level = &steps[1];
    let is_byte_level = byte_level["type"] == "ByteLevel"
        && byte_level["add_prefix_space"] == false
        && byte_level["use_regex"].as_bool().unwrap_or(true);
    let is_split = [WORDS, newer.as_str()].into_iter().any(|words| steps[0] == split(words));
    let has_two = file["pre_tokenizer"]["type"] == "Sequence" && steps.as_array().map_or(0, Vec::len) == 2;
    if !(is_split && is_byte_level && has_two) {
        return Err(format!(
            "its pre-tokenizer is not CLIP's, which is {} and then ByteLevel without a space before the text",
            split(WORDS)
        ));
    }
    of_model(&file["model"])
}

/// Checks that the model is byte pairs with the end of a word marked.
fn of_model(model: &Value) -> Result<(), String> {
    let empty = |value: &Value| value.is_null() || value == "" || *value == false;
    // Old files do not name the type.
    let is_bpe = model["type"].as_str().is_none_or(|kind| kind == "BPE");
    if !is_bpe || model["end_of_word_suffix"] != "</w>" {
        return Err("its model is not byte pairs (BPE) whose words end with \"</w>\"; is this another \
                    model's tokenizer?"
            .into());
    }
    let other = ["dropout", "continuing_subword_prefix", "fuse_unk", "byte_fallback", "ignore_merges"]
        .into_iter()
        .find(|key| !empty(&model[*key]));
    if let Some(key) = other {
        return Err(format!("{key} of its model is {}, which CLIP's does not have", model[key]));
    }
    match model["unk_token"].as_str() {
        Some(unknown) if !model["vocab"][unknown].is_u64() => {
            Err(format!("characters it does not know become {unknown:?}, which is not in its vocabulary"))
        }
        _ => Ok(()),
    }
}
