//! Locations of sources, each once, and of the samples between the halves of an export.

use capfilt_schemas::hash::sha256_hex;
use capfilt_store::{Location, StoreError, without_secrets};
use std::{env, fs, path::PathBuf};

/// Location of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// URL as given.
    pub url: String,
    /// Equal for relative and absolute paths, with and without a final slash, and through symbolic links.
    pub identity: String,
}

/// Finds the locations of URLs, without repetitions; calls `repeated` with each URL that repeats one.
///
/// # Errors
/// A URL that names no location.
pub fn each_once(urls: &[String], mut repeated: impl FnMut(&str)) -> Result<Vec<Place>, StoreError> {
    let mut places: Vec<Place> = Vec::new();
    for url in urls {
        let identity = identity(url)?;
        match places.iter().any(|known| known.identity == identity) {
            true => repeated(url),
            false => places.push(Place { url: url.clone(), identity }),
        }
    }
    Ok(places)
}

fn identity(url: &str) -> Result<String, StoreError> {
    let place = Location::open(url)?;
    Ok(match place.local_path() {
        Some(path) => fs::canonicalize(&path).unwrap_or(path).display().to_string(),
        None => without_secrets(&place.url).trim_end_matches('/').to_owned(),
    })
}

/// Folder for samples that are read but not yet written: in a local destination, or else in the system's
/// temporary folder.
pub fn scratch_folder(bucket: &Location) -> PathBuf {
    match bucket.local_path() {
        Some(folder) => folder.join("export.scratch"),
        None => {
            let name = sha256_hex(bucket.url.as_bytes());
            env::temp_dir().join(format!("capfilt-export-{}", &name[..16]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_given_twice_is_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display().to_string();
        let mut repeated = Vec::new();
        let urls = [path.clone(), format!("{path}/")];
        let places = each_once(&urls, |url| repeated.push(url.to_owned())).unwrap();
        assert_eq!(places.len(), 1);
        assert_eq!(repeated, [format!("{path}/")]);
    }
}
