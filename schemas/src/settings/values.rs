//! Enumerations and special values of settings.

use crate::size::ByteSize;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;

/// Implementation to reproduce, where the original BLIP and transformers differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// BLIP and LAVIS: `[ENC]` at position 0 for ITM, vision LayerNorm eps 1e-6.
    #[default]
    Original,
    /// Hugging Face transformers: `[CLS]` kept, eps of config.json.
    Hf,
}

/// Number format of weights and activations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// bf16 if the device computes in it, otherwise f32; frozen in the job at its first run.
    #[default]
    Auto,
    F32,
    Bf16,
    F16,
    /// Matrix products of the towers in eight bits, the rest in bf16; only for inference, and only on CPUs
    /// with the instruction for it.
    Int8,
}

/// Decoding method of captions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    Greedy,
    #[default]
    Nucleus,
    Beam,
}

/// Content of the pairs table for an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Images {
    /// The input's bytes, unchanged.
    #[default]
    Embed,
    /// No bytes; `path` refers to them.
    Reference,
}

/// A number, or `"auto"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Auto {
    #[default]
    Auto,
    Fixed(u32),
}

impl Auto {
    pub fn or_else(self, choose: impl FnOnce() -> u32) -> u32 {
        match self {
            Self::Auto => choose(),
            Self::Fixed(n) => n,
        }
    }
}

impl Serialize for Auto {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Fixed(n) => serializer.serialize_u32(*n),
        }
    }
}

impl<'de> Deserialize<'de> for Auto {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Auto;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("\"auto\" or a number of at least 1")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Auto, E> {
                if text == "auto" {
                    Ok(Auto::Auto)
                } else {
                    Err(E::invalid_value(de::Unexpected::Str(text), &self))
                }
            }
            fn visit_u64<E: de::Error>(self, n: u64) -> Result<Auto, E> {
                match u32::try_from(n) {
                    Ok(n) if n > 0 => Ok(Auto::Fixed(n)),
                    _ => Err(E::invalid_value(de::Unexpected::Unsigned(n), &self)),
                }
            }
            fn visit_i64<E: de::Error>(self, n: i64) -> Result<Auto, E> {
                match u64::try_from(n) {
                    Ok(n) => self.visit_u64(n),
                    Err(_) => Err(E::invalid_value(de::Unexpected::Signed(n), &self)),
                }
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// Memory of a machine for a job's worker processes: a size, or half of the memory of the machine or its
/// control group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Memory {
    #[default]
    Auto,
    Fixed(ByteSize),
}

impl Memory {
    pub fn is_auto(&self) -> bool {
        *self == Self::Auto
    }
}

impl Serialize for Memory {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Fixed(size) => size.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Memory {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            Bytes(u64),
        }
        match Written::deserialize(deserializer)? {
            Written::Text(text) if text == "auto" => Ok(Self::Auto),
            Written::Text(text) => text.parse().map(Self::Fixed).map_err(de::Error::custom),
            Written::Bytes(bytes) => Ok(Self::Fixed(ByteSize(bytes))),
        }
    }
}
