//! BERT's tokenizer as BLIP uses it: lower-case WordPieces between `[CLS]` and `[SEP]`, and decoding to text.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use tokenizers::Tokenizer;

use crate::{
    config::{MedConfig, TextConfig},
    error::LoadError,
    small_file,
    tokenizer_file::{self, SPECIAL},
};

/// Texts are cut to this number of bytes before tokenization. A model reads at most 512 tokens, which are far
/// shorter.
const MAX_TEXT_BYTES: usize = 256 << 10;

/// A tokenizer with the ids of its special tokens.
///
/// `[DEC]` and `[ENC]` are not in the vocabulary that Hugging Face publishes; their ids come from the model's
/// config.
pub struct BertTokens {
    tokenizer: Tokenizer,
    special: HashSet<i64>,
    cls: i64,
    sep: i64,
    pad: i64,
    dec: i64,
    enc: i64,
    /// Exclusive upper bound of the ids.
    end: i64,
    path: PathBuf,
}

impl BertTokens {
    /// Opens `tokenizer.json`, or builds the same tokenizer from `vocab.txt`.
    ///
    /// # Errors
    /// Both files are missing, or the vocabulary lacks a special token.
    pub fn open(folder: &Path, config: &TextConfig) -> Result<Self, LoadError> {
        let (json, vocabulary) = (folder.join("tokenizer.json"), folder.join("vocab.txt"));
        if let Some(tokenizer) = tokenizer_file::from_json(&json)? {
            return Self::new(tokenizer, config, json);
        }
        match tokenizer_file::from_vocabulary(&vocabulary, do_lower_case(folder)?)? {
            Some(tokenizer) => Self::new(tokenizer, config, vocabulary),
            None => Err(LoadError::Missing {
                folder: folder.into(),
                what: "tokenizer (tokenizer.json or vocab.txt)",
            }),
        }
    }

