//! Calibration of a filter: one temperature of its matching logits (Guo et al. 2017), fitted on pairs whose
//! truth is known, in a file beside the weights.

use std::{fs, io, path::Path};

use capfilt_schemas::model_files::CALIBRATION;
use serde::{Deserialize, Serialize};

use crate::{
    error::LoadError,
    small_file::{self, MAX_DESCRIPTION_BYTES},
};

/// Version of the file.
pub const VERSION: u32 = 1;

/// Smallest and largest temperature of a file.
pub const TEMPERATURES: [f64; 2] = [0.05, 20.0];

/// Content of `calibration.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Version of the file ([`VERSION`]).
    pub version: u32,
    /// P(match) is the softmax of the logits divided by this number.
    pub temperature: f64,
    /// Number of pairs that the temperature was fitted on, true and false ones.
    pub pairs: u64,
    /// Texts of the false pairs, for people.
    pub negatives: String,
    /// URL of the pairs, for people.
    pub data: String,
}

impl Calibration {
    /// Reads the calibration of a checkpoint; `None` without the file, and for a checkpoint that is a single
    /// file.
    ///
    /// # Errors
    /// The file is not a calibration, or has another version or a temperature outside of [`TEMPERATURES`].
    pub fn of(checkpoint: &Path) -> Result<Option<Self>, LoadError> {
        if !checkpoint.is_dir() {
            return Ok(None);
        }
        let path = checkpoint.join(CALIBRATION);
        let Some(text) = small_file::read(&path, MAX_DESCRIPTION_BYTES)? else { return Ok(None) };
        let format = |reason: String| LoadError::Format { path: path.clone(), reason };
        let found: Self = serde_json::from_str(&text).map_err(|error| format(error.to_string()))?;
        if found.version != VERSION {
            return Err(format(format!("version {}, this program reads {VERSION}", found.version)));
        }
        let [least, most] = TEMPERATURES;
        if !(least..=most).contains(&found.temperature) {
            let found = found.temperature;
            return Err(format(format!("temperature is {found}, expected {least} to {most}")));
        }
        Ok(Some(found))
    }

    /// Writes the calibration into a checkpoint's folder: complete, or not at all.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        let draft = folder.join(format!("{CALIBRATION}.part"));
        fs::write(&draft, serde_json::to_string_pretty(self)? + "\n")?;
        fs::rename(&draft, folder.join(CALIBRATION))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_calibration_comes_back_and_a_wrong_one_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Calibration::of(folder.path()).unwrap(), None);
        let written = Calibration {
            version: VERSION,
            temperature: 1.25,
            pairs: 10,
            negatives: "random".to_owned(),
            data: "pairs".to_owned(),
        };
        written.write(folder.path()).unwrap();
        assert_eq!(Calibration::of(folder.path()).unwrap(), Some(written.clone()));
        for (wrong, reason) in [
            (Calibration { version: 2, ..written.clone() }, "version 2, this program reads 1"),
            (Calibration { temperature: 0.0, ..written.clone() }, "temperature is 0, expected 0.05 to 20"),
        ] {
            wrong.write(folder.path()).unwrap();
            let error = Calibration::of(folder.path()).unwrap_err().to_string();
            assert!(error.contains("calibration.json") && error.contains(reason), "{error}");
        }
        fs::write(folder.path().join(CALIBRATION), "{}").unwrap();
        assert!(Calibration::of(folder.path()).unwrap_err().to_string().contains("missing field"));
    }
}
