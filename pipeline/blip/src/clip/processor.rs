//! Preparation of CLIP's images: the shorter edge is resized, and a square is cut out of the centre.
//!
//! The settings are those of transformers' `CLIPImageProcessor`, with the rules of `processor.rs`, or the
//! `preprocess_cfg` of OpenCLIP. Transformers' processors that resize tensors differ from Pillow, and from
//! this program, by rounding.

use std::path::{Path, PathBuf};

use capfilt_pipeline::framing::{Centre, Framing};
use serde_json::{Map, Value};

use crate::{
    error::LoadError,
    preprocess::Normalisation,
    processor::{Keys, read_with},
};

/// Side of the square of transformers' processor.
const SIDE: i64 = 224;

/// Preparation of an image.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Preparation {
    pub framing: Framing,
    /// Normalisation, with the side of the square.
    pub normalisation: Normalisation,
}

/// Reads the settings of transformers' processor; also returns the file that has them.
pub(super) fn of_transformers(folder: &Path) -> Result<(Preparation, Option<PathBuf>), LoadError> {
    Ok(match read_with(folder, |keys| prepared(&keys))? {
        Some((found, path)) => (found, Some(path)),
        None => {
            let normalisation = Normalisation { side: Some(SIDE), ..Normalisation::default() };
            (Preparation { framing: cropped(SIDE, Centre::RoundedDown), normalisation }, None)
        }
    })
}

fn prepared(keys: &Keys) -> Result<Preparation, String> {
    keys.is_of(["CLIPImageProcessor", "CLIPFeatureExtractor"])?;
    keys.resizes()?;
    if keys.flag("do_pad", false)? {
        return Err("do_pad is true, but images are only resized and cropped here".into());
    }
    let normalisation = keys.of_pixels()?;
    keys.needed("size")?;
    let crop = match keys.flag("do_center_crop", true)? {
        true => Some(keys.square("crop_size", true)?.unwrap_or(SIDE)),
        false => None,
    };
    let (framing, side) = match (shortest_edge(keys)?, crop) {
        (Some(edge), Some(crop)) if edge >= crop => (cropped(edge, Centre::RoundedDown), crop),
        (Some(edge), Some(crop)) => {
            return Err(format!("crop_size is {crop} pixels, but the shorter edge is resized to {edge}"));
        }
        (Some(_), None) => {
            return Err("do_center_crop is false, but the model takes squares, which are cut out of images \
                        whose shorter edge is resized"
                .into());
        }
        (None, crop) => {
            let side = keys.square("size", true)?.unwrap_or(SIDE);
            if crop.is_some_and(|crop| crop != side) {
                return Err("size and crop_size differ, although size is a square".into());
            }
            (Framing::Squash, side)
        }
    };
    Ok(Preparation { framing, normalisation: Normalisation { side: Some(side), ..normalisation } })
}

/// Length of the shorter edge after resizing; `None` if `size` is a square.
fn shortest_edge(keys: &Keys) -> Result<Option<i64>, String> {
    let Some(size) = keys.value("size") else { return Ok(Some(SIDE)) };
    let edge = match size {
        Value::Number(_) if keys.flag("default_to_square", false)? => return Ok(None),
        Value::Number(edge) => edge.as_i64(),
        Value::Object(keys) if keys.len() == 1 && keys.contains_key("shortest_edge") => {
            keys["shortest_edge"].as_i64()
        }
        _ => return Ok(None),
    };
    edge.filter(|edge| (1..=1 << 14).contains(edge)).map(Some).ok_or_else(|| format!("size is {size}"))
}

fn cropped(edge: i64, centre: Centre) -> Framing {
    Framing::Crop { edge: edge as usize, centre }
}

