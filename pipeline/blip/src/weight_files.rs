//! The file or files of a checkpoint's tensors.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use capfilt_schemas::model_files::{MAX_INDEX_BYTES, ORIGINAL, WEIGHTS, WeightIndex, is_index};
use tch::Tensor;

use crate::{error::LoadError, small_file, tensor_file::TensorFile};

/// Tensors by name in one file, or in several files with an index.
pub struct WeightFiles {
    /// The one file, or the index.
    path: PathBuf,
    files: Vec<TensorFile>,
    /// Tensor -> index into the files.
    places: HashMap<String, usize>,
}

impl WeightFiles {
    /// Opens a file of tensors, or an index of several files.
    ///
    /// # Errors
    /// Names the file that cannot be read, is missing, or lacks a tensor of the index.
    pub fn open(path: &Path) -> Result<Self, LoadError> {
        if is_index(&path.to_string_lossy()) {
            return Self::open_index(path);
        }
        let file = TensorFile::open(path)?;
        let places = file.names().map(|name| (name.to_owned(), 0)).collect();
        Ok(Self { path: path.into(), files: vec![file], places })
    }

    fn open_index(path: &Path) -> Result<Self, LoadError> {
        let format = |reason: String| LoadError::Format { path: path.into(), reason };
        let text =
            small_file::read(path, MAX_INDEX_BYTES)?.ok_or_else(|| format("there is no such file".into()))?;
        let index = WeightIndex::parse(text.as_bytes()).map_err(format)?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let (mut files, mut places, mut numbers) = (Vec::new(), HashMap::new(), HashMap::new());
        for name in index.files() {
            let shard = folder.join(name);
            if !shard.is_file() {
                return Err(format(index.missing(name)));
            }
            let file = TensorFile::open(&shard)?;
            for tensor in file.names() {
                places.entry(tensor.to_owned()).or_insert(files.len());
            }
            numbers.insert(name, files.len());
            files.push(file);
        }
        for (tensor, name) in &index.weight_map {
            let number = numbers.get(name.as_str()).copied().unwrap_or_default();
            if !files[number].holds(tensor) {
                return Err(format(format!(
                    "the index says that {tensor} is in {name}, which does not hold it"
                )));
            }
            places.insert(tensor.clone(), number);
        }
        Ok(Self { path: path.into(), files, places })
    }

    /// The one file, or the index.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All files with tensors, in the order of their names.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(TensorFile::path)
    }

    /// Names of all tensors.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.places.keys()
    }

    /// Shape of a tensor; `None` if the files do not have it.
    pub fn shape(&self, name: &str) -> Option<&[i64]> {
        self.places.get(name).and_then(|number| self.files[*number].shape(name))
    }

    /// Whether a tensor of this name exists.
    pub fn holds(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    /// Reads one tensor into CPU memory.
    ///
    /// # Errors
    /// The tensor is in none of the files, or its file is damaged there.
    pub fn read(&mut self, name: &str) -> Result<Tensor, LoadError> {
        match self.places.get(name) {
            Some(number) => self.files[*number].read(name),
            None => {
                Err(LoadError::Format { path: self.path.clone(), reason: format!("{name}: no such tensor") })
            }
        }
    }
}

/// Finds the weights in a folder: Hugging Face's names in transformers' order first, then a single `.pth`.
///
/// # Errors
/// The folder has no weights (the message lists similar names), or several `.pth` files.
pub fn find(folder: &Path) -> Result<PathBuf, LoadError> {
    if let Some(path) = WEIGHTS.map(|name| folder.join(name)).into_iter().find(|path| path.is_file()) {
        return Ok(path);
    }
    let entries = fs::read_dir(folder).map_err(|source| LoadError::Io { path: folder.into(), source })?;
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut candidates: Vec<String> = names.filter(|name| looks_like_weights(name)).collect();
    candidates.sort();
    let mut original = candidates.iter().filter(|name| name.ends_with(ORIGINAL));
    match (original.next(), original.next()) {
        (Some(name), None) => return Ok(folder.join(name)),
        (Some(_), Some(_)) => {
            let reason = "holds several .pth files; name one of them instead of the folder".to_string();
            return Err(LoadError::Format { path: folder.into(), reason });
        }
        (None, _) => {}
    }
    if candidates.is_empty() {
        let what = "weights (model.safetensors, pytorch_model.bin, the index of either in several files, or \
        one .pth)";
        return Err(LoadError::Missing { folder: folder.into(), what });
    }
    let (some, more) = (
        candidates.iter().take(3).cloned().collect::<Vec<_>>().join(", "),
        candidates.len().saturating_sub(3),
    );
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let reason = format!(
        "has no weights under a supported name (model.safetensors, pytorch_model.bin, the index of either in \
         several files, or one .pth); it holds {some}{more}. Of weights in several files, the index \
         (model.safetensors.index.json) must be there too; any other single file can be given itself in \
         place of the folder"
    );
    Err(LoadError::Format { path: folder.into(), reason })
}

fn looks_like_weights(name: &str) -> bool {
    [".safetensors", ".bin", ".pt", ORIGINAL, ".ckpt", ".h5", ".msgpack"]
        .iter()
        .any(|ending| name.ends_with(ending))
}
