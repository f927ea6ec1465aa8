//! Reader for the archives of `torch.save`: a zip of stored entries, with one pickle and one entry per
//! storage.
//!
//! A tensor is a view of a storage. Views are compared with the archive's lengths when the archive is opened.
//! A view may not repeat its storage (a stride of 0 makes 20 GB of four bytes), and all views together are
//! bounded by a multiple of the file's length.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufReader, Read},
    os::unix::fs::FileExt as _,
};

use tch::Tensor;
use zip::{CompressionMethod, ZipArchive, read::ZipFile, result::ZipError};

use crate::{
    error::first_lines,
    pickle::{self, TensorLayout, Value},
};

/// Largest pickle in bytes; that of a state dict takes 300 bytes per tensor.
const MAX_PICKLE: u64 = 64 << 20;
/// Largest ratio of all tensors' bytes to the file's length. More than 1, because tied tensors share a
/// storage.
const MAX_SHARED: u64 = 4;

/// An archive whose pickle has been read.
pub struct TorchArchive {
    archive: ZipArchive<BufReader<File>>,
    file: File,
    prefix: String,
    views: HashMap<String, View>,
}

/// A tensor and the position of its storage.
struct View {
    layout: TensorLayout,
    storage: Block,
    /// Elements between the first and the last element of the view.
    span: u64,
}

/// A stored entry of the archive: offset of the first byte in the file, and length.
#[derive(Clone, Copy)]
struct Block {
    at: u64,
    bytes: u64,
}

impl TorchArchive {
    /// Reads the pickle, and compares every tensor with its storage.
    ///
    /// # Errors
    /// A sentence that names the entry or tensor that does not fit.
    pub fn open(file: File) -> Result<Self, String> {
        let length = file.metadata().map_err(|error| error.to_string())?.len();
        let second = file.try_clone().map_err(|error| error.to_string())?;
        let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|error| cut(&error))?;
        let pickle = archive.file_names().find(|name| name.ends_with("/data.pkl")).map(str::to_string);
        let pickle = pickle.ok_or("a zip archive, but none written by torch.save (no data.pkl)")?;
        let prefix = pickle.trim_end_matches("data.pkl").to_string();
        let bytes = read_pickle(&mut archive, &pickle)?;
        let (mut blocks, mut views, mut total) = (HashMap::new(), HashMap::new(), 0_u64);
        for (name, layout) in state_dict(pickle::read(&bytes)?)? {
            let key = layout.storage.key.clone();
            let storage = match blocks.get(&key) {
                Some(block) => *block,
                None => {
                    *blocks.entry(key.clone()).or_insert(block(&mut archive, &format!("{prefix}data/{key}"))?)
                }
            };
            let view = View::new(layout, storage).map_err(|reason| format!("{name}: {reason}"))?;
            total = total.saturating_add(view.span.saturating_mul(view.element()));
            views.insert(name, view);
        }
        if total > length.saturating_mul(MAX_SHARED) {
            return Err(format!(
                "its tensors take {total} bytes of a file of {length}: they are views of each other"
            ));
        }
        Ok(Self { archive, file: second, prefix, views })
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.views.keys().map(String::as_str)
    }

    pub fn shape(&self, name: &str) -> Option<&[i64]> {
        self.views.get(name).map(|view| view.layout.size.as_slice())
    }

    /// Reads one tensor into CPU memory.
    ///
    /// # Errors
    /// A sentence with the reason.
    pub fn read(&mut self, name: &str) -> Result<Tensor, String> {
        let view = self.views.get(name).ok_or("no such tensor")?;
        let bytes = if view.is_whole() {
            // Reading through the zip archive also verifies the entry's checksum.
            let entry = format!("{}data/{}", self.prefix, view.layout.storage.key);
            let mut bytes = Vec::with_capacity(view.storage.bytes as usize);
            let mut stored = self.archive.by_name(&entry).map_err(|error| cut(&error))?;
            stored.read_to_end(&mut bytes).map_err(|error| format!("{entry}: {error}"))?;
            bytes
        } else {
            let from = view.storage.at + view.layout.offset as u64 * view.element();
            let mut bytes = vec![0; (view.span * view.element()) as usize];
            self.file.read_exact_at(&mut bytes, from).map_err(|error| error.to_string())?;
            bytes
        };
        let (layout, elements) = (&view.layout, bytes.len() as i64 / view.element() as i64);
        let offset = if view.is_whole() { layout.offset } else { 0 };
        Tensor::f_from_data_size(&bytes, &[elements], layout.storage.kind)
            .and_then(|storage| storage.f_as_strided(&layout.size, &layout.stride, offset))
            .and_then(|view| view.f_contiguous())
            .map_err(|error| first_lines(&error))
    }
}

impl View {
    fn new(layout: TensorLayout, storage: Block) -> Result<Self, String> {
        let is_empty = layout.size.contains(&0);
        let numel = layout.size.iter().try_fold(1_i64, |numel, n| numel.checked_mul(*n));
        let last = layout.size.iter().zip(&layout.stride).try_fold(0_i64, |sum, (n, stride)| {
            sum.checked_add((n - 1).max(0).checked_mul(*stride)?) // last element that a strided view reaches
        });
        let span =
            if is_empty { Some(0) } else { last.and_then(|last| u64::try_from(last).ok()?.checked_add(1)) };
        let (Some(numel), Some(span)) = (if is_empty { Some(0) } else { numel }, span) else {
            return Err(format!("shape {:?} is out of range", layout.size));
        };
        let mut view = Self { layout, storage, span };
        let elements = storage.bytes / view.element();
        if is_empty {
            view.layout.offset = 0;
        }
        let (key, shape) = (&view.layout.storage.key, &view.layout.size);
        match u64::try_from(view.layout.offset).ok().and_then(|offset| offset.checked_add(span)) {
            Some(end) if end <= elements && numel as u64 <= span => Ok(view),
            Some(end) if end <= elements => Err(format!(
                "shape {shape:?} repeats the {span} elements it has in storage {key}; save a copy of it"
            )),
            _ => Err(format!("storage {key} is too short for shape {shape:?}")),
        }
    }

