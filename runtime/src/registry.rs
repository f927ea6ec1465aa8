//! Registry of the model families.
//!
//! `model_type` in the `config.json` of a checkpoint names the family. A checkpoint without this file (an
//! original `.pth`), or with an unknown type, goes to the first family, whose loader accepts it or names the
//! fault.

use crate::{
    blip,
    family::{Family, ModelOptions},
};
use capfilt_pipeline::model::{Captioner, Filter};
use capfilt_schemas::settings::{self, Method, Preset};
use serde::Deserialize;
use std::{
    fs::File,
    io::{BufReader, Read as _},
    path::Path,
};

/// All families.
static FAMILIES: [Family; 1] = [blip::FAMILY];

/// Largest `config.json` that is searched for the type, in bytes; published files have 5 kB.
const MAX_CONFIG_BYTES: u64 = 16 << 20;

/// Loads a captioner from a folder, or from a file of weights.
///
/// # Errors
/// Names the file or option that is wrong, and why.
pub fn captioner(
    path: &Path,
    options: ModelOptions,
    decoding: &settings::Captioner,
) -> anyhow::Result<Box<dyn Captioner>> {
    (family_of(path).captioner)(path, options, decoding)
}

/// Loads a filter from a folder, or from a file of weights.
///
/// # Errors
/// Names the file or option that is wrong, and why.
pub fn filter(path: &Path, options: ModelOptions) -> anyhow::Result<Box<dyn Filter>> {
    (family_of(path).filter)(path, options)
}

/// Default decoding of a checkpoint's family, for a preset and a method.
pub fn decoding(path: &Path, preset: Preset, method: Method) -> settings::Captioner {
    (family_of(path).decoding)(preset, method)
}

fn family_of(path: &Path) -> &'static Family {
    let of_type = |name: String| FAMILIES.iter().find(|family| family.model_types.contains(&name.as_str()));
    model_type(path).and_then(of_type).unwrap_or(&FAMILIES[0])
}

/// Type of a checkpoint; `None` if no `config.json` names it. The family's loader reports a broken file.
fn model_type(path: &Path) -> Option<String> {
    #[derive(Deserialize)]
    struct Config {
        model_type: String,
    }
    let folder = if path.is_dir() { path } else { path.parent()? };
    let config = folder.join("config.json");
    // A pipe or a device would block.
    let file = config.is_file().then(|| File::open(&config).ok()).flatten()?;
    let config: Config = serde_json::from_reader(BufReader::new(file.take(MAX_CONFIG_BYTES))).ok()?;
    Some(config.model_type)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeSet, fs};

    #[test]
    fn no_two_families_claim_a_type() {
        let all: Vec<&str> = FAMILIES.iter().flat_map(|family| family.model_types).copied().collect();
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "{all:?}");
    }

    #[test]
    fn the_type_of_a_checkpoint_is_read_from_its_folder() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let weights = folder.path().join("model.safetensors");
        assert_eq!(model_type(folder.path()), None, "no config.json");
        for (text, expected) in [
            (r#"{"model_type": "blip", "text_config": {"model_type": "blip_text_model"}}"#, Some("blip")),
            (r#"{"architectures": []}"#, None),
            ("not JSON", None),
        ] {
            fs::write(folder.path().join("config.json"), text).expect("a file");
            assert_eq!(model_type(folder.path()).as_deref(), expected, "{text}");
            assert_eq!(model_type(&weights).as_deref(), expected, "a file beside {text}");
        }
    }
}
