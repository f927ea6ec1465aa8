//! Names of tensors: converts those of the original code and of training frameworks to Hugging Face's, which
//! this crate uses.

use std::collections::HashMap;

/// Name parts that model wrappers insert: DDP and DeepSpeed, `torch.compile`, FSDP, and activation
/// checkpointing.
const WRAPPERS: [&str; 4] = ["module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"];
/// Attribute of a training class that holds the model, as in Lightning's checkpoints.
const HOLDER: &str = "model";

/// Removes the parts of wrappers, in any order and number: `model.module._orig_mod.temp` -> `temp`.
pub fn unwrapped(name: &str) -> String {
    let own = name.split('.').filter(|part| !WRAPPERS.contains(part)).skip_while(|part| *part == HOLDER);
    own.collect::<Vec<_>>().join(".")
}

/// Names of a file's tensors, by their Hugging Face names.
pub struct Names {
    /// Hugging Face name -> name in the file.
    pub stored: HashMap<String, String>,
    /// Whether the file uses Hugging Face's names; else it uses those of the original code.
    pub are_hugging_faces: bool,
    /// Name in the file of the temperature of the contrastive loss; only training reads it.
    pub temperature: Option<String>,
}

impl Names {
    /// Converts the names of the tensors that the models need.
    ///
    /// # Errors
    /// Two tensors of the file convert to one name. The message has both names of the file, because either
    /// tensor could be meant.
    pub fn of<'a>(all: impl IntoIterator<Item = &'a String>) -> Result<Self, String> {
        let mut names = Self { stored: HashMap::new(), are_hugging_faces: false, temperature: None };
        let mut all: Vec<&String> = all.into_iter().collect();
        all.sort();
        for stored in all {
            let own = unwrapped(stored);
            names.are_hugging_faces |= own.starts_with("vision_model.");
            if own == "temp" {
                names.temperature = Some(stored.clone());
            }
            let Some(name) = rename(&own) else { continue };
            if let Some(other) = names.stored.insert(name.clone(), stored.clone()) {
                return Err(format!("two tensors are {name}: {other} and {stored}; keep one of them"));
            }
        }
        Ok(names)
    }
}

/// Hugging Face name of a tensor, from a Hugging Face or an original name. `None` for momentum copies, queues
/// and buffers, which the models do not need. They are dropped before the conversion, which would turn the
/// name of a momentum copy into a wrong one.
fn rename(name: &str) -> Option<String> {
    let top = name.split('.').next().unwrap_or(name);
    if top.ends_with("_m") || name.contains("queue") || name.ends_with("position_ids") || name == "temp" {
        return None;
    }
    let Some(rest) = name.strip_prefix("visual_encoder.") else {
        return Some(name.to_string());
    };
    Some(format!("vision_model.{}", vision_name(rest)))
}

/// Parts of names in the vision tower: the original ones and Hugging Face's.
const VISION_PARTS: [(&str, &str); 6] = [
    ("patch_embed.proj.", "embeddings.patch_embedding."),
    ("blocks.", "encoder.layers."),
    (".norm1.", ".layer_norm1."),
    (".norm2.", ".layer_norm2."),
    (".attn.qkv.", ".self_attn.qkv."),
    (".attn.proj.", ".self_attn.projection."),
];

/// Converts a name below the vision tower from timm's, which the original uses, to Hugging Face's.
pub fn vision_name(rest: &str) -> String {
    match rest {
        "cls_token" => "embeddings.class_embedding".to_string(),
        "pos_embed" => "embeddings.position_embedding".to_string(),
        _ => match rest.strip_prefix("norm.") {
            Some(end) => format!("post_layernorm.{end}"),
            None => VISION_PARTS.iter().fold(rest.to_string(), |name, (from, to)| name.replace(from, to)),
        },
    }
}

/// Converts a Hugging Face name to the original one.
pub fn original_name(name: &str) -> String {
    let Some(rest) = name.strip_prefix("vision_model.") else {
        return name.to_string();
    };
    let whole = match rest {
        "embeddings.class_embedding" => "cls_token".to_string(),
        "embeddings.position_embedding" => "pos_embed".to_string(),
        _ => match rest.strip_prefix("post_layernorm.") {
            Some(end) => format!("norm.{end}"),
            None => VISION_PARTS.iter().fold(rest.to_string(), |name, (to, from)| name.replace(from, to)),
        },
    };
    format!("visual_encoder.{whole}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn original_names_become_hugging_face_names() {
        let pairs = [
            ("visual_encoder.cls_token", "vision_model.embeddings.class_embedding"),
            ("visual_encoder.pos_embed", "vision_model.embeddings.position_embedding"),
            ("visual_encoder.patch_embed.proj.bias", "vision_model.embeddings.patch_embedding.bias"),
            ("visual_encoder.blocks.3.norm2.weight", "vision_model.encoder.layers.3.layer_norm2.weight"),
            (
                "visual_encoder.blocks.3.attn.proj.weight",
                "vision_model.encoder.layers.3.self_attn.projection.weight",
            ),
            ("visual_encoder.blocks.3.attn.qkv.bias", "vision_model.encoder.layers.3.self_attn.qkv.bias"),
            ("visual_encoder.blocks.3.mlp.fc1.bias", "vision_model.encoder.layers.3.mlp.fc1.bias"),
            ("visual_encoder.norm.weight", "vision_model.post_layernorm.weight"),
            ("text_encoder.embeddings.LayerNorm.bias", "text_encoder.embeddings.LayerNorm.bias"),
        ];
        for (original, hf) in pairs {
            assert_eq!(rename(original).as_deref(), Some(hf));
            assert_eq!(original_name(hf), original);
        }
    }

    #[test]
    fn what_only_training_needs_is_dropped() {
        for name in [
            "visual_encoder_m.norm.weight",
            "text_encoder_m.embeddings.LayerNorm.bias",
            "vision_proj_m.bias",
            "image_queue",
            "ptr_queue",
            "idx_queue",
            "queue_ptr",
            "temp",
            "text_encoder.embeddings.position_ids",
        ] {
            assert_eq!(rename(name), None, "{name}");
        }
    }

    #[test]
    fn what_wrappers_put_into_a_name_is_taken_out_in_any_order() {
        for (name, own) in [
            ("module.visual_encoder.norm.bias", "visual_encoder.norm.bias"),
            ("_orig_mod.module.itm_head.weight", "itm_head.weight"),
            ("model.module._orig_mod.temp", "temp"),
            ("module.model.text_proj.bias", "text_proj.bias"),
            (
                "vision_model._fsdp_wrapped_module.encoder.layers.0._orig_mod.x",
                "vision_model.encoder.layers.0.x",
            ),
            ("vision_model.post_layernorm.bias", "vision_model.post_layernorm.bias"),
        ] {
            assert_eq!(unwrapped(name), own);
        }
    }

    #[test]
    fn two_tensors_of_one_name_are_refused_and_both_named() {
        let all = ["visual_encoder.norm.bias", "module.vision_model.post_layernorm.bias"].map(str::to_string);
        let error = Names::of(&all).err().unwrap();
        assert!(all.iter().all(|name| error.contains(name.as_str())), "{error}");
    }

    #[test]
    fn momentum_copies_are_dropped_behind_a_wrapper_too() {
        let all = ["module.visual_encoder_m.norm.bias", "module.temp", "module.visual_encoder.norm.bias"];
        let names = Names::of(&all.map(str::to_string)).unwrap();
        assert_eq!(names.stored.len(), 1);
        assert_eq!(names.temperature.as_deref(), Some("module.temp"));
        assert!(!names.are_hugging_faces);
    }
}
