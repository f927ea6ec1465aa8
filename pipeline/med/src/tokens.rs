//! BERT's tokenizer as BLIP uses it: lower-cased WordPieces between `[CLS]` and `[SEP]`, and back to text.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use tokenizers::{
    AddedToken, Tokenizer, models::wordpiece::WordPiece, normalizers::BertNormalizer,
    pre_tokenizers::bert::BertPreTokenizer,
};

use crate::{config::TextConfig, error::LoadError};

type Source = Box<dyn std::error::Error + Send + Sync>;

const SPECIAL: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

/// A tokenizer with the ids of its special tokens.
///
/// `[DEC]` and `[ENC]` are not in the vocabulary that Hugging Face ships; their ids come from the model's config.
pub struct BertTokens {
    tokenizer: Tokenizer,
    special: HashSet<i64>,
    cls: i64,
    sep: i64,
    pad: i64,
    dec: i64,
    enc: i64,
}

impl BertTokens {
    /// Opens `tokenizer.json`, or builds the same from `vocab.txt`.
    ///
    /// # Errors
    /// When neither is there, or the vocabulary lacks a special token.
    pub fn open(folder: &Path, config: &TextConfig) -> Result<Self, LoadError> {
        let (json, vocabulary) = (folder.join("tokenizer.json"), folder.join("vocab.txt"));
        let (path, tokenizer) = if json.is_file() {
            let tokenizer = from_json(&json);
            (json, tokenizer)
        } else if vocabulary.is_file() {
            let tokenizer = from_vocabulary(&vocabulary, do_lower_case(folder)?);
            (vocabulary, tokenizer)
        } else {
            return Err(LoadError::Missing { folder: folder.into(), what: "tokenizer (tokenizer.json or vocab.txt)" });
        };
        let tokenizer = tokenizer.map_err(|source| LoadError::Tokenizer { path: path.clone(), source })?;
        Self::new(tokenizer, config, path)
    }

    /// How many ids a model needs for the tokenizer in a folder: its own, and `[DEC]` and `[ENC]` behind them when it does
    /// not end with these two.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn vocabulary_size(folder: &Path) -> Result<i64, LoadError> {
        let most = TextConfig { vocab_size: i64::from(u32::MAX), ..TextConfig::default() };
        let tokenizer = Self::open(folder, &most)?.tokenizer;
        let size = tokenizer.get_vocab_size(true) as i64;
        let ends = |token: &str, at: i64| tokenizer.token_to_id(token).map(i64::from) == Some(at);
        Ok(if ends("[DEC]", size - 2) && ends("[ENC]", size - 1) { size } else { size + 2 })
    }

    fn new(tokenizer: Tokenizer, config: &TextConfig, path: PathBuf) -> Result<Self, LoadError> {
        let id = |token: &str| {
            let reason = || LoadError::Format { path: path.clone(), reason: format!("the vocabulary has no {token}") };
            tokenizer.token_to_id(token).map(i64::from).ok_or_else(reason)
        };
        let words = tokenizer.get_vocab_size(true) as i64;
        if words > config.vocab_size {
            let reason =
                format!("{words} words, but the model knows {}; is this another model's tokenizer?", config.vocab_size);
            return Err(LoadError::Format { path: path.clone(), reason });
        }
        let (cls, sep, pad) = (id("[CLS]")?, id("[SEP]")?, id("[PAD]")?);
        let (dec, enc) = (config.bos_token_id, config.enc_token_id());
        let known = SPECIAL.iter().filter_map(|token| tokenizer.token_to_id(token)).map(i64::from);
        let special = known.chain([dec, enc]).collect();
        Ok(Self { special, cls, sep, pad, dec, enc, tokenizer })
    }

    /// `[CLS] words [SEP]`, cut to `max_tokens` ids in all.
    ///
    /// # Errors
    /// The tokenizer's own message.
    pub fn encode(&self, text: &str, max_tokens: usize) -> Result<Vec<i64>, String> {
        let words = self.words(text)?;
        let room = max_tokens.saturating_sub(2);
        let mut ids = vec![self.cls];
        ids.extend(words.into_iter().take(room));
        ids.push(self.sep);
        Ok(ids)
    }

    /// `[DEC] words`: what a caption starts from.
    ///
    /// # Errors
    /// The tokenizer's own message.
    pub fn prompt(&self, prompt: &str) -> Result<Vec<i64>, String> {
        let mut ids = vec![self.dec];
        ids.extend(self.words(prompt)?);
        Ok(ids)
    }

    /// Text of `ids`: special tokens dropped, WordPieces joined, English punctuation drawn to its word.
    pub fn decode(&self, ids: &[i64]) -> String {
        let words = ids.iter().filter(|id| !self.special.contains(id));
        let words = words.filter_map(|id| u32::try_from(*id).ok().and_then(|id| self.tokenizer.id_to_token(id)));
        clean_up(&words.collect::<Vec<_>>().join(" ").replace(" ##", ""))
    }

    pub fn sep(&self) -> i64 {
        self.sep
    }

    pub fn pad(&self) -> i64 {
        self.pad
    }

    pub fn cls(&self) -> i64 {
        self.cls
    }

    pub fn dec(&self) -> i64 {
        self.dec
    }

    pub fn enc(&self) -> i64 {
        self.enc
    }

    fn words(&self, text: &str) -> Result<Vec<i64>, String> {
        let encoding = self.tokenizer.encode_fast(text, false).map_err(|error| error.to_string())?;
        Ok(encoding.get_ids().iter().map(|id| i64::from(*id)).collect())
    }
}

/// Draws punctuation and short forms to the word before them, as BERT's decoding always did.
fn clean_up(text: &str) -> String {
    let pairs = [(" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'")];
    let shortened = [(" n't", "n't"), (" 'm", "'m"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re")];
    let all = pairs.into_iter().chain(shortened);
    all.fold(text.trim().to_string(), |text, (from, to)| text.replace(from, to))
}

fn from_json(path: &Path) -> Result<Tokenizer, Source> {
    let mut tokenizer = Tokenizer::from_file(path)?;
    tokenizer.with_padding(None);
    tokenizer.with_truncation(None)?;
    Ok(tokenizer)
}

fn from_vocabulary(path: &Path, lowercase: bool) -> Result<Tokenizer, Source> {
    let path = path.to_str().ok_or("the path is not UTF-8")?;
    let model = WordPiece::from_file(path).unk_token("[UNK]".into()).build()?;
    let mut tokenizer = Tokenizer::new(model);
    tokenizer.with_normalizer(Some(BertNormalizer::new(true, true, None, lowercase)));
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    // In a text these match as a whole, as they do with tokenizer.json.
    tokenizer.add_special_tokens(&SPECIAL.map(|token| AddedToken::from(token, true)));
    Ok(tokenizer)
}

/// Whether the vocabulary is lower-case, from `tokenizer_config.json`; every BLIP's is.
fn do_lower_case(folder: &Path) -> Result<bool, LoadError> {
    #[derive(Deserialize)]
    struct File {
        do_lower_case: Option<bool>,
    }
    let path = folder.join("tokenizer_config.json");
    let Ok(text) = std::fs::read_to_string(&path) else {
        return Ok(true);
    };
    let file: File =
        serde_json::from_str(&text).map_err(|error| LoadError::Format { path, reason: error.to_string() })?;
    Ok(file.do_lower_case.unwrap_or(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn punctuation_is_drawn_to_its_word() {
        assert_eq!(clean_up("a dog , isn ' t it ? it 's a cat ."), "a dog, isn't it? it's a cat.");
    }
}
