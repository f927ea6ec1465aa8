//! Sizes of a CLIP, from the `config.json` of transformers or the `open_clip_config.json` of OpenCLIP.

use serde_json::{Map, Value};

/// Sizes of a CLIP.
#[derive(Debug, Clone, PartialEq)]
pub struct ClipConfig {
    /// Blocks of the image encoder.
    pub vision: TowerConfig,
    /// Side of the square image in pixels.
    pub image_size: i64,
    /// Side of one patch in pixels.
    pub patch_size: i64,
    /// Blocks of the text encoder.
    pub text: TowerConfig,
    /// Number of token ids.
    pub vocab_size: i64,
    /// Longest text in tokens, with start and end.
    pub positions: i64,
    /// Token whose state is the text's.
    pub end: EndToken,
    /// Width of the vectors of images and texts.
    pub projection: i64,
}

/// Sizes of the blocks of one encoder.
#[derive(Debug, Clone, PartialEq)]
pub struct TowerConfig {
    /// Width of the states.
    pub width: i64,
    /// Width of the feed-forward layers.
    pub intermediate: i64,
    /// Number of blocks.
    pub layers: i64,
    /// Number of attention heads.
    pub heads: i64,
    /// Constant of the layer norms against division by zero.
    pub eps: f64,
    /// Activation of the feed-forward layers.
    pub activation: Activation,
}

/// Activation of the feed-forward layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// The exact (erf) GELU.
    Gelu,
    /// `x · sigmoid(1.702 x)`, in OpenAI's weights.
    QuickGelu,
}

/// Rule for the token whose state is the text's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndToken {
    /// The largest id, which is that of the end; in old configs of transformers and in OpenCLIP.
    LargestId,
    /// The first token with this id.
    Id(i64),
}

/// `eos_token_id` of configs that transformers wrote before it knew the right id.
const OLD_END: i64 = 2;

/// Epsilon of every layer norm of OpenCLIP.
const EPS: f64 = 1e-5;

impl ClipConfig {
    /// Reads the `config.json` of transformers' `CLIPModel`. A missing key has transformers' default.
    ///
    /// # Errors
    /// A sentence that names the fault.
    pub(crate) fn from_transformers(text: &str) -> Result<Self, String> {
        let whole: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if let Some(other) = whole["model_type"].as_str().filter(|kind| *kind != "clip") {
            return Err(format!("model_type is {other:?}, expected \"clip\""));
        }
        let vision = Section::of(&whole, "vision_config")?;
        let text = Section::of(&whole, "text_config")?;
        let end = match text.whole("eos_token_id", 49407)? {
            OLD_END => EndToken::LargestId,
            id => EndToken::Id(id),
        };
        if vision.whole("num_channels", 3)? != 3 {
            return Err("num_channels of vision_config is not 3".into());
        }
        let config = Self {
            vision: vision.tower([768, 3072, 12, 12])?,
            image_size: vision.whole("image_size", 224)?,
            patch_size: vision.whole("patch_size", 32)?,
            text: text.tower([512, 2048, 12, 8])?,
            vocab_size: text.whole("vocab_size", 49408)?,
            positions: text.whole("max_position_embeddings", 77)?,
            end,
            projection: Section::root(&whole).whole("projection_dim", 512)?,
        };
        config.check()?;
        Ok(config)
    }

