//! A WordPiece vocabulary for this world in the files that tokenizers read: its words whole, everything else in letters.

use crate::grammar::words;
use serde_json::{Map, Value, json};

const SPECIAL: [&str; 5] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
const LETTERS: &str = "abcdefghijklmnopqrstuvwxyz0123456789";
const SIGNS: &str = ".,-_!?$%/&'\":;()#";
/// Words of captioner prompts and of the web's junk that are worth a piece of their own.
const OTHERS: [&str; 8] = ["picture", "photo", "image", "img", "jpg", "free", "shipping", "sale"];

/// All pieces in the order of their ids. `[DEC]` and `[ENC]` are not among them: as in published BLIP models they are the
/// two ids behind the vocabulary.
pub fn pieces() -> Vec<String> {
    let mut pieces: Vec<String> = SPECIAL.iter().map(|piece| (*piece).to_owned()).collect();
    let whole = words().into_iter().chain(OTHERS).map(str::to_owned);
    let letters = LETTERS.chars().map(String::from).chain(LETTERS.chars().map(|c| format!("##{c}")));
    for piece in whole.chain(letters).chain(SIGNS.chars().map(String::from)) {
        if !pieces.contains(&piece) {
            pieces.push(piece);
        }
    }
    pieces
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
    ]
}

fn tokenizer(pieces: &[String]) -> Value {
    let vocabulary: Map<String, Value> = pieces.iter().enumerate().map(|(id, p)| (p.clone(), json!(id))).collect();
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
            "pair": [cls, {"Sequence": {"id": "A", "type_id": 0}}, sep, {"Sequence": {"id": "B", "type_id": 1}},
                     {"SpecialToken": {"id": "[SEP]", "type_id": 1}}],
            "special_tokens": {"[CLS]": special("[CLS]", 2), "[SEP]": special("[SEP]", 3)},
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                  "max_input_chars_per_word": 100, "vocab": vocabulary},
    })
}

fn configuration() -> Value {
    json!({
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": true,
        "strip_accents": null,
        "tokenize_chinese_chars": true,
        "model_max_length": 512,
        "unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]", "mask_token": "[MASK]",
    })
}
