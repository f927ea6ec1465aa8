//! Settings of the image processor, read with the rules of transformers 5.
//!
//! `processor_config.json` has priority if it contains an `image_processor`, then `preprocessor_config.json`,
//! then BLIP's own values. A missing key has the default of transformers' class `BlipImageProcessor`. That
//! class takes null literally: null disables a step, and is an error for a number that a step needs. Values
//! that this program does not implement are errors that name the key, because different pixels would silently
//! give different captions.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::{
    error::LoadError,
    preprocess::{Normalisation, RESCALE_FACTOR},
    small_file,
};

/// PIL's number of the bicubic filter.
const BICUBIC: i64 = 3;

/// Reads the settings from a model's folder; also returns the file that has them.
///
/// # Errors
/// Names the file, the key, and the fault of its value.
pub fn read(folder: &Path) -> Result<(Normalisation, Option<PathBuf>), LoadError> {
    match read_with(folder, |keys| keys.normalisation())? {
        Some((found, path)) => Ok((found, Some(path))),
        None => Ok((Normalisation::default(), None)),
    }
}

/// Reads the settings from a model's folder by a function of their keys; `None` if no file has them.
///
/// # Errors
/// As [`read`].
pub(crate) fn read_with<T>(
    folder: &Path,
    parse: impl FnOnce(Keys<'_>) -> Result<T, String>,
) -> Result<Option<(T, PathBuf)>, LoadError> {
    let (whole, own) = (folder.join("processor_config.json"), folder.join("preprocessor_config.json"));
    let nested =
        object(&whole)?.and_then(|mut keys| keys.remove("image_processor")).filter(|value| !value.is_null());
    if let Some(value) = nested {
        let keys = value.as_object().ok_or_else(|| format!("image_processor is {value}, expected an object"));
        let found = keys.and_then(|keys| parse(Keys(keys)));
        let found = found.map_err(|reason| LoadError::Format { path: whole.clone(), reason })?;
        return Ok(Some((found, whole)));
    }
    let Some(keys) = object(&own)? else { return Ok(None) };
    let found = parse(Keys(&keys)).map_err(|reason| LoadError::Format { path: own.clone(), reason })?;
    Ok(Some((found, own)))
}

fn object(path: &Path) -> Result<Option<Map<String, Value>>, LoadError> {
    let text = small_file::read(path, small_file::MAX_DESCRIPTION_BYTES)?;
    let parsed = text.map(|text| serde_json::from_str(&text)).transpose();
    parsed.map_err(|error| LoadError::Format { path: path.into(), reason: error.to_string() })
}

/// Keys of an image processor.
pub(crate) struct Keys<'a>(pub &'a Map<String, Value>);

