//! Opens a file of named tensors, safetensors or `torch.save`, and reads only the tensors asked for.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use safetensors::{
    Dtype,
    tensor::{Metadata, TensorInfo},
};
use tch::{Kind, Tensor};

use crate::{
    error::{LoadError, first_lines},
    pickle::{self, TensorLayout, Value},
};

/// A file of tensors whose table of contents has been read.
pub struct TensorFile {
    path: PathBuf,
    contents: Contents,
}

enum Contents {
    Safetensors { file: File, entries: HashMap<String, Entry> },
    Torch { archive: zip::ZipArchive<BufReader<File>>, prefix: String, entries: HashMap<String, TensorLayout> },
}

/// A tensor of a safetensors file: where its bytes lie.
struct Entry {
    kind: Kind,
    size: Vec<i64>,
    at: u64,
    bytes: u64,
}

impl TensorFile {
    /// Reads the table of contents. The format is told by the first bytes, not by the name.
    ///
    /// # Errors
    /// When the file cannot be read, is neither format, or is cut off.
    pub fn open(path: &Path) -> Result<Self, LoadError> {
        let mut file = File::open(path).map_err(|source| LoadError::Io { path: path.into(), source })?;
        let mut magic = [0; 4];
        let read = file.read(&mut magic).and_then(|_| file.rewind());
        read.map_err(|source| LoadError::Io { path: path.into(), source })?;
        let contents = match &magic {
            b"PK\x03\x04" => open_torch(file),
            [0x80, 0x02, ..] => {
                Err("an old torch.save file (before PyTorch 1.6); load it in Python and save it again".into())
            }
            _ => open_safetensors(file),
        };
        let contents = contents.map_err(|reason| LoadError::Format { path: path.into(), reason })?;
        Ok(Self { path: path.into(), contents })
    }

    /// Names and shapes of all tensors.
    pub fn shapes(&self) -> HashMap<String, Vec<i64>> {
        match &self.contents {
            Contents::Safetensors { entries, .. } => {
                entries.iter().map(|(name, e)| (name.clone(), e.size.clone())).collect()
            }
            Contents::Torch { entries, .. } => entries.iter().map(|(name, e)| (name.clone(), e.size.clone())).collect(),
        }
    }

    /// Whether there is a tensor of this name.
    pub fn holds(&self, name: &str) -> bool {
        match &self.contents {
            Contents::Safetensors { entries, .. } => entries.contains_key(name),
            Contents::Torch { entries, .. } => entries.contains_key(name),
        }
    }

    /// Reads one tensor into CPU memory.
    ///
    /// # Errors
    /// When it is not in the file, or the file is cut off there.
    pub fn read(&mut self, name: &str) -> Result<Tensor, LoadError> {
        let read = match &mut self.contents {
            Contents::Safetensors { file, entries } => match entries.get(name) {
                Some(entry) => entry.read(file),
                None => Err("no such tensor".into()),
            },
            Contents::Torch { archive, prefix, entries } => match entries.get(name) {
                Some(layout) => read_torch(archive, prefix, layout),
                None => Err("no such tensor".into()),
            },
        };
        read.map_err(|reason| LoadError::Format { path: self.path.clone(), reason: format!("{name}: {reason}") })
    }
}

