//! A model of width 8, as in `reference.py`, and the lock of libtorch's random generator.

pub mod fine_tuning;
pub mod golden;

use capfilt_blip::{
    config::{MedConfig, TextConfig, VisionConfig},
    tokens::BertTokens,
};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// libtorch has one random generator for all threads. Every test that samples or trains holds this lock, so
/// that no other test takes numbers from between its own.
pub fn alone_with_the_generator() -> MutexGuard<'static, ()> {
    static GENERATOR: Mutex<()> = Mutex::new(());
    GENERATOR.lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn config() -> MedConfig {
    let vision = VisionConfig {
        hidden_size: 8,
        intermediate_size: 32,
        num_hidden_layers: 2,
        num_attention_heads: 2,
        image_size: 16,
        patch_size: 8,
        layer_norm_eps: 1e-6,
        ..VisionConfig::default()
    };
    let text = TextConfig {
        vocab_size: 24,
        hidden_size: 8,
        intermediate_size: 32,
        num_hidden_layers: 2,
        num_attention_heads: 2,
        max_position_embeddings: 12,
        bos_token_id: 22,
        sep_token_id: 3,
        ..TextConfig::default()
    };
    MedConfig { vision, text, projection: 4 }
}

pub fn tokens(config: &MedConfig) -> BertTokens {
    let folder = tempfile::tempdir().unwrap();
    let words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(str::to_owned).into_iter();
    let words: Vec<String> = words.chain((5..22).map(|i| format!("w{i}"))).collect();
    std::fs::write(folder.path().join("vocab.txt"), words.join("\n")).unwrap();
    BertTokens::open(folder.path(), &config.text).unwrap()
}