/// Reads `preprocess_cfg` of an `open_clip_config.json`; `side` is the side of the model's images.
///
/// # Errors
/// A sentence that names the fault.
pub(super) fn of_open_clip(text: &str, side: i64) -> Result<Preparation, String> {
    let file: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let none = Map::new();
    let keys = Keys(file["preprocess_cfg"].as_object().unwrap_or(&none));
    let word = |key: &str, default| match keys.value(key) {
        None => Ok(default),
        Some(value) => value.as_str().ok_or_else(|| format!("{key} of preprocess_cfg is {value}")),
    };
    let interpolation = word("interpolation", "bicubic")?;
    if interpolation != "bicubic" {
        return Err(format!(
            "interpolation is {interpolation:?}, but images are resized by \"bicubic\" alone"
        ));
    }
    if word("mode", "RGB")? != "RGB" {
        return Err("mode of preprocess_cfg is not \"RGB\"".into());
    }
    if keys.value("size").is_some() && keys.square("size", true)? != Some(side) {
        return Err(format!("size of preprocess_cfg is not the image_size {side} of the model"));
    }
    let framing = match word("resize_mode", "shortest")? {
        "shortest" => cropped(side, Centre::HalfToEven),
        "squash" => Framing::Squash,
        other => return Err(format!("resize_mode is {other:?}, which is not implemented")),
    };
    let defaults = Normalisation::default();
    let normalisation = Normalisation {
        mean: keys.channels("mean")?.unwrap_or(defaults.mean),
        std: keys.channels("std")?.unwrap_or(defaults.std),
        side: Some(side),
        ..defaults
    };
    if normalisation.std.iter().any(|std| *std as f32 <= 0.0) {
        return Err(format!("std is {:?}, expected positive numbers", normalisation.std));
    }
    Ok(Preparation { framing, normalisation })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(keys: Value) -> Result<Preparation, String> {
        prepared(&Keys(keys.as_object().unwrap()))
    }

    #[test]
    fn both_forms_of_the_published_files_resize_the_shorter_edge_and_crop() {
        let published = [
            json!({"size": 224, "crop_size": 224, "feature_extractor_type": "CLIPFeatureExtractor"}),
            json!({"size": {"shortest_edge": 224}, "crop_size": {"height": 224, "width": 224}}),
            json!({"image_processor_type": "CLIPImageProcessorFast"}),
        ];
        for keys in published {
            let found = of(keys).unwrap();
            assert_eq!(found.framing, cropped(224, Centre::RoundedDown));
            assert_eq!(found.normalisation, Normalisation { side: Some(224), ..Normalisation::default() });
        }
        let larger = of(json!({"size": {"shortest_edge": 256}, "crop_size": 224})).unwrap();
        assert_eq!(
            (larger.framing, larger.normalisation.side),
            (cropped(256, Centre::RoundedDown), Some(224))
        );
        let square = of(json!({"size": {"height": 336, "width": 336}, "do_center_crop": false})).unwrap();
        assert_eq!((square.framing, square.normalisation.side), (Framing::Squash, Some(336)));
    }

    #[test]
    fn other_steps_are_refused_by_their_keys() {
        for (keys, expected) in [
            (json!({"image_processor_type": "SiglipImageProcessor"}), "CLIPImageProcessor"),
            (json!({"resample": 2}), "resample"),
            (json!({"do_center_crop": false}), "do_center_crop"),
            (json!({"size": 200}), "crop_size is 224"),
            (json!({"size": {"shortest_edge": 0}}), "size is"),
            (json!({"size": {"longest_edge": 5}}), "size is"),
            (json!({"do_pad": true}), "do_pad"),
            (json!({"image_std": [0, 1, 1]}), "image_std"),
        ] {
            let error = of(keys).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        for (keys, expected) in [
            (json!({"interpolation": "bilinear"}), "interpolation"),
            (json!({"resize_mode": "longest"}), "resize_mode"),
            (json!({"size": 336}), "image_size 224"),
            (json!({"std": 0}), "std is"),
        ] {
            let error = of_open_clip(&json!({"preprocess_cfg": keys}).to_string(), 224).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        assert_eq!(of_open_clip("{}", 224).unwrap().framing, cropped(224, Centre::HalfToEven));
    }
}
