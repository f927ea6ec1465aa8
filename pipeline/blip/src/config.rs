//! Sizes of a model, from a Hugging Face `config.json` or from the shapes of an original checkpoint.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

/// Sizes of the whole model. Field names are those of `config.json`. Unknown keys are ignored, because the
/// file also holds values that only a trainer needs.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct MedConfig {
    /// Sizes of the image encoder.
    #[serde(rename = "vision_config")]
    pub vision: VisionConfig,
    /// Sizes of the text towers.
    #[serde(rename = "text_config")]
    pub text: TextConfig,
    /// Width of the features of which the contrastive head takes the cosine (256 in BLIP).
    #[serde(rename = "image_text_hidden_size")]
    pub projection: i64,
}

/// Sizes of the vision transformer (BLIP, section 3.1).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct VisionConfig {
    /// Width of the states.
    pub hidden_size: i64,
    /// Width of the feed-forward layers.
    pub intermediate_size: i64,
    /// Number of blocks.
    pub num_hidden_layers: i64,
    /// Number of attention heads.
    pub num_attention_heads: i64,
    /// Side of the square image in pixels.
    pub image_size: i64,
    /// Side of one patch in pixels.
    pub patch_size: i64,
    /// Constant of the layer norms against division by zero.
    pub layer_norm_eps: f64,
    /// Activation of the feed-forward layers.
    pub hidden_act: String,
}

/// Sizes and special ids of the text transformer.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct TextConfig {
    /// Number of token ids.
    pub vocab_size: i64,
    /// Width of the states.
    pub hidden_size: i64,
    /// Width of the feed-forward layers.
    pub intermediate_size: i64,
    /// Number of layers.
    pub num_hidden_layers: i64,
    /// 12 if absent. The default of transformers is 8, which fits no published BLIP weights: scores would be
    /// wrong without an error.
    pub num_attention_heads: i64,
    /// Longest text in tokens.
    pub max_position_embeddings: i64,
    /// Constant of the layer norms against division by zero.
    pub layer_norm_eps: f64,
    /// Activation of the feed-forward layers.
    pub hidden_act: String,
    /// Width of the image states that cross-attention reads. `check` compares it with the vision tower's
    /// width.
    pub encoder_hidden_size: Option<i64>,
    /// `[DEC]`, the first id of every caption.
    pub bos_token_id: i64,
    /// `[SEP]`, which ends a text. (`eos_token_id` in published files is wrong and unused.)
    pub sep_token_id: i64,
    /// Id of the padding token.
    pub pad_token_id: i64,
}

/// Keys of each tower whose values must be whole numbers. Other keys may have any value: published files have
/// `"sep_token_id": null` in the vision tower's section.
const WHOLE: [(&str, &[&str]); 2] = [
    (
        "vision_config",
        &[
            "hidden_size",
            "intermediate_size",
            "num_hidden_layers",
            "num_attention_heads",
            "image_size",
            "patch_size",
        ],
    ),
    (
        "text_config",
        &[
            "hidden_size",
            "intermediate_size",
            "num_hidden_layers",
            "num_attention_heads",
            "vocab_size",
            "max_position_embeddings",
            "bos_token_id",
            "sep_token_id",
            "pad_token_id",
        ],
    ),
];

impl Default for MedConfig {
    fn default() -> Self {
        Self { vision: VisionConfig::default(), text: TextConfig::default(), projection: 256 }
    }
}

impl Default for VisionConfig {
    fn default() -> Self {
        Self {
            hidden_size: 768,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            image_size: 384,
            patch_size: 16,
            layer_norm_eps: 1e-5,
            hidden_act: "gelu".into(),
        }
    }
}

impl Default for TextConfig {
    fn default() -> Self {
        Self {
            vocab_size: 30524,
            hidden_size: 768,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            max_position_embeddings: 512,
            layer_norm_eps: 1e-12,
            hidden_act: "gelu".into(),
            encoder_hidden_size: None,
            bos_token_id: 30522,
            sep_token_id: 102,
            pad_token_id: 0,
        }
    }
}

