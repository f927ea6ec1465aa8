//! A WordPiece vocabulary for the demo data, in the files that tokenizers read: its words are single pieces,
//! other words are split into letters.

use crate::{grammar, junk};
use serde_json::{Map, Value, json};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

const SPECIAL: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
const LETTERS: &str = "abcdefghijklmnopqrstuvwxyz0123456789";
/// BERT splits each of these into a separate token.
const SIGNS: &str = ".,-_!?$%/&'\":;()#*+<=>@[\\]^`{|}~©";
/// Words of captioners' prompts: "a picture of", "a photo of".
const PROMPTS: [&str; 3] = ["picture", "photo", "of"];

/// All pieces in the order of their ids, without `[DEC]` and `[ENC]`: as in published BLIP models, whose
/// tokenizer ends at 30,521, these are the two ids after the vocabulary.
pub fn pieces() -> Vec<String> {
    let whole = grammar::words().into_iter().chain(PROMPTS).chain(junk::words()).map(str::to_owned);
    let letters = LETTERS.chars().map(String::from).chain(LETTERS.chars().map(|c| format!("##{c}")));
    let all = SPECIAL
        .into_iter()
        .map(str::to_owned)
        .chain(whole)
        .chain(SIGNS.chars().map(String::from))
        .chain(letters);
    let mut pieces = Vec::new();
    for piece in all {
        if !pieces.contains(&piece) {
            pieces.push(piece);
        }
    }
    pieces
}

/// `vocab_size` of a model with this vocabulary: the pieces, `[DEC]` (`bos_token_id`, the last but one) and
/// `[ENC]` (the last).
pub fn model_size() -> usize {
    pieces().len() + 2
}

/// A tokenizer that cannot be written.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the message of each variant is its doc
pub enum WriteError {
    #[error("cannot create {}", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("cannot write {}", path.display())]
    File { path: PathBuf, source: io::Error },
}

/// Writes the files of the tokenizer into a folder, which is created if necessary.
///
/// # Errors
/// A folder or file that cannot be written.
pub fn write(folder: &Path) -> Result<(), WriteError> {
    fs::create_dir_all(folder).map_err(|source| WriteError::Folder { path: folder.to_owned(), source })?;
    for (name, text) in files() {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|source| WriteError::File { path, source })?;
    }
    Ok(())
}

/// File names and contents of the tokenizer.
pub fn files() -> Vec<(&'static str, String)> {
    let pieces = pieces();
    let lines: String = pieces.iter().map(|piece| format!("{piece}\n")).collect();
    let pretty = |value: &Value| format!("{value:#}\n");
    vec![
        ("vocab.txt", lines),
        ("tokenizer.json", pretty(&tokenizer(&pieces))),
        ("tokenizer_config.json", pretty(&configuration())),
        ("special_tokens_map.json", pretty(&Value::Object(special_tokens()))),
    ]
}

fn tokenizer(pieces: &[String]) -> Value {
    let vocabulary: Map<String, Value> =
        pieces.iter().enumerate().map(|(id, p)| (p.clone(), json!(id))).collect();
    let added = |(id, content): (usize, &&str)| {
        json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
               "normalized": false, "special": true})
    };
    let special = |token: &str, id: usize| json!({"id": token, "ids": [id], "tokens": [token]});
    let (cls, sep) = (
        json!({"SpecialToken": {"id": "[CLS]", "type_id": 0}}),
        json!({"SpecialToken": {"id": "[SEP]", "type_id": 0}}),
    );
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": SPECIAL.iter().enumerate().map(added).collect::<Vec<_>>(),
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                       "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [cls, {"Sequence": {"id": "A", "type_id": 0}}, sep],
            "pair": [cls, {"Sequence": {"id": "A", "type_id": 0}}, sep,
                     {"Sequence": {"id": "B", "type_id": 1}},
                     {"SpecialToken": {"id": "[SEP]", "type_id": 1}}],
            "special_tokens": {"[CLS]": special("[CLS]", 2), "[SEP]": special("[SEP]", 3)},
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": vocabulary},
    })
}

fn configuration() -> Value {
    let mut all = special_tokens();
    all.extend([
        ("tokenizer_class".to_owned(), json!("BertTokenizer")),
        ("do_lower_case".to_owned(), json!(true)),
        ("strip_accents".to_owned(), json!(null)),
        ("tokenize_chinese_chars".to_owned(), json!(true)),
        ("model_max_length".to_owned(), json!(512)),
        // Decodes "don't" and not "don ' t", as BERT's tokenizer always did.
        ("clean_up_tokenization_spaces".to_owned(), json!(true)),
    ]);
    Value::Object(all)
}

fn special_tokens() -> Map<String, Value> {
    let name = |token: &str| format!("{}_token", token.trim_matches(['[', ']']).to_lowercase());
    SPECIAL.iter().map(|token| (name(token), json!(token))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_word_of_the_grammar_is_one_piece_and_the_vocabulary_stays_small() {
        let pieces: HashSet<String> = pieces().into_iter().collect();
        for word in grammar::words() {
            assert!(pieces.contains(word), "{word}");
        }
        assert!(grammar::words().len() <= 150 && pieces.len() <= 300, "{} pieces", pieces.len());
    }

    #[test]
    fn no_ascii_text_is_unknown() {
        let pieces: HashSet<String> = pieces().into_iter().collect();
        for c in ('!'..='~').filter(|c| !c.is_ascii_uppercase()) {
            assert!(pieces.contains(&c.to_string()), "{c}");
            assert!(c.is_ascii_punctuation() || pieces.contains(&format!("##{c}")), "##{c}");
        }
    }

    #[test]
    fn special_tokens_come_first() {
        assert_eq!(pieces()[..5], SPECIAL);
        assert_eq!(special_tokens()["cls_token"], "[CLS]");
    }
}
