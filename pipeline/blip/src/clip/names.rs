//! Names of tensors: converts those of OpenCLIP to transformers', which this module uses.

use std::collections::HashMap;

use crate::names::unwrapped;

/// Names of a file's tensors.
pub(super) struct ClipNames {
    /// Name of transformers -> name in the file.
    pub stored: HashMap<String, String>,
    /// Whether the file uses the names of OpenCLIP.
    pub are_open_clips: bool,
}

/// Beginnings of the names of the tensors that the model needs.
const NEEDED: [&str; 4] = ["vision_model.", "text_model.", "visual_projection", "text_projection"];

/// Beginnings of OpenCLIP's names and of transformers'; the longer ones first.
const BEGINNINGS: [(&str, &str); 12] = [
    ("visual.transformer.resblocks.", "vision_model.encoder.layers."),
    ("visual.conv1.", "vision_model.embeddings.patch_embedding."),
    ("visual.ln_pre.", "vision_model.pre_layrnorm."),
    ("visual.ln_post.", "vision_model.post_layernorm."),
    ("visual.class_embedding", "vision_model.embeddings.class_embedding"),
    ("visual.positional_embedding", "vision_model.embeddings.position_embedding.weight"),
    ("visual.proj", "visual_projection"),
    ("transformer.resblocks.", "text_model.encoder.layers."),
    ("token_embedding.", "text_model.embeddings.token_embedding."),
    ("positional_embedding", "text_model.embeddings.position_embedding.weight"),
    ("ln_final.", "text_model.final_layer_norm."),
    ("text_projection", "text_projection"),
];

/// Parts of the names of a block: OpenCLIP's and transformers'.
const BLOCK_PARTS: [(&str, &str); 5] = [
    (".ln_1.", ".layer_norm1."),
    (".ln_2.", ".layer_norm2."),
    (".attn.", ".self_attn."),
    (".mlp.c_fc.", ".mlp.fc1."),
    (".mlp.c_proj.", ".mlp.fc2."),
];

impl ClipNames {
    /// Converts the names of the tensors that the model needs. The temperature and buffers are left out.
    ///
    /// # Errors
    /// Two tensors of the file convert to one name.
    pub fn of<'a>(all: impl IntoIterator<Item = &'a String>) -> Result<Self, String> {
        let mut all: Vec<&String> = all.into_iter().collect();
        all.sort();
        let are_open_clips = all.iter().any(|name| unwrapped(name).starts_with("visual."));
        let mut stored: HashMap<String, String> = HashMap::new();
        for name in all {
            let own = unwrapped(name);
            let converted = if are_open_clips { converted(&own) } else { own };
            if !NEEDED.iter().any(|start| converted.starts_with(start)) || converted.ends_with("position_ids")
            {
                continue;
            }
            if let Some(other) = stored.insert(converted.clone(), name.clone()) {
                return Err(format!("two tensors are {converted}: {other} and {name}; keep one of them"));
            }
        }
        Ok(Self { stored, are_open_clips })
    }
}

/// Name of transformers for a name of OpenCLIP. A model with a separate text class has `text.` at the
/// beginning.
fn converted(name: &str) -> String {
    let name = name.strip_prefix("text.").unwrap_or(name);
    let beginning = BEGINNINGS.iter().find_map(|(from, to)| Some((name.strip_prefix(from)?, to)));
    let Some((rest, beginning)) = beginning else { return name.to_owned() };
    BLOCK_PARTS.iter().fold(format!("{beginning}{rest}"), |name, (from, to)| name.replace(from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_open_clip_become_those_of_transformers() {
        for (from, to) in [
            ("visual.conv1.weight", "vision_model.embeddings.patch_embedding.weight"),
            ("visual.class_embedding", "vision_model.embeddings.class_embedding"),
            ("visual.positional_embedding", "vision_model.embeddings.position_embedding.weight"),
            ("visual.proj", "visual_projection"),
            (
                "visual.transformer.resblocks.3.attn.in_proj_weight",
                "vision_model.encoder.layers.3.self_attn.in_proj_weight",
            ),
            ("transformer.resblocks.0.mlp.c_fc.bias", "text_model.encoder.layers.0.mlp.fc1.bias"),
            ("text.transformer.resblocks.0.ln_2.bias", "text_model.encoder.layers.0.layer_norm2.bias"),
            ("positional_embedding", "text_model.embeddings.position_embedding.weight"),
            ("text.text_projection", "text_projection"),
            ("logit_scale", "logit_scale"),
        ] {
            assert_eq!(converted(from), to);
        }
    }

    #[test]
    fn temperature_and_buffers_are_left_out_and_double_names_are_refused() {
        let names = ["module.visual.proj", "logit_scale", "attn_mask", "text_projection"];
        let found = ClipNames::of(&names.map(str::to_owned)).unwrap();
        assert!(found.are_open_clips);
        assert_eq!(found.stored.len(), 2);
        assert_eq!(found.stored["visual_projection"], "module.visual.proj");
        let names = ["text_model.embeddings.position_ids", "text_model.final_layer_norm.bias", "logit_scale"];
        let found = ClipNames::of(&names.map(str::to_owned)).unwrap();
        assert_eq!((found.stored.len(), found.are_open_clips), (1, false));
        let names = ["visual.proj", "module.visual.proj"].map(str::to_owned);
        assert!(ClipNames::of(&names).err().unwrap().contains("visual_projection"));
    }
}