impl VisionConfig {
    /// Number of patches along one side of an image of `side` pixels.
    pub fn grid(&self, side: i64) -> i64 {
        side / self.patch_size
    }
}

impl TextConfig {
    /// `[ENC]`, the first token of the image-grounded encoder: the last id of the vocabulary (30523 in BLIP).
    pub(crate) fn enc_token_id(&self) -> i64 {
        self.vocab_size - 1
    }
}

impl MedConfig {
    /// Reads `config.json`.
    ///
    /// # Errors
    /// A sentence that names the fault, when the text is not JSON or describes a model that this crate cannot
    /// run.
    pub(crate) fn from_json(text: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        for (section, whole) in WHOLE {
            let keys = value[section].as_object().into_iter().flatten();
            let mut numbers = keys.filter(|(key, _)| whole.contains(&key.as_str()));
            if let Some((key, found)) = numbers.find(|(_, found)| found.as_i64().is_none()) {
                return Err(format!("{key} of {section} is {found}, expected a whole number"));
            }
        }
        let config: Self = serde_json::from_value(value).map_err(|error| error.to_string())?;
        config.check()?;
        Ok(config)
    }

    /// Derives the sizes of an original checkpoint, which has no config, from the shapes of its tensors
    /// (under their Hugging Face names). Attention heads are 64 wide in every BLIP; the number of heads is
    /// unknown for a tower whose width is not a multiple of 64.
    ///
    /// # Errors
    /// The name of the tensor that is missing or has an unexpected rank, or the width that is not a multiple
    /// of 64.
    pub fn from_shapes(shapes: &HashMap<String, Vec<i64>>) -> Result<Self, String> {
        let text_prefix = if shapes.contains_key("text_decoder.bert.embeddings.word_embeddings.weight") {
            "text_decoder.bert"
        } else {
            "text_encoder"
        };
        let vision = vision_from_shapes(shapes)?;
        let text = text_from_shapes(shapes, text_prefix)?;
        let projection = shapes.get("vision_proj.weight").and_then(|s| s.first().copied()).unwrap_or(256);
        let config = Self { vision, text, projection };
        config.check()?;
        Ok(config)
    }

    /// Checks that the sizes fit each other.
    ///
    /// # Errors
    /// A sentence that names the size that does not fit.
    pub fn check(&self) -> Result<(), String> {
        let (v, t) = (&self.vision, &self.text);
        let sizes = [
            ("vision hidden_size", v.hidden_size),
            ("vision intermediate_size", v.intermediate_size),
            ("vision num_attention_heads", v.num_attention_heads),
            ("image_size", v.image_size),
            ("patch_size", v.patch_size),
            ("vocab_size", t.vocab_size),
            ("text hidden_size", t.hidden_size),
            ("text intermediate_size", t.intermediate_size),
            ("text num_attention_heads", t.num_attention_heads),
            ("max_position_embeddings", t.max_position_embeddings),
            ("image_text_hidden_size", self.projection),
        ];
        if let Some((name, value)) = sizes.into_iter().find(|(_, value)| *value < 1 || *value > 1 << 24) {
            return Err(format!("{name} is {value}"));
        }
        let layers = [("vision", v.num_hidden_layers), ("text", t.num_hidden_layers)];
        if let Some((tower, layers)) = layers.into_iter().find(|(_, layers)| !(1..=1000).contains(layers)) {
            return Err(format!("{tower} num_hidden_layers is {layers}"));
        }
        divides("vision", v.hidden_size, v.num_attention_heads)?;
        divides("text", t.hidden_size, t.num_attention_heads)?;
        if v.image_size % v.patch_size != 0 {
            let (side, patch) = (v.image_size, v.patch_size);
            return Err(format!("image_size {side} is not a multiple of patch_size {patch}"));
        }
        if v.hidden_act != "gelu" || t.hidden_act != "gelu" {
            return Err(format!(
                "hidden_act is {:?} and {:?}; BLIP uses \"gelu\"",
                v.hidden_act, t.hidden_act
            ));
        }
        if let Some(eps) =
            [v.layer_norm_eps, t.layer_norm_eps].into_iter().find(|eps| !(0.0..1.0).contains(eps))
        {
            return Err(format!("layer_norm_eps is {eps}, expected a number from 0 to 1"));
        }
        match t.encoder_hidden_size {
            Some(width) if width != v.hidden_size => {
                Err(format!("encoder_hidden_size is {width}, but the vision tower is {} wide", v.hidden_size))
            }
            _ => Ok(()),
        }
    }
}