impl Entry {
    /// `start`: where the data begin in the file.
    fn new(info: &TensorInfo, start: u64) -> Result<Self, String> {
        let kind = kind_of(info.dtype).ok_or_else(|| format!("element type {:?} is not supported", info.dtype))?;
        let (from, to) = info.data_offsets;
        let elements = info.shape.iter().try_fold(kind.elt_size_in_bytes(), |bytes, n| bytes.checked_mul(*n));
        let bytes = to.checked_sub(from).filter(|bytes| Some(*bytes) == elements);
        let bytes = bytes.ok_or_else(|| format!("shape {:?} does not fit its bytes {from}..{to}", info.shape))?;
        let size = info.shape.iter().map(|n| *n as i64).collect();
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

/// The library would want the whole file in memory to check it, so the few checks are made here.
fn open_safetensors(mut file: File) -> Result<Contents, String> {
    let length = file.metadata().map_err(|error| error.to_string())?.len();
    let mut prefix = [0; 8];
    file.read_exact(&mut prefix).map_err(|_| "cut off: not even a header".to_string())?;
    let header = u64::from_le_bytes(prefix);
    if header > length - 8 {
        return Err("neither a safetensors file nor a torch.save archive, or cut off within its header".into());
    }
    let mut bytes = vec![0; header as usize];
    file.read_exact(&mut bytes).map_err(|error| error.to_string())?;
    let metadata: Metadata = serde_json::from_slice(&bytes).map_err(|error| format!("safetensors header: {error}"))?;
    let start = 8 + header;
    let infos = metadata.tensors();
    let end = infos.values().map(|info| info.data_offsets.1 as u64).max().unwrap_or(0);
    if length - start < end {
        return Err(format!("cut off: {length} bytes of {}", start.saturating_add(end)));
    }
    let entry = |(name, info)| Entry::new(info, start).map(|entry| (name, entry));
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

fn open_torch(file: File) -> Result<Contents, String> {
    let cut = |error: zip::result::ZipError| format!("not a whole torch.save archive (cut off?): {error}");
    let mut archive = zip::ZipArchive::new(BufReader::new(file)).map_err(cut)?;
    let pickle = archive.file_names().find(|name| name.ends_with("/data.pkl")).map(str::to_string);
    let pickle = pickle.ok_or("a zip archive, but none written by torch.save (no data.pkl)")?;
    let prefix = pickle.trim_end_matches("data.pkl").to_string();
    let mut bytes = Vec::new();
    archive.by_name(&pickle).map_err(cut)?.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    let entries = state_dict(pickle::read(&bytes)?)?;
    Ok(Contents::Torch { archive, prefix, entries })
}

/// The state dict in what was saved: itself, or under `model` (BLIP's training script) or `state_dict`.
fn state_dict(root: Value) -> Result<HashMap<String, TensorLayout>, String> {
    let Value::Dict(pairs) = root else {
        return Err("no dictionary was saved in it; a whole model object cannot be read, save its state_dict".into());
    };
    let mut nested = None;
    let mut tensors = HashMap::new();
    for (key, value) in pairs {
        match (key, value) {
            (Value::Text(name), Value::Tensor(layout)) => drop(tensors.insert(name, layout)),
            (Value::Text(name), Value::Dict(inner)) if name == "model" || name == "state_dict" => nested = Some(inner),
            _ => {}
        }
    }
    match nested {
        Some(inner) => state_dict(Value::Dict(inner)),
        None if tensors.is_empty() => Err("it holds no tensors by name".into()),
        None => Ok(tensors),
    }
}

fn read_torch(
    archive: &mut zip::ZipArchive<BufReader<File>>,
    prefix: &str,
    layout: &TensorLayout,
) -> Result<Tensor, String> {
    let mut bytes = Vec::new();
    let name = format!("{prefix}data/{}", layout.storage.key);
    let mut file = archive.by_name(&name).map_err(|error| format!("storage {}: {error}", layout.storage.key))?;
    file.read_to_end(&mut bytes).map_err(|error| format!("storage {}: {error}", layout.storage.key))?;
    let element = layout.storage.kind.elt_size_in_bytes();
    let elements = bytes.len() / element;
    // The last element a strided view reaches must lie in the storage.
    let steps = layout
        .size
        .iter()
        .zip(&layout.stride)
        .try_fold(layout.offset, |sum, (n, stride)| sum.checked_add((n - 1).max(0).checked_mul(*stride)?));
    if layout.size.iter().all(|n| *n > 0) && steps.is_none_or(|last| last >= elements as i64) {
        return Err(format!("storage {} is too short for shape {:?}", layout.storage.key, layout.size));
    }
    let storage = Tensor::f_from_data_size(&bytes[..elements * element], &[elements as i64], layout.storage.kind);
    storage
        .and_then(|storage| storage.f_as_strided(&layout.size, &layout.stride, layout.offset))
        .and_then(|view| view.f_contiguous())
        .map_err(|error| first_lines(&error))
}
