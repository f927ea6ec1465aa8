//! Bounded reading of a checkpoint's text files (config, tokenizer, image processor): a device, a pipe or a
//! file of gigabytes gives an error and does not exhaust the machine.

use std::{fs, io::ErrorKind, path::Path};

use crate::error::LoadError;

/// Largest config or processor file in bytes; published ones have 5 kB.
pub(crate) const MAX_DESCRIPTION_BYTES: u64 = 16 << 20;
/// Largest tokenizer file in bytes; BERT's has 0.7 MB, one of 250,000 words 17 MB.
pub(crate) const MAX_TOKENIZER_BYTES: u64 = 64 << 20;

/// First line of a Git LFS pointer file.
const LFS: &[u8] = b"version https://git-lfs.github.com/spec/v1";

/// Reads the text of a file of at most `most` bytes; `None` if the file does not exist.
///
/// # Errors
/// The file cannot be read, is not a regular file, is larger, is not UTF-8, or is a Git LFS pointer.
pub fn read(path: &Path, most: u64) -> Result<Option<String>, LoadError> {
    let io = |source| LoadError::Io { path: path.into(), source };
    let format = |reason: String| LoadError::Format { path: path.into(), reason };
    let about = match fs::metadata(path) {
        // A dangling link is a lost file, not a missing one.
        Err(error) if error.kind() == ErrorKind::NotFound && fs::symlink_metadata(path).is_err() => {
            return Ok(None);
        }
        about => about.map_err(io)?,
    };
    if !about.is_file() {
        return Err(format("no regular file".into()));
    }
    if about.len() > most {
        return Err(format(format!("{} bytes; expected {most} or fewer", about.len())));
    }
    let bytes = fs::read(path).map_err(io)?;
    if let Some(pointer) = lfs_pointer(&bytes) {
        return Err(format(pointer));
    }
    String::from_utf8(bytes).map(Some).map_err(|_| format("not UTF-8 text".into()))
}

/// Error text for bytes that are a Git LFS pointer; `None` for other bytes.
pub(crate) fn lfs_pointer(start: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(start.strip_prefix(LFS)?);
    let field = |name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("unknown").trim().to_owned()
    };
    Some(format!(
        "a Git LFS pointer and not the file itself (size {} bytes, oid {}); fetch it with `git lfs pull`, \
        or download \
         the file",
        field("size "),
        field("oid ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_a_description_is_named_and_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        assert!(read(&path, 9).unwrap().is_none());
        let error = |most| read(&path, most).unwrap_err().to_string();
        fs::write(&path, "0123456789").unwrap();
        assert!(error(9).contains("10 bytes; expected 9 or fewer"));
        assert_eq!(read(&path, 10).unwrap().unwrap(), "0123456789");
        fs::write(&path, [0xff]).unwrap();
        assert!(error(10).contains("not UTF-8"));
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        assert!(error(10).contains("no regular file"));
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(folder.path().join("nothing"), &path).unwrap();
        assert!(error(10).contains("cannot read"));
    }

    #[test]
    fn a_git_lfs_pointer_is_named_as_one_with_its_size() {
        let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00ff\nsize 989820849\n";
        let message = lfs_pointer(pointer).unwrap();
        assert!(
            message.contains("Git LFS pointer")
                && message.contains("989820849")
                && message.contains("sha256:00ff"),
            "{message}"
        );
        assert!(lfs_pointer(b"{}").is_none());
    }
}
