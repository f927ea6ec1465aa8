//! A file of named tensors (safetensors or `torch.save`), of which only requested tensors are read.
//!
//! The table of contents is compared with the file's length before memory is allocated: also with a forged
//! table, tensors take no more memory than the file has bytes.

use std::{
    collections::HashMap,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use safetensors::{
    Dtype,
    tensor::{Metadata, TensorInfo},
};
use tch::{Kind, Tensor};

use crate::{
    error::{LoadError, first_lines},
    pickle::MAX_AXES,
    small_file::lfs_pointer,
    torch_archive::TorchArchive,
};

/// Largest header of a safetensors file in bytes, as in the format's own library.
const MAX_HEADER: u64 = 100_000_000;

/// A file of tensors whose table of contents has been read.
pub struct TensorFile {
    path: PathBuf,
    contents: Contents,
}

enum Contents {
    Safetensors { file: File, entries: HashMap<String, Entry> },
    Torch(TorchArchive),
}

/// Position of a tensor's bytes in a safetensors file.
struct Entry {
    kind: Kind,
    size: Vec<i64>,
    at: u64,
    bytes: u64,
}

impl TensorFile {
    /// Reads the table of contents. The first bytes decide the format, not the name.
    ///
    /// # Errors
    /// The file cannot be read, has neither format, is cut off, or has fewer bytes than its table says.
    pub fn open(path: &Path) -> Result<Self, LoadError> {
        let io = |source| LoadError::Io { path: path.into(), source };
        let mut file = File::open(path).map_err(io)?;
        let mut start = Vec::new();
        file.by_ref().take(512).read_to_end(&mut start).and_then(|_| file.rewind()).map_err(io)?;
        let contents = match start.as_slice() {
            start if lfs_pointer(start).is_some() => Err(lfs_pointer(start).unwrap_or_default()),
            [b'P', b'K', 3, 4, ..] => TorchArchive::open(file).map(Contents::Torch),
            [0x80, 0x02, ..] => {
                Err("an old torch.save file (before PyTorch 1.6); load it in Python and save it again".into())
            }
            [b'<', ..] => Err("a page of HTML or XML and not weights; was the download refused?".into()),
            _ => open_safetensors(file),
        };
        let contents = contents.map_err(|reason| LoadError::Format { path: path.into(), reason })?;
        Ok(Self { path: path.into(), contents })
    }

    /// Path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Names of all tensors.
    pub fn names(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        match &self.contents {
            Contents::Safetensors { entries, .. } => Box::new(entries.keys().map(String::as_str)),
            Contents::Torch(archive) => Box::new(archive.names()),
        }
    }

    /// Shape of a tensor; `None` if the file does not have the tensor.
    pub fn shape(&self, name: &str) -> Option<&[i64]> {
        match &self.contents {
            Contents::Safetensors { entries, .. } => entries.get(name).map(|entry| entry.size.as_slice()),
            Contents::Torch(archive) => archive.shape(name),
        }
    }

    /// Whether the file has a tensor of this name.
    pub fn holds(&self, name: &str) -> bool {
        self.shape(name).is_some()
    }

    /// Reads one tensor into CPU memory.
    ///
    /// # Errors
    /// The file does not have the tensor, or is cut off there.
    pub fn read(&mut self, name: &str) -> Result<Tensor, LoadError> {
        let read = match &mut self.contents {
            Contents::Safetensors { file, entries } => match entries.get(name) {
                Some(entry) => entry.read(file),
                None => Err("no such tensor".into()),
            },
            Contents::Torch(archive) => archive.read(name),
        };
        read.map_err(|reason| LoadError::Format {
            path: self.path.clone(),
            reason: format!("{name}: {reason}"),
        })
    }
}

impl Entry {
    /// `start`: offset of the data in the file.
    fn new(info: &TensorInfo, start: u64) -> Result<Self, String> {
        let kind =
            kind_of(info.dtype).ok_or_else(|| format!("element type {:?} is not supported", info.dtype))?;
        if info.shape.len() > MAX_AXES {
            return Err(format!("{} axes; expected {MAX_AXES} or fewer", info.shape.len()));
        }
        let (from, to) = info.data_offsets;
        let elements = info.shape.iter().try_fold(kind.elt_size_in_bytes(), |bytes, n| bytes.checked_mul(*n));
        let bytes = to.checked_sub(from).filter(|bytes| Some(*bytes) == elements);
        let bytes =
            bytes.ok_or_else(|| format!("shape {:?} does not fit its bytes {from}..{to}", info.shape))?;
        let size = info.shape.iter().map(|n| i64::try_from(*n)).collect::<Result<_, _>>();
        let size = size.map_err(|_| format!("shape {:?} is out of range", info.shape))?;
        Ok(Self { kind, size, at: start + from as u64, bytes: bytes as u64 })
    }

    fn read(&self, file: &mut File) -> Result<Tensor, String> {
        let mut bytes = vec![0; self.bytes as usize];
        file.seek(SeekFrom::Start(self.at))
            .and_then(|_| file.read_exact(&mut bytes))
            .map_err(|error| error.to_string())?;
        Tensor::f_from_data_size(&bytes, &self.size, self.kind).map_err(|error| first_lines(&error))
    }
}

/// Reads the header and checks it. The library's own check needs the whole file in memory, so the few checks
/// are made here. The library's header parser refuses tensors that overlap or leave gaps.
fn open_safetensors(mut file: File) -> Result<Contents, String> {
    let length = file.metadata().map_err(|error| error.to_string())?.len();
    let mut prefix = [0; 8];
    file.read_exact(&mut prefix).map_err(|_| "cut off: not even a header".to_string())?;
    let header = u64::from_le_bytes(prefix);
    if header > length - 8 {
        return Err(
            "neither a safetensors file nor a torch.save archive, or cut off within its header".into()
        );
    }
    if header > MAX_HEADER {
        return Err(format!("a header of {header} bytes; the format allows {MAX_HEADER}"));
    }
    let mut bytes = vec![0; header as usize];
    file.read_exact(&mut bytes).map_err(|error| error.to_string())?;
    let metadata: Metadata =
        serde_json::from_slice(&bytes).map_err(|error| format!("safetensors header: {error}"))?;
    let start = 8 + header;
    let infos = metadata.tensors();
    let end = infos.values().map(|info| info.data_offsets.1 as u64).max().unwrap_or(0);
    if length - start < end {
        return Err(format!("cut off: {length} bytes of {}", start.saturating_add(end)));
    }
    let entry = |(name, info): (String, &TensorInfo)| match Entry::new(info, start) {
        Ok(entry) => Ok((name, entry)),
        Err(reason) => Err(format!("{name}: {reason}")),
    };
    let entries = infos.into_iter().map(entry).collect::<Result<_, String>>()?;
    Ok(Contents::Safetensors { file, entries })
}

fn kind_of(dtype: Dtype) -> Option<Kind> {
    Some(match dtype {
        Dtype::F32 => Kind::Float,
        Dtype::F16 => Kind::Half,
        Dtype::BF16 => Kind::BFloat16,
        Dtype::F64 => Kind::Double,
        Dtype::I64 => Kind::Int64,
        Dtype::I32 => Kind::Int,
        Dtype::U8 => Kind::Uint8,
        Dtype::BOOL => Kind::Bool,
        _ => return None,
    })
}
