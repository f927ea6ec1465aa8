//! Validation of a tokenizer's file before the tokenizer is built.
//!
//! BLIP's tokenizer is BERT's: a fixed normalizer and WordPieces. A `tokenizer.json` can also contain
//! dangerous steps: replacements that make a text a million times longer, regular expressions that do not
//! terminate. Safe steps are accepted, with a bound on the growth of a text; other steps are refused by name.

use std::path::Path;

use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;
use tokenizers::{
    AddedToken, ModelWrapper, Tokenizer, models::wordpiece::WordPiece, normalizers::BertNormalizer,
    pre_tokenizers::bert::BertPreTokenizer,
};

use crate::{
    error::LoadError,
    small_file::{self, MAX_TOKENIZER_BYTES},
};

/// BERT's special tokens, in the order of their ids.
pub const SPECIAL: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

/// Largest factor by which a normalizer may lengthen a text.
const MAX_GROWTH: f64 = 256.0;
/// Largest number of steps of a normalizer or pre-tokenizer.
const MAX_STEPS: usize = 32;
/// Largest number of tokens outside the vocabulary; BLIP adds two.
const MAX_ADDED: usize = 10_000;
/// Longest word in characters that is split into WordPieces; the time is quadratic in the length. BERT's is
/// 100.
const MAX_WORD: usize = 1000;

/// The parts of `tokenizer.json` that are validated.
#[derive(Deserialize)]
struct File {
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
    #[serde(default)]
    added_tokens: Vec<IgnoredAny>,
}

/// Reads `tokenizer.json`; `None` if the file does not exist.
///
/// # Errors
/// Names the step or the value that BERT's tokenizer does not have.
pub(crate) fn from_json(path: &Path) -> Result<Option<Tokenizer>, LoadError> {
    let Some(text) = small_file::read(path, MAX_TOKENIZER_BYTES)? else { return Ok(None) };
    let refused = |reason: String| LoadError::Format { path: path.into(), reason };
    let file: File = serde_json::from_str(&text).map_err(|error| refused(error.to_string()))?;
    look_over(&file).map_err(refused)?;
    let unreadable = |source| LoadError::Tokenizer { path: path.into(), source };
    let mut tokenizer = Tokenizer::from_bytes(text.as_bytes()).map_err(unreadable)?;
    tokenizer.with_padding(None);
    tokenizer.with_truncation(None).map_err(unreadable)?;
    is_word_piece(&tokenizer).map_err(refused)?;
    Ok(Some(tokenizer))
}

/// Builds the same tokenizer from `vocab.txt`; `None` if the file does not exist.
///
/// # Errors
/// The file is not a list of words.
pub(crate) fn from_vocabulary(path: &Path, lowercase: bool) -> Result<Option<Tokenizer>, LoadError> {
    // Read here for the bounds; the library reads the file again by its name.
    if small_file::read(path, MAX_TOKENIZER_BYTES)?.is_none() {
        return Ok(None);
    }
    let refused = |reason: &str| LoadError::Format { path: path.into(), reason: reason.into() };
    let name = path.to_str().ok_or_else(|| refused("the path is not UTF-8"))?;
    let model = WordPiece::from_file(name).unk_token("[UNK]".into()).build();
    let mut tokenizer =
        Tokenizer::new(model.map_err(|source| LoadError::Tokenizer { path: path.into(), source })?);
    tokenizer.with_normalizer(Some(BertNormalizer::new(true, true, None, lowercase)));
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    is_word_piece(&tokenizer).map_err(|reason| refused(&reason))?;
    // Special tokens match as a whole in a text, as with tokenizer.json. A token that is missing in the
    // vocabulary is not added, because it would get a new id.
    let there = SPECIAL.iter().filter(|token| tokenizer.token_to_id(token).is_some());
    let there: Vec<AddedToken> = there.map(|token| AddedToken::from(*token, true)).collect();
    tokenizer.add_special_tokens(&there);
    Ok(Some(tokenizer))
}

fn look_over(file: &File) -> Result<(), String> {
    if file.added_tokens.len() > MAX_ADDED {
        return Err(format!("{} added tokens; expected {MAX_ADDED} or fewer", file.added_tokens.len()));
    }
    let growth = growth(&file.normalizer)?;
    if growth > MAX_GROWTH {
        return Err(format!(
            "its normalizer can make a text {growth:.0} times as long; expected {MAX_GROWTH:.0} times or \
            fewer"
        ));
    }
    steps(&file.pre_tokenizer, "pretokenizers")?.iter().try_for_each(|step| match kind(step) {
        "BertPreTokenizer" | "Whitespace" | "WhitespaceSplit" | "Punctuation" | "Digits"
        | "UnicodeScripts" | "CharDelimiterSplit" => Ok(()),
        "Split" if step["pattern"]["String"].is_string() => Ok(()),
        other => Err(format!(
            "its pre-tokenizer is {other:?}, which is not implemented; BLIP's is BertPreTokenizer"
        )),
    })
}