    /// Reads `model_cfg` of an `open_clip_config.json`. Parts of another architecture (ResNet, timm, a text
    /// encoder of transformers) are refused by their keys.
    ///
    /// # Errors
    /// A sentence that names the fault.
    pub(crate) fn from_open_clip(text: &str) -> Result<Self, String> {
        let file: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let whole = &file["model_cfg"];
        let model = Section { name: "model_cfg", keys: whole.as_object() };
        let vision = Section::of(whole, "vision_cfg")?;
        let text = Section::of(whole, "text_cfg")?;
        model.has_only(&["embed_dim", "vision_cfg", "text_cfg", "quick_gelu"], &MODEL_NEUTRAL)?;
        vision.has_only(&VISION_KEYS, &NEUTRAL)?;
        text.has_only(&TEXT_KEYS, &NEUTRAL)?;
        let activation = match whole["quick_gelu"].as_bool() {
            Some(true) => Activation::QuickGelu,
            _ => Activation::Gelu,
        };
        let width = vision.whole("width", 768)?;
        let heads = width / vision.whole("head_width", 64)?.max(1);
        let config = Self {
            vision: vision.open_clip_tower(width, heads, activation)?,
            image_size: vision.whole("image_size", 224)?,
            patch_size: vision.whole("patch_size", 16)?,
            text: text.open_clip_tower(text.whole("width", 512)?, text.whole("heads", 8)?, activation)?,
            vocab_size: text.whole("vocab_size", 49408)?,
            positions: text.whole("context_length", 77)?,
            end: EndToken::LargestId,
            projection: model.whole("embed_dim", 0)?,
        };
        config.check()?;
        Ok(config)
    }

    /// Number of patches along one side.
    pub(crate) fn grid(&self) -> i64 {
        self.image_size / self.patch_size
    }

    /// Checks that the sizes fit each other.
    fn check(&self) -> Result<(), String> {
        let sizes = [
            ("image_size", self.image_size),
            ("patch_size", self.patch_size),
            ("vocab_size", self.vocab_size),
            ("the width of the vectors", self.projection),
        ];
        if let Some((name, value)) = sizes.into_iter().find(|(_, value)| !(1..=1 << 24).contains(value)) {
            return Err(format!("{name} is {value}"));
        }
        // Each text has a start, an end and a token between them.
        if !(3..=1 << 16).contains(&self.positions) {
            return Err(format!("the longest text has {} tokens", self.positions));
        }
        if self.image_size % self.patch_size != 0 {
            let (side, patch) = (self.image_size, self.patch_size);
            return Err(format!("image_size {side} is not a multiple of patch_size {patch}"));
        }
        self.vision.check("image encoder")?;
        self.text.check("text encoder")
    }
}

impl TowerConfig {
    fn check(&self, of: &str) -> Result<(), String> {
        let Self { width, intermediate, layers, heads, eps, .. } = *self;
        let sizes = [("width", width), ("feed-forward width", intermediate), ("number of heads", heads)];
        if let Some((name, value)) = sizes.into_iter().find(|(_, value)| !(1..=1 << 24).contains(value)) {
            return Err(format!("the {name} of the {of} is {value}"));
        }
        if !(1..=1000).contains(&layers) {
            return Err(format!("the {of} has {layers} layers"));
        }
        if width % heads != 0 {
            return Err(format!("the width {width} of the {of} is not a multiple of its {heads} heads"));
        }
        if !(0.0..1.0).contains(&eps) {
            return Err(format!("layer_norm_eps of the {of} is {eps}, expected a number from 0 to 1"));
        }
        Ok(())
    }
}

/// Keys of OpenCLIP's image encoder that are read, or that only training reads.
const VISION_KEYS: [&str; 7] =
    ["layers", "width", "head_width", "mlp_ratio", "patch_size", "image_size", "patch_dropout"];

/// Keys of OpenCLIP's text encoder that are read.
const TEXT_KEYS: [&str; 6] = ["context_length", "vocab_size", "width", "heads", "layers", "mlp_ratio"];

/// Values of further keys of OpenCLIP's encoders that change nothing.
const NEUTRAL: [(&str, &str); 6] = [
    ("pool_type", "\"tok\""),
    ("pool_type", "\"argmax\""),
    ("pos_embed_type", "\"learnable\""),
    ("act_kwargs", "{}"),
    ("norm_kwargs", "{}"),
    ("pad_id", "0"),
];