impl Keys<'_> {
    fn normalisation(&self) -> Result<Normalisation, String> {
        self.is_of(["BlipImageProcessor", "BlipFeatureExtractor"])?;
        self.resizes()?;
        self.needed("size")?;
        let side = self.square("size", self.flag("default_to_square", true)?)?;
        self.changes_nothing("do_center_crop", "crop_size", side)?;
        self.changes_nothing("do_pad", "pad_size", side)?;
        Ok(Normalisation { side, ..self.of_pixels()? })
    }

    /// Checks that images are converted to RGB and resized by the bicubic filter.
    pub fn resizes(&self) -> Result<(), String> {
        if !self.flag("do_resize", true)? {
            return Err(
                "do_resize is false, but the model takes squares of one size, to which every image is \
                resized"
                    .into(),
            );
        }
        if !self.flag("do_convert_rgb", true)? {
            return Err("do_convert_rgb is false, but every image is converted to RGB here".into());
        }
        match self.needed("resample")? {
            None => Ok(()),
            Some(value) if value.as_i64() == Some(BICUBIC) => Ok(()),
            Some(value) => Err(format!("resample is {value}, but images are resized with 3 (bicubic) alone")),
        }
    }

    /// Rescaling and normalisation of the pixels. Missing keys have OpenAI's values, which are also BLIP's.
    pub fn of_pixels(&self) -> Result<Normalisation, String> {
        let defaults = Normalisation::default();
        let factor = match self.flag("do_rescale", true)? {
            true => self.number("rescale_factor")?.unwrap_or(RESCALE_FACTOR),
            false => 1.0,
        };
        if !(factor as f32 > 0.0 && (factor as f32).is_finite()) {
            return Err(format!("rescale_factor is {factor}, expected a positive number"));
        }
        let (mean, std) = match self.flag("do_normalize", true)? {
            true => (
                self.channels("image_mean")?.unwrap_or(defaults.mean),
                self.channels("image_std")?.unwrap_or(defaults.std),
            ),
            false => ([0.0; 3], [1.0; 3]),
        };
        if std.iter().any(|std| *std as f32 <= 0.0) {
            return Err(format!("image_std is {std:?}, expected positive numbers"));
        }
        Ok(Normalisation { factor, mean, std, side: None })
    }

    /// Value of a key that a step needs; `None` if the key is missing, an error if it is null.
    pub fn needed(&self, key: &str) -> Result<Option<&Value>, String> {
        match self.0.get(key) {
            Some(Value::Null) => Err(format!("{key} is null, but the step that it belongs to is on")),
            value => Ok(value),
        }
    }

    /// Value of a key; `None` if the key is missing or null.
    pub fn value(&self, key: &str) -> Option<&Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    /// Refuses other processor classes than `allowed`: they have other defaults and steps.
    pub fn is_of(&self, allowed: [&str; 2]) -> Result<(), String> {
        let key = if self.value("image_processor_type").is_some() {
            "image_processor_type"
        } else {
            "feature_extractor_type"
        };
        let Some(value) = self.value(key) else { return Ok(()) };
        let name = value.as_str().unwrap_or_default();
        let own = name.strip_suffix("Fast").or_else(|| name.strip_suffix("Pil")).unwrap_or(name);
        if allowed.contains(&own) {
            return Ok(());
        }
        Err(format!("{key} is {value}, but images are prepared as {} does it alone", allowed[0]))
    }

    pub fn flag(&self, key: &str, default: bool) -> Result<bool, String> {
        match self.0.get(key) {
            None => Ok(default),
            Some(Value::Null) => Ok(false),
            Some(value) => value.as_bool().ok_or_else(|| format!("{key} is {value}, expected true or false")),
        }
    }

    fn number(&self, key: &str) -> Result<Option<f64>, String> {
        let number =
            |value: &Value| value.as_f64().ok_or_else(|| format!("{key} is {value}, expected a number"));
        self.needed(key)?.map(number).transpose()
    }

    /// One number per channel, or one for all channels.
    pub fn channels(&self, key: &str) -> Result<Option<[f64; 3]>, String> {
        let Some(value) = self.needed(key)? else { return Ok(None) };
        let wrong = || format!("{key} is {value}, expected three numbers");
        let numbers = match value {
            Value::Array(items) => {
                items.iter().map(Value::as_f64).collect::<Option<Vec<f64>>>().ok_or_else(wrong)?
            }
            value => vec![value.as_f64().ok_or_else(wrong)?; 3],
        };
        let is_finite = numbers.iter().all(|number| (*number as f32).is_finite());
        numbers.try_into().ok().filter(|_| is_finite).ok_or_else(wrong).map(Some)
    }

    /// Side of a square: a number, a pair, or height and width.
    pub fn square(&self, key: &str, number_is_side: bool) -> Result<Option<i64>, String> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let wrong = |why: &str| format!("{key} is {value}, {why}");
        let pair = match value {
            Value::Number(_) if !number_is_side => {
                return Err(wrong("the shortest edge, as default_to_square is false; expected a square"));
            }
            Value::Number(side) => [side.as_i64(), side.as_i64()],
            Value::Array(pair) if pair.len() == 2 => [pair[0].as_i64(), pair[1].as_i64()],
            Value::Object(keys)
                if keys.len() == 2 && keys.contains_key("height") && keys.contains_key("width") =>
            {
                [keys["height"].as_i64(), keys["width"].as_i64()]
            }
            _ => return Err(wrong("expected a square: a number, or height and width")),
        };
        match pair {
            [Some(height), Some(width)] if height == width && height > 0 => Ok(Some(height)),
            [Some(height), Some(width)] => Err(wrong(&format!("{height}x{width} pixels; expected a square"))),
            _ => Err(wrong("expected whole numbers")),
        }
    }

    /// Accepts a crop or a padding to the size that images already have, and refuses any other.
    fn changes_nothing(&self, step: &str, size: &str, side: Option<i64>) -> Result<(), String> {
        if !self.flag(step, false)? {
            return Ok(());
        }
        // Without an explicit size, images are padded to the largest of the batch, and all have one size.
        let is_free = step == "do_pad" && self.value(size).is_none();
        let own = self.square(size, true)?;
        if is_free || own.is_some() && own == side {
            return Ok(());
        }
        let shown = self.value(size).map_or("not given".to_string(), ToString::to_string);
        Err(format!("{step} is true and {size} is {shown}, but images are only resized here, to size"))
    }
}

#[cfg(test)]
mod tests;