/// Factor by which a normalizer can lengthen a text, in bytes.
fn growth(normalizer: &Value) -> Result<f64, String> {
    let mut growth = 1.0;
    for step in steps(normalizer, "normalizers")? {
        growth *= match kind(step) {
            "StripAccents" | "Strip" => 1.0,
            "Lowercase" => 1.5,
            // An accented letter becomes a letter and accents; a Chinese character gets spaces around it.
            "BertNormalizer" | "NFC" | "NFD" => 4.0,
            // One Arabic ligature of 3 bytes becomes 18 letters.
            "NFKC" | "NFKD" => 11.0,
            "Replace" => replacement(step)?,
            other => {
                return Err(format!(
                    "its normalizer is {other:?}, which is not implemented; BLIP's is BertNormalizer"
                ));
            }
        };
    }
    Ok(growth)
}

fn replacement(step: &Value) -> Result<f64, String> {
    match (step["pattern"]["String"].as_str(), step["content"].as_str()) {
        (Some(from), Some(to)) if !from.is_empty() => Ok((to.len() as f64 / from.len() as f64).max(1.0)),
        _ => {
            Err("its normalizer is \"Replace\" with another pattern than a text, which is not implemented"
                .into())
        }
    }
}

/// A single step, or the steps of a sequence. BLIP's files do not nest sequences.
fn steps<'a>(whole: &'a Value, key: &str) -> Result<Vec<&'a Value>, String> {
    if whole.is_null() {
        return Ok(Vec::new());
    }
    let Some(steps) = whole[key].as_array().filter(|_| kind(whole) == "Sequence") else {
        return Ok(vec![whole]);
    };
    if steps.len() > MAX_STEPS {
        return Err(format!("{} {key} one after the other; expected {MAX_STEPS} or fewer", steps.len()));
    }
    Ok(steps.iter().collect())
}

fn kind(step: &Value) -> &str {
    step["type"].as_str().unwrap_or("unknown")
}

/// Checks that the model is WordPiece: captions are joined from WordPieces, so another model would give other
/// texts.
fn is_word_piece(tokenizer: &Tokenizer) -> Result<(), String> {
    let ModelWrapper::WordPiece(model) = tokenizer.get_model() else {
        return Err("its model is not WordPiece, which BLIP's is; is this another model's tokenizer?".into());
    };
    let (unknown, prefix) = (&model.unk_token, &model.continuing_subword_prefix);
    // Added tokens do not count: the model does not have them.
    if !tokenizer.get_vocab(false).contains_key(unknown) {
        return Err(format!("words it does not know become {unknown:?}, which is not in its vocabulary"));
    }
    if prefix != "##" {
        return Err(format!("pieces within a word begin with {prefix:?}, expected \"##\""));
    }
    match model.max_input_chars_per_word {
        1..=MAX_WORD => Ok(()),
        other => Err(format!("max_input_chars_per_word is {other}, expected 1 to {MAX_WORD}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn looked_over(normalizer: Value, pre_tokenizer: Value) -> Result<(), String> {
        look_over(&File { normalizer, pre_tokenizer, added_tokens: Vec::new() })
    }

    #[test]
    fn a_normalizer_that_could_make_a_text_endless_is_refused() {
        let replace =
            |content: String| json!({"type": "Replace", "pattern": {"String": "a"}, "content": content});
        let sequence = |step: Value, n: usize| json!({"type": "Sequence", "normalizers": vec![step; n]});
        for (bomb, growth) in
            [(sequence(replace("aa".into()), 30), "1073741824"), (replace("a".repeat(1000)), "1000")]
        {
            let error = looked_over(bomb, Value::Null).unwrap_err();
            assert!(error.contains(&format!("{growth} times as long")), "{error}");
        }
        assert!(
            looked_over(sequence(replace("aa".into()), 40), Value::Null)
                .unwrap_err()
                .contains("40 normalizers")
        );
        assert!(looked_over(sequence(replace("aa".into()), 4), Value::Null).is_ok());
        let empty = json!({"type": "Replace", "pattern": {"String": ""}, "content": "a"});
        let regex = json!({"type": "Replace", "pattern": {"Regex": "(a*)*b"}, "content": ""});
        for (step, name) in
            [(empty, "Replace"), (regex, "Replace"), (json!({"type": "Precompiled"}), "Precompiled")]
        {
            assert!(looked_over(step, Value::Null).unwrap_err().contains(name));
        }
    }

    #[test]
    fn a_pre_tokenizer_with_a_regular_expression_is_refused() {
        let split = |pattern: Value| {
            json!({
                "type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": false
            })
        };
        let error = looked_over(Value::Null, split(json!({"Regex": "((a*)*)*b"}))).unwrap_err();
        assert!(error.contains("Split"), "{error}");
        assert!(looked_over(Value::Null, split(json!({"String": " "}))).is_ok());
        let bert = (json!({"type": "BertNormalizer"}), json!({"type": "BertPreTokenizer"}));
        assert!(looked_over(bert.0, bert.1).is_ok());
    }
}