    fn element(&self) -> u64 {
        self.layout.storage.kind.elt_size_in_bytes() as u64
    }

    /// Whether the view covers its whole storage, as nearly all tensors do.
    fn is_whole(&self) -> bool {
        self.layout.offset == 0 && self.span * self.element() == self.storage.bytes
    }
}

fn cut(error: &ZipError) -> String {
    format!("not a whole torch.save archive (cut off?): {error}")
}

fn read_pickle(archive: &mut ZipArchive<BufReader<File>>, name: &str) -> Result<Vec<u8>, String> {
    let entry = archive.by_name(name).map_err(|error| cut(&error))?;
    stored(&entry)?;
    if entry.size() > MAX_PICKLE {
        return Err(format!("{name} has {} bytes; expected {MAX_PICKLE} or fewer", entry.size()));
    }
    let mut bytes = Vec::with_capacity(entry.size() as usize);
    entry.take(MAX_PICKLE).read_to_end(&mut bytes).map_err(|error| format!("{name}: {error}"))?;
    Ok(bytes)
}

fn block(archive: &mut ZipArchive<BufReader<File>>, name: &str) -> Result<Block, String> {
    let entry = archive.by_name(name).map_err(|error| match error {
        ZipError::FileNotFound => format!("{name} is not in the archive"),
        error => format!("{name}: {}", cut(&error)),
    })?;
    stored(&entry)?;
    Ok(Block { at: entry.data_start(), bytes: entry.size() })
}

/// Refuses compressed entries: `torch.save` does not compress, and a compressed entry could have any length.
fn stored(entry: &ZipFile<'_>) -> Result<(), String> {
    if entry.compression() == CompressionMethod::Stored && entry.size() == entry.compressed_size() {
        return Ok(());
    }
    let (name, method) = (entry.name(), entry.compression());
    Err(format!(
        "{name} is compressed ({method}), which torch.save does not do; load it in Python and save it again"
    ))
}

/// Keys under which the state dict may be saved: `model` in BLIP's training script, others in other
/// frameworks.
const HOLDERS: [&str; 4] = ["model", "state_dict", "model_state_dict", "module"];

/// The state dict of a saved object: the object, or its value under one of [`HOLDERS`].
fn state_dict(root: Value) -> Result<HashMap<String, TensorLayout>, String> {
    let Value::Dict(pairs) = root else {
        return Err(
            "no dictionary was saved in it; a whole model object cannot be read, save its state_dict".into(),
        );
    };
    let mut nested: Option<(usize, Vec<(Value, Value)>)> = None;
    let mut tensors = HashMap::new();
    for (key, value) in pairs {
        match (key, value) {
            (Value::Text(name), Value::Tensor(layout)) => drop(tensors.insert(name, layout)),
            (Value::Text(name), Value::Dict(inner)) => {
                let rank = HOLDERS.iter().position(|holder| *holder == name);
                if let Some(rank) = rank.filter(|rank| nested.as_ref().is_none_or(|(other, _)| rank < other))
                {
                    nested = Some((rank, inner));
                }
            }
            _ => {}
        }
    }
    match nested {
        Some((_, inner)) => state_dict(Value::Dict(inner)),
        None if tensors.is_empty() => Err("it holds no tensors by name".into()),
        None => Ok(tensors),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pickle::Storage;
    use tch::Kind;

    fn view(size: &[i64], stride: &[i64], offset: i64, bytes: u64) -> Result<View, String> {
        let storage = Storage { key: "0".into(), kind: Kind::Float };
        View::new(
            TensorLayout { storage, offset, size: size.to_vec(), stride: stride.to_vec() },
            Block { at: 0, bytes },
        )
    }

    #[test]
    fn a_view_is_held_against_its_storage_before_anything_is_read() {
        assert_eq!(view(&[2, 3], &[3, 1], 0, 24).unwrap().span, 6);
        assert!(view(&[2, 3], &[3, 1], 0, 24).unwrap().is_whole());
        assert_eq!(view(&[3, 2], &[1, 3], 0, 24).unwrap().span, 6, "a transposed one");
        assert_eq!(view(&[2], &[2], 1, 24).unwrap().span, 3);
        assert_eq!(view(&[0, i64::MAX], &[1, i64::MAX], i64::MAX, 4).unwrap().span, 0);
        assert_eq!(view(&[], &[], 0, 4).unwrap().span, 1, "a number alone");
        for (size, stride, offset) in [
            (vec![5_000_000_000], vec![0], 0),
            (vec![1_000_000_000, 1_000_000_000], vec![0, 0], 0),
            (vec![i64::MAX, i64::MAX], vec![0, 0], 0),
            (vec![7], vec![1], 0),
            (vec![1], vec![1], i64::MAX),
            (vec![2], vec![i64::MAX], 1),
        ] {
            assert!(view(&size, &stride, offset, 24).is_err(), "{size:?} {stride:?} {offset}");
        }
    }
}
