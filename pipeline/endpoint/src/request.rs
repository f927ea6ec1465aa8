//! The body of a request: OpenAI's chat protocol, with keys that vLLM, SGLang, llama.cpp and OpenAI share.

use crate::options::{EndpointOptions, Sampling};
use capfilt_pipeline::model::SampleKey;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

#[derive(Debug, Serialize)]
struct Chat<'a> {
    model: &'a str,
    messages: [Message<'a>; 1],
    max_tokens: u32,
    temperature: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    seed: u32,
    stream: bool,
}

#[derive(Debug, Serialize)]
struct Message<'a> {
    role: &'static str,
    content: [Part<'a>; 2],
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Part<'a> {
    Text { text: &'a str },
    ImageUrl { image_url: ImageUrl<'a> },
}

#[derive(Debug, Serialize)]
struct ImageUrl<'a> {
    url: &'a str,
}

/// Body of the request for one caption of an image in a `data:` URL.
pub(crate) fn body(options: &EndpointOptions, data_url: &str, seed: u32) -> Vec<u8> {
    let (temperature, top_p) = match options.sampling {
        Sampling::Greedy => (0.0, None),
        Sampling::Nucleus(top_p) => (1.0, Some(top_p)),
    };
    let image = Part::ImageUrl { image_url: ImageUrl { url: data_url } };
    let chat = Chat {
        model: &options.model,
        messages: [Message { role: "user", content: [image, Part::Text { text: &options.prompt }] }],
        max_tokens: options.max_tokens,
        temperature,
        top_p,
        seed,
        stream: false,
    };
    serde_json::to_vec(&chat).expect("texts and numbers are JSON")
}

/// Seed of a caption: 31 bits, because some endpoints take signed numbers. It depends on the job's seed, the
/// image and the number of the caption, so a repeated row gets the same seed.
pub(crate) fn seed(key: &SampleKey, caption: usize) -> u32 {
    let digest = Sha256::new()
        .chain_update(key.job_seed.to_le_bytes())
        .chain_update(key.image_sha256)
        .chain_update((caption as u64).to_le_bytes())
        .finalize();
    u32::from_le_bytes([digest[0], digest[1], digest[2], digest[3]]) >> 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_caption_has_another_seed_of_31_bits() {
        let key = |job_seed, byte| SampleKey { job_seed, image_sha256: [byte; 32] };
        let seeds = [seed(&key(0, 1), 0), seed(&key(0, 1), 1), seed(&key(0, 2), 0), seed(&key(1, 1), 0)];
        assert!(seeds.iter().all(|seed| *seed < 1 << 31));
        assert_eq!(seeds.iter().collect::<std::collections::BTreeSet<_>>().len(), 4, "{seeds:?}");
        assert_eq!(seed(&key(0, 1), 0), seeds[0]);
    }
}
