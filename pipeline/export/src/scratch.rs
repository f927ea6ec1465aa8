//! Scratch folder of an export: the images of each task in the order in which they were read, the task's list
//! of pairs, and a receipt for each finished task and file.

use super::{ExportError, digest::Digest, entry::Entry, kinds::Kinds};
use capfilt_schemas::export::{Counts, File as ExportFile, LeftOut};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    collections::BTreeSet,
    fs::{self, File, TryLockError},
    io::{BufRead as _, BufReader, BufWriter, ErrorKind, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

/// Receipts from before the machine's last start are not used: a power cut loses data that was not synced to
/// disk.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// Bytes of the digest and the perceptual hash of an image.
const HASH_BYTES: usize = 24;

/// Receipt of a task that was read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Receipt {
    pub counts: Counts,
    pub kinds: Kinds,
    /// Start of each bucket in the task's list, and the end of the last.
    pub buckets: Vec<u64>,
    pub entries: u64,
    pub left_out: Vec<LeftOut>,
    /// Numbers of the entries of the exclusion lists that a row matched.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub excluded_by: BTreeSet<u32>,
}

/// The folder, locked by this process.
pub(crate) struct Scratch {
    folder: PathBuf,
    _lock: File,
}

impl Scratch {
    /// Opens the folder. Data of another export, or from before the machine's last start, is removed.
    pub fn open(folder: &Path, request: &[u8]) -> Result<Self, ExportError> {
        fs::create_dir_all(folder).map_err(|source| failed("create", folder, source))?;
        let lock = folder.join("lock");
        let file = File::create(&lock).map_err(|source| failed("create", &lock, source))?;
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            return Err(ExportError::Busy { lock });
        }
        let boot = fs::read(BOOT).unwrap_or_default();
        let ours = [request, b"\n", &boot].concat();
        let of = folder.join("request");
        let scratch = Self { folder: folder.to_owned(), _lock: file };
        if fs::read(&of).unwrap_or_default() != ours {
            scratch.clear()?;
            write_whole(&of, &ours)?;
        }
        Ok(scratch)
    }

    fn clear(&self) -> Result<(), ExportError> {
        let entries = fs::read_dir(&self.folder).map_err(|source| failed("list", &self.folder, source))?;
        for entry in entries {
            let path = entry.map_err(|source| failed("list", &self.folder, source))?.path();
            // Only the names of an export: the user may have named a folder with other files in it.
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name == "request" || name.starts_with("task-") || name.starts_with("file-") {
                fs::remove_file(&path).map_err(|source| failed("remove", &path, source))?;
            }
        }
        Ok(())
    }

    /// Removes all scratch data of a finished export.
    pub fn remove(self) -> Result<(), ExportError> {
        self.clear()?;
        let lock = self.folder.join("lock");
        fs::remove_file(&lock).map_err(|source| failed("remove", &lock, source))?;
        // The user's folder may contain other files.
        let _ = fs::remove_dir(&self.folder);
        Ok(())
    }

    pub fn receipt(&self, task: usize) -> Result<Option<Receipt>, ExportError> {
        self.read(&format!("task-{task:06}.done"))
    }

    pub fn file_receipt(&self, file: usize) -> Result<Option<ExportFile>, ExportError> {
        self.read(&format!("file-{file:06}.done"))
    }

    pub fn put_file_receipt(&self, file: usize, receipt: &ExportFile) -> Result<(), ExportError> {
        self.write(&format!("file-{file:06}.done"), receipt)
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, ExportError> {
        let path = self.folder.join(name);
        match fs::read(&path) {
            Ok(bytes) => {
                let parsed = serde_json::from_slice(&bytes);
                parsed.map(Some).map_err(|source| ExportError::Entry { path, line: 1, source })
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(failed("read", &path, source)),
        }
    }

    fn write(&self, name: &str, receipt: &impl Serialize) -> Result<(), ExportError> {
        write_whole(&self.folder.join(name), &serde_json::to_vec(receipt).expect("a receipt is plain data"))
    }

    fn images_path(&self, task: usize) -> PathBuf {
        self.folder.join(format!("task-{task:06}.images"))
    }

    fn hashes_path(&self, task: usize) -> PathBuf {
        self.folder.join(format!("task-{task:06}.hashes"))
    }

    /// Writes the perceptual hashes of a task's images, in the order in which they were read.
    pub fn put_hashes(&self, task: usize, hashes: &[(Digest, u64)]) -> Result<(), ExportError> {
        let path = self.hashes_path(task);
        let bytes: Vec<u8> =
            hashes.iter().flat_map(|(digest, hash)| [&digest.0[..], &hash.to_le_bytes()].concat()).collect();
        fs::write(&path, bytes).map_err(|source| failed("write", &path, source))
    }

    /// The perceptual hashes of a task's images, in the order in which they were read.
    pub fn hashes(&self, task: usize) -> Result<Vec<(Digest, u64)>, ExportError> {
        let path = self.hashes_path(task);
        let bytes = fs::read(&path).map_err(|source| failed("read", &path, source))?;
        let image = |bytes: &[u8; HASH_BYTES]| {
            let (mut digest, mut hash) = ([0; 16], [0; 8]);
            digest.copy_from_slice(&bytes[..16]);
            hash.copy_from_slice(&bytes[16..]);
            (Digest(digest), u64::from_le_bytes(hash))
        };
        Ok(bytes.as_chunks().0.iter().map(image).collect())
    }

    fn list_path(&self, task: usize) -> PathBuf {
        self.folder.join(format!("task-{task:06}.pairs"))
    }

    /// Creates the file of a task's images.
    pub fn spill(&self, task: usize) -> Result<Spill, ExportError> {
        let path = self.images_path(task);
        let file = File::create(&path).map_err(|source| failed("create", &path, source))?;
        Ok(Spill { path, file: BufWriter::with_capacity(1 << 20, file), bytes: 0 })
    }

    /// Finishes a task: writes its list, ordered by bucket, and then its receipt.
    pub fn finish(
        &self,
        task: usize,
        mut receipt: Receipt,
        entries: &[(usize, Entry)],
    ) -> Result<(), ExportError> {
        let path = self.list_path(task);
        let file = File::create(&path).map_err(|source| failed("create", &path, source))?;
        let mut out = BufWriter::with_capacity(1 << 20, file);
        let mut position = 0;
        receipt.buckets.clear();
        for (bucket, entry) in entries {
            receipt.buckets.resize((*bucket + 1).max(receipt.buckets.len()), position);
            let mut line = serde_json::to_vec(entry).expect("a pair is plain data");
            line.push(b'\n');
            out.write_all(&line).map_err(|source| failed("write", &path, source))?;
            position += line.len() as u64;
        }
        receipt.buckets.push(position);
        receipt.entries = entries.len() as u64;
        out.flush().map_err(|source| failed("write", &path, source))?;
        self.write(&format!("task-{task:06}.done"), &receipt)
    }

    /// Pairs of a task in one bucket, in the order in which they were read.
    pub fn entries(&self, task: usize, receipt: &Receipt, bucket: usize) -> Result<Vec<Entry>, ExportError> {
        let (Some(start), Some(end)) = (receipt.buckets.get(bucket), receipt.buckets.get(bucket + 1)) else {
            return Ok(Vec::new());
        };
        let path = self.list_path(task);
        let mut file = File::open(&path).map_err(|source| failed("open", &path, source))?;
        file.seek(SeekFrom::Start(*start)).map_err(|source| failed("read", &path, source))?;
        let (mut left, mut entries) = (end - start, Vec::new());
        let mut lines = BufReader::with_capacity(1 << 18, file);
        let mut line = String::new();
        while left > 0 {
            line.clear();
            let read = lines.read_line(&mut line).map_err(|source| failed("read", &path, source))?;
            let parsed = serde_json::from_str(&line);
            let number = entries.len() + 1;
            entries.push(parsed.map_err(|source| ExportError::Entry {
                path: path.clone(),
                line: number,
                source,
            })?);
            left = left.saturating_sub(read as u64);
        }
        Ok(entries)
    }

    /// Opens the images of a task for reading.
    pub fn images(&self, task: usize) -> Result<Images, ExportError> {
        let path = self.images_path(task);
        let file = File::open(&path).map_err(|source| failed("open", &path, source))?;
        Ok(Images { path, file })
    }
}

/// Writer of a task's images.
pub(crate) struct Spill {
    path: PathBuf,
    file: BufWriter<File>,
    bytes: u64,
}

impl Spill {
    /// Appends an image and returns its offset.
    pub fn put(&mut self, image: &[u8]) -> Result<u64, ExportError> {
        let offset = self.bytes;
        self.file.write_all(image).map_err(|source| failed("write", &self.path, source))?;
        self.bytes += image.len() as u64;
        Ok(offset)
    }

    pub fn finish(mut self) -> Result<(), ExportError> {
        self.file.flush().map_err(|source| failed("write", &self.path, source))
    }
}

/// Reader of a task's images.
pub(crate) struct Images {
    path: PathBuf,
    file: File,
}

impl Images {
    pub fn get(&self, offset: u64, bytes: u64) -> Result<Vec<u8>, ExportError> {
        use std::os::unix::fs::FileExt as _;
        let mut image = vec![0; bytes as usize];
        self.file.read_exact_at(&mut image, offset).map_err(|source| failed("read", &self.path, source))?;
        Ok(image)
    }
}

/// Writes a file atomically.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), ExportError> {
    let part = path.with_extension("part");
    fs::write(&part, bytes).map_err(|source| failed("write", &part, source))?;
    fs::rename(&part, path).map_err(|source| failed("write", path, source))
}

fn failed(what: &'static str, path: &Path, source: std::io::Error) -> ExportError {
    ExportError::Scratch { what, path: path.to_owned(), source }
}