fn divides(tower: &str, width: i64, heads: i64) -> Result<(), String> {
    if width % heads == 0 {
        Ok(())
    } else {
        Err(format!("{tower} hidden_size {width} is not a multiple of its {heads} heads"))
    }
}

/// Shape of one tensor, if it has the expected number of axes.
fn shape<'a>(shapes: &'a HashMap<String, Vec<i64>>, name: &str, axes: usize) -> Result<&'a [i64], String> {
    match shapes.get(name) {
        Some(shape) if shape.len() == axes => Ok(shape),
        Some(shape) => Err(format!("{name} has shape {shape:?}, expected {axes} axes")),
        None => Err(format!("{name} is missing")),
    }
}

/// Number of numbered layers under `prefix`.
fn count_layers(shapes: &HashMap<String, Vec<i64>>, prefix: &str, suffix: &str) -> i64 {
    (0..).take_while(|i| shapes.contains_key(&format!("{prefix}.{i}.{suffix}"))).count() as i64
}

/// Width of an attention head in every original BLIP.
const HEAD: i64 = 64;

fn heads_of(width: i64, tower: &str) -> Result<i64, String> {
    if width >= HEAD && width % HEAD == 0 {
        return Ok(width / HEAD);
    }
    Err(format!(
        "the {tower} tower is {width} wide, not a multiple of the head width {HEAD}; config.json must have \
        the number of heads"
    ))
}

fn vision_from_shapes(shapes: &HashMap<String, Vec<i64>>) -> Result<VisionConfig, String> {
    let patch = shape(shapes, "vision_model.embeddings.patch_embedding.weight", 4)?;
    let positions = shape(shapes, "vision_model.embeddings.position_embedding", 3)?;
    let fc1 = shape(shapes, "vision_model.encoder.layers.0.mlp.fc1.weight", 2)?;
    let grid = ((positions[1] - 1).max(0) as f64).sqrt().round() as i64;
    Ok(VisionConfig {
        hidden_size: patch[0],
        intermediate_size: fc1[0],
        num_hidden_layers: count_layers(shapes, "vision_model.encoder.layers", "mlp.fc1.weight"),
        num_attention_heads: heads_of(patch[0], "vision")?,
        image_size: grid * patch[3],
        patch_size: patch[3],
        ..VisionConfig::default()
    })
}

fn text_from_shapes(shapes: &HashMap<String, Vec<i64>>, prefix: &str) -> Result<TextConfig, String> {
    let words = shape(shapes, &format!("{prefix}.embeddings.word_embeddings.weight"), 2)?;
    let positions = shape(shapes, &format!("{prefix}.embeddings.position_embeddings.weight"), 2)?;
    let ffn = shape(shapes, &format!("{prefix}.encoder.layer.0.intermediate.dense.weight"), 2)?;
    Ok(TextConfig {
        vocab_size: words[0],
        hidden_size: words[1],
        intermediate_size: ffn[0],
        num_hidden_layers: count_layers(
            shapes,
            &format!("{prefix}.encoder.layer"),
            "intermediate.dense.weight",
        ),
        num_attention_heads: heads_of(words[1], "text")?,
        max_position_embeddings: positions[0],
        // `[DEC]` and `[ENC]` were added to the vocabulary in this order.
        bos_token_id: words[0] - 2,
        ..TextConfig::default()
    })
}

#[cfg(test)]
mod tests;