/// As [`NEUTRAL`], of the whole model.
const MODEL_NEUTRAL: [(&str, &str); 1] = [("custom_text", "true")];

/// A section of a config.
struct Section<'a> {
    name: &'static str,
    keys: Option<&'a Map<String, Value>>,
}

impl<'a> Section<'a> {
    fn root(whole: &'a Value) -> Self {
        Self { name: "config.json", keys: whole.as_object() }
    }

    /// A section by its name. Old configs of transformers have a section with `_dict` at the end of the name,
    /// which replaces the other one.
    fn of(whole: &'a Value, name: &'static str) -> Result<Self, String> {
        let old = format!("{name}_dict");
        let found = [old.as_str(), name].into_iter().find(|name| !whole[*name].is_null());
        let keys = match found.map(|name| &whole[name]) {
            None => None,
            Some(Value::Object(keys)) => Some(keys),
            Some(other) => return Err(format!("{name} is {other}, expected an object")),
        };
        Ok(Self { name, keys })
    }

    /// Value of a key; `None` if the key is missing or null.
    fn value(&self, key: &str) -> Option<&'a Value> {
        self.keys?.get(key).filter(|value| !value.is_null())
    }

    fn whole(&self, key: &str, default: i64) -> Result<i64, String> {
        let number = |value: &Value| {
            value
                .as_i64()
                .ok_or_else(|| format!("{key} of {} is {value}, expected a whole number", self.name))
        };
        self.value(key).map_or(Ok(default), number)
    }

    fn real(&self, key: &str, default: f64) -> Result<f64, String> {
        let number = |value: &Value| {
            value.as_f64().ok_or_else(|| format!("{key} of {} is {value}, expected a number", self.name))
        };
        self.value(key).map_or(Ok(default), number)
    }

    /// Sizes of an encoder of transformers; `defaults`: width, feed-forward width, layers and heads.
    fn tower(&self, defaults: [i64; 4]) -> Result<TowerConfig, String> {
        let activation = match self.value("hidden_act").map(|value| (value.as_str(), value)) {
            None | Some((Some("quick_gelu"), _)) => Activation::QuickGelu,
            Some((Some("gelu"), _)) => Activation::Gelu,
            Some((_, other)) => {
                let name = self.name;
                return Err(format!("hidden_act of {name} is {other}, expected \"quick_gelu\" or \"gelu\""));
            }
        };
        Ok(TowerConfig {
            width: self.whole("hidden_size", defaults[0])?,
            intermediate: self.whole("intermediate_size", defaults[1])?,
            layers: self.whole("num_hidden_layers", defaults[2])?,
            heads: self.whole("num_attention_heads", defaults[3])?,
            eps: self.real("layer_norm_eps", EPS)?,
            activation,
        })
    }

    fn open_clip_tower(&self, width: i64, heads: i64, activation: Activation) -> Result<TowerConfig, String> {
        // The float is below 2⁵³, or `check` refuses the size.
        let intermediate = (width as f64 * self.real("mlp_ratio", 4.0)?) as i64;
        let layers = self.whole("layers", 12)?;
        Ok(TowerConfig { width, intermediate, layers, heads, eps: EPS, activation })
    }

    /// Refuses a key that is not in `known`, unless its value is null, false or `neutral`.
    fn has_only(&self, known: &[&str], neutral: &[(&str, &str)]) -> Result<(), String> {
        let changes_nothing = |key: &str, value: &Value| {
            matches!(value, Value::Null | Value::Bool(false))
                || neutral.contains(&(key, value.to_string().as_str()))
        };
        let mut keys = self.keys.into_iter().flatten();
        let other = keys.find(|(key, value)| !known.contains(&key.as_str()) && !changes_nothing(key, value));
        match other {
            None => Ok(()),
            Some((key, value)) => Err(format!("{key} of {} is {value}, which is not implemented", self.name)),
        }
    }
}

#[cfg(test)]
mod tests;
