//! Enumerations and special values of settings.

use crate::size::ByteSize;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::{fmt, str::FromStr};

/// Implementation to reproduce, where the original BLIP and transformers differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "arguments", derive(clap::ValueEnum))]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// BLIP and LAVIS: `[ENC]` at position 0 for ITM, vision LayerNorm eps 1e-6.
    #[default]
    Original,
    /// Hugging Face transformers: `[CLS]` kept, eps of config.json.
    Hf,
}

impl Preset {
    /// Name in settings, arguments and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Original => "original",
            Self::Hf => "hf",
        }
    }
}

impl FromStr for Preset {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = [Self::Original, Self::Hf].into_iter().find(|preset| preset.name() == text);
        named.ok_or_else(|| format!("preset is {text:?}, expected original or hf"))
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Number format of weights and activations. Scores are always f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "arguments", derive(clap::ValueEnum))]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// bf16 where the hardware multiplies it natively (CUDA, AVX512-BF16), otherwise f32; frozen in the job
    /// at its first run.
    #[default]
    Auto,
    /// Single precision.
    F32,
    /// bfloat16.
    Bf16,
    /// Half precision.
    F16,
    /// Matrix products of the towers in eight bits, the rest in bf16; only for inference, and only on CPUs
    /// with the instruction for it.
    Int8,
}

impl Precision {
    /// All precisions, in the order of the help.
    pub const ALL: [Self; 5] = [Self::F32, Self::Bf16, Self::F16, Self::Int8, Self::Auto];

    /// Name in settings, arguments and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
            Self::Int8 => "int8",
        }
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = Self::ALL.into_iter().find(|precision| precision.name() == text);
        named.ok_or_else(|| format!("precision is {text:?}, expected one of {:?}", Self::ALL.map(Self::name)))
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Decoding method of captions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "arguments", derive(clap::ValueEnum))]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// The most probable token.
    Greedy,
    /// A sample from the most probable tokens (BLIP, section 4.3: more diverse captions, better training
    /// data).
    #[default]
    Nucleus,
    /// The most probable sentence that a beam search finds.
    Beam,
}

impl Method {
    /// All methods, in the order of the help.
    pub const ALL: [Self; 3] = [Self::Greedy, Self::Nucleus, Self::Beam];

    /// Name in settings and arguments.
    pub fn name(self) -> &'static str {
        match self {
            Self::Greedy => "greedy",
            Self::Nucleus => "nucleus",
            Self::Beam => "beam",
        }
    }
}

impl FromStr for Method {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = Self::ALL.into_iter().find(|method| method.name() == text);
        named.ok_or_else(|| format!("method is {text:?}, expected greedy, nucleus or beam"))
    }
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

/// Format of the pairs of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PairsFormat {
    /// A Parquet file per shard.
    #[default]
    Parquet,
    /// A tar of WebDataset samples per shard.
    Webdataset,
}

impl PairsFormat {
    /// Whether the format is Parquet, which the records of earlier versions do not name.
    pub fn is_parquet(&self) -> bool {
        *self == Self::Parquet
    }
}

/// A number, or `"auto"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Auto {
    /// The program selects the number.
    #[default]
    Auto,
    /// The number of the settings.
    Fixed(u32),
}

impl Auto {
    /// The number, or the one that `choose` returns.
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
    /// Half of the memory of the machine or its control group.
    #[default]
    Auto,
    /// The size of the settings.
    Fixed(ByteSize),
}

impl Memory {
    /// Whether the program selects the size.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: impl Serialize) -> String {
        serde_json::to_value(value).unwrap().as_str().unwrap().to_owned()
    }

    #[test]
    fn the_name_of_a_precision_preset_or_method_is_its_value_in_the_settings() {
        for precision in Precision::ALL {
            assert_eq!(written(precision), precision.name());
            assert_eq!(precision.name().parse(), Ok(precision));
        }
        for preset in [Preset::Original, Preset::Hf] {
            assert_eq!(written(preset), preset.name());
            assert_eq!(preset.name().parse(), Ok(preset));
        }
        for method in Method::ALL {
            assert_eq!(written(method), method.name());
            assert_eq!(method.name().parse(), Ok(method));
        }
    }
}
