//! Exclusion lists: rows that are left out by URL, key or SHA-256 of the image, such as take-down requests.

use super::{
    ExportError,
    digest::Digest,
    exclusion_table::{Kind, Role, each_cell},
    source::Row,
};
use capfilt_schemas::export::ExclusionList;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, BufRead as _, BufReader},
    path::{Path, PathBuf},
};

/// Bytes of a list that are hashed at a time.
const PIECE: usize = 1 << 20;

/// Entries of all lists of an export. Memory: 20 bytes per entry, at most 50 in a table that is half empty;
/// twice this for an entry that is a SHA-256.
#[derive(Debug, Default)]
pub struct Exclusions {
    lists: Vec<ExclusionList>,
    /// Number of each distinct entry, by its digest.
    names: HashMap<Digest, u32>,
    /// Entries that are the SHA-256 of an image; a key can be such a text too.
    images: HashMap<Digest, u32>,
}

impl Exclusions {
    /// Reads lists: text files with one entry per line, and tables with the columns `url`, `key` and
    /// `sha256`, in Parquet or as separated values (`.csv`, `.tsv`). White space around an entry, empty lines
    /// and empty values are ignored. Memory: a list that is not Parquet is held as a whole.
    ///
    /// # Errors
    /// A file cannot be read, is neither text in UTF-8 nor such a table, or has no entry.
    pub fn read(files: &[PathBuf]) -> Result<Self, ExportError> {
        let mut exclusions = Self::default();
        for file in files {
            let list =
                exclusions.add(file).map_err(|why| ExportError::ExclusionList { path: file.clone(), why })?;
            exclusions.lists.push(list);
        }
        Ok(exclusions)
    }

    fn add(&mut self, file: &Path) -> Result<ExclusionList, String> {
        let sha256 = digest_of(file).map_err(|error| error.to_string())?;
        let mut entries = 0;
        let mut enter = |entry: &str, role| {
            entries += 1;
            self.enter(entry, role)
        };
        match Kind::of(file)? {
            Kind::Lines => each_line(file, &mut enter)?,
            table => each_cell(file, table, &mut enter)?,
        }
        if entries == 0 {
            return Err("it has no entry".to_owned());
        }
        Ok(ExclusionList { sha256, entries })
    }

    fn enter(&mut self, entry: &str, role: Role) -> Result<(), String> {
        let next = u32::try_from(self.names.len()).map_err(|_| "it has more than 2^32 entries".to_owned())?;
        let number = *self.names.entry(Digest::of_name(entry)).or_insert(next);
        let image = (role != Role::Name).then(|| Digest::of_sha256(entry)).flatten();
        if role == Role::Image && image.is_none() {
            return Err(format!("{entry:?} is not a SHA-256 in 64 hexadecimal digits"));
        }
        image.into_iter().for_each(|image| {
            self.images.entry(image).or_insert(number);
        });
        Ok(())
    }

    /// The lists, in the given order.
    pub fn lists(&self) -> &[ExclusionList] {
        &self.lists
    }

    /// Number of distinct entries.
    pub(crate) fn entries(&self) -> u64 {
        self.names.len() as u64
    }

    /// Numbers of the entries that a row matches; `image` is the digest of its image.
    pub(crate) fn of(&self, row: &Row, image: Option<Digest>) -> Vec<u32> {
        if self.names.is_empty() {
            return Vec::new();
        }
        let url = row.more.get("url").and_then(Value::as_str);
        let member = row.judged.as_ref().and_then(|judged| judged.member.as_deref());
        let names = [url, row.key.as_deref(), member].into_iter().flatten();
        let by_name = names.filter_map(|name| self.names.get(&Digest::of_name(name.trim())));
        let by_image = image.and_then(|image| self.images.get(&image));
        by_name.chain(by_image).copied().collect()
    }
}

/// Hands each line of a text to `enter`.
fn each_line(file: &Path, enter: &mut impl FnMut(&str, Role) -> Result<(), String>) -> Result<(), String> {
    let bytes = fs::read(file).map_err(|error| error.to_string())?;
    let text = str::from_utf8(&bytes).map_err(|error| error.to_string())?;
    // Editors of some systems write a byte order mark.
    let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
    lines.filter(|entry| !entry.is_empty()).try_for_each(|entry| enter(entry, Role::Any))
}