    /// Number of ids that a model needs for the tokenizer in a folder: its vocabulary, plus `[DEC]` and
    /// `[ENC]` unless the vocabulary ends with them.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn vocabulary_size(folder: &Path) -> Result<i64, LoadError> {
        let most = TextConfig { vocab_size: i64::from(u32::MAX), ..TextConfig::default() };
        let Self { tokenizer, end: size, .. } = Self::open(folder, &most)?;
        let ends = |token: &str, at: i64| tokenizer.token_to_id(token).map(i64::from) == Some(at);
        Ok(if ends("[DEC]", size - 2) && ends("[ENC]", size - 1) { size } else { size + 2 })
    }

    fn new(tokenizer: Tokenizer, config: &TextConfig, path: PathBuf) -> Result<Self, LoadError> {
        let format = |reason: String| LoadError::Format { path: path.clone(), reason };
        let id = |token: &str| {
            let missing = || format(format!("the vocabulary has no {token}"));
            tokenizer.token_to_id(token).map(i64::from).ok_or_else(missing)
        };
        let last = tokenizer.get_vocab(true).into_iter().max_by_key(|(_, id)| *id);
        let (word, last) = last.map(|(word, id)| (word, i64::from(id))).unwrap_or_default();
        if last >= config.vocab_size {
            return Err(format(format!(
                "{word:?} has the id {last}, but the model knows {} ids; is this another model's tokenizer?",
                config.vocab_size
            )));
        }
        let (cls, sep, pad, unk) = (id("[CLS]")?, id("[SEP]")?, id("[PAD]")?, id("[UNK]")?);
        if [sep, pad, unk].contains(&cls) || [pad, unk].contains(&sep) || pad == unk {
            return Err(format("[CLS], [SEP], [PAD] and [UNK] do not have an id each".into()));
        }
        let dec = config.bos_token_id;
        let enc = tokenizer.token_to_id("[ENC]").map_or(config.enc_token_id(), i64::from);
        let known = SPECIAL.iter().filter_map(|token| tokenizer.token_to_id(token)).map(i64::from);
        let special = known.chain([dec, enc]).collect();
        Ok(Self { special, cls, sep, pad, dec, enc, end: last + 1, tokenizer, path })
    }

    /// Checks that the ids of a config are this tokenizer's: a caption ends at `[SEP]`, texts are padded with
    /// `[PAD]`, and a caption begins with `[DEC]`, which must not be a word. (`eos_token_id` is wrong in
    /// published files, and not read.)
    ///
    /// # Errors
    /// Names the key, its value, and the expected value.
    pub(crate) fn check_ids(&self, config: &TextConfig) -> Result<(), String> {
        let tokenizer = self.path.file_name().unwrap_or_default().to_string_lossy();
        let ids = [
            ("sep_token_id", config.sep_token_id, "[SEP]", self.sep),
            ("pad_token_id", config.pad_token_id, "[PAD]", self.pad),
        ];
        for (key, found, token, own) in ids {
            if found != own {
                return Err(format!("{key} of text_config is {found}, but {token} is {own} in {tokenizer}"));
            }
        }
        let (dec, size) = (config.bos_token_id, config.vocab_size);
        let word = u32::try_from(dec).ok().and_then(|id| self.tokenizer.id_to_token(id));
        match (word, self.tokenizer.token_to_id("[DEC]").map(i64::from)) {
            _ if !(0..size).contains(&dec) => Err(format!(
                "bos_token_id of text_config is {dec}, but the model knows {size} ids (vocab_size)"
            )),
            (_, Some(own)) if own != dec => {
                Err(format!("bos_token_id of text_config is {dec}, but [DEC] is {own} in {tokenizer}"))
            }
            (Some(word), None) => Err(format!(
                "bos_token_id of text_config is {dec}, which is {word:?} in {tokenizer}; expected the id of \
                [DEC], which \
                 begins every caption and is not a word of the vocabulary ({} or more)",
                self.end
            )),
            _ => Ok(()),
        }
    }

    /// Checks that the model's last id is free for `[ENC]`: no word of the tokenizer may have this id.
    ///
    /// # Errors
    /// Names the word that has the id.
    pub(crate) fn check_enc(&self) -> Result<(), String> {
        let word = u32::try_from(self.enc).ok().and_then(|id| self.tokenizer.id_to_token(id));
        match word {
            Some(word) if word != "[ENC]" => Err(format!(
                "the model's last id, {}, is {word:?} in {} and so cannot be [ENC], which begins every text \
                that is \
                 matched; is vocab_size of config.json right?",
                self.enc,
                self.path.display()
            )),
            _ => Ok(()),
        }
    }

    /// Completes the config of an original checkpoint, which has no config file, with this tokenizer's ids.
    pub(crate) fn named_in(&self, mut config: MedConfig) -> MedConfig {
        (config.text.sep_token_id, config.text.pad_token_id) = (self.sep, self.pad);
        config
    }

    /// Ids of `[CLS] text [SEP]`, cut to `max_tokens` ids in total.
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

    /// Ids of `[DEC] prompt`, with which a caption starts.
    ///
    /// # Errors
    /// The tokenizer's own message.
    pub fn prompt(&self, prompt: &str) -> Result<Vec<i64>, String> {
        let mut ids = vec![self.dec];
        ids.extend(self.words(prompt)?);
        Ok(ids)
    }

    /// Text of `ids`, without special tokens, with joined WordPieces and English punctuation attached to the
    /// word before.
    pub fn decode(&self, ids: &[i64]) -> String {
        let words = ids.iter().filter(|id| !self.special.contains(id));
        let words =
            words.filter_map(|id| u32::try_from(*id).ok().and_then(|id| self.tokenizer.id_to_token(id)));
        clean_up(&words.collect::<Vec<_>>().join(" ").replace(" ##", ""))
    }

    /// Id of `[SEP]`.
    pub fn sep(&self) -> i64 {
        self.sep
    }

    /// Id of `[PAD]`.
    pub fn pad(&self) -> i64 {
        self.pad
    }

    /// Id of `[CLS]`.
    pub fn cls(&self) -> i64 {
        self.cls
    }

    /// Id of `[DEC]`.
    pub fn dec(&self) -> i64 {
        self.dec
    }

    /// Id of `[ENC]`.
    pub fn enc(&self) -> i64 {
        self.enc
    }

    fn words(&self, text: &str) -> Result<Vec<i64>, String> {
        let text = &text[..text.floor_char_boundary(MAX_TEXT_BYTES)];
        let encoding = self.tokenizer.encode_fast(text, false).map_err(|error| error.to_string())?;
        Ok(encoding.get_ids().iter().map(|id| i64::from(*id)).collect())
    }
}

/// Attaches punctuation and short forms to the word before them, as BERT's decoding does.
fn clean_up(text: &str) -> String {
    let pairs = [(" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'")];
    let shortened = [(" n't", "n't"), (" 'm", "'m"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re")];
    let all = pairs.into_iter().chain(shortened);
    all.fold(text.trim().to_string(), |text, (from, to)| text.replace(from, to))
}

/// Whether the vocabulary is lower-case, from `tokenizer_config.json`; that of every BLIP is.
fn do_lower_case(folder: &Path) -> Result<bool, LoadError> {
    #[derive(Deserialize)]
    struct File {
        do_lower_case: Option<bool>,
    }
    let path = folder.join("tokenizer_config.json");
    let Some(text) = small_file::read(&path, small_file::MAX_DESCRIPTION_BYTES)? else { return Ok(true) };
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