/// SHA-256 of a file, in hexadecimal digits.
fn digest_of(file: &Path) -> io::Result<String> {
    let (mut hash, mut bytes) = (Sha256::new(), BufReader::with_capacity(PIECE, File::open(file)?));
    loop {
        let piece = bytes.fill_buf()?;
        if piece.is_empty() {
            return Ok(hex::encode(hash.finalize()));
        }
        hash.update(piece);
        let read = piece.len();
        bytes.consume(read);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use capfilt_schemas::hash::sha256_hex;
    use serde_json::{Map, json};

    fn row(key: &str, url: &str, image: &'static [u8]) -> Row {
        let more = Map::from_iter([("url".to_owned(), json!(url))]);
        let (file, key, image) = ("f".to_owned(), Some(key.to_owned()), Bytes::from_static(image));
        Row { file, row: 0, key, image, size: None, captions: vec![], texts: 1, judged: None, more }
    }

    #[test]
    fn an_entry_is_a_url_a_key_or_the_sha_256_of_an_image() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("a.txt"), folder.path().join("b.txt"));
        let image = sha256_hex(b"cat").to_uppercase();
        let text = format!("\u{feff}k1\r\n\n  https://x.org/1?a=b \n{image}\n");
        fs::write(&first, &text).unwrap();
        fs::write(&second, "k1\nk2\n").unwrap();
        let exclusions = Exclusions::read(&[first, second]).unwrap();
        let of = |key: &str, url: &str, image: &'static [u8]| {
            exclusions.of(&row(key, url, image), Some(Digest::of_image(image)))
        };
        assert_eq!(of("k1", "", b"dog"), [0]);
        assert_eq!(of("k", "https://x.org/1?a=b", b"dog"), [1]);
        assert_eq!(of("k", "https://x.org/1", b"cat"), [2]);
        assert_eq!(of("k2", "https://x.org/1?a=b", b"cat"), [1, 3, 2]);
        assert!(of("k3", "x", b"dog").is_empty());
        assert_eq!((exclusions.entries(), exclusions.lists()[0].entries), (4, 3));
        assert_eq!(exclusions.lists()[0].sha256, sha256_hex(text.as_bytes()));
    }

    #[test]
    fn a_key_that_looks_like_a_sha_256_matches_no_image_unless_it_is_listed_as_one() {
        let folder = tempfile::tempdir().unwrap();
        let (keys, images) = (folder.path().join("keys.csv"), folder.path().join("images.csv"));
        let image = sha256_hex(b"cat");
        fs::write(&keys, format!("key\n{image}\n")).unwrap();
        fs::write(&images, format!("sha256\n{image}\n")).unwrap();
        let matches = |lists: &[PathBuf]| {
            let exclusions = Exclusions::read(lists).unwrap();
            exclusions.of(&row("k", "", b"cat"), Some(Digest::of_image(b"cat")))
        };
        assert!(matches(std::slice::from_ref(&keys)).is_empty());
        assert_eq!(matches(&[keys, images]), [0]);
    }

    #[test]
    fn a_list_without_entries_or_that_is_not_text_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let read = |bytes: &[u8]| {
            fs::write(file.path(), bytes).unwrap();
            Exclusions::read(&[file.path().to_owned()]).unwrap_err().to_string()
        };
        assert!(read(b" \n\n").contains("has no entry"), "{}", read(b" \n\n"));
        assert!(read(b"k1\n\xff\xfe").contains("utf-8"), "{}", read(b"k1\n\xff\xfe"));
        assert!(read(b"PAR1\xff\xfe").contains("Parquet"), "{}", read(b"PAR1\xff\xfe"));
        let missing = Exclusions::read(&["/nowhere/list".into()]).unwrap_err().to_string();
        assert!(missing.contains("/nowhere/list") && missing.contains("No such file"), "{missing}");
    }
}
