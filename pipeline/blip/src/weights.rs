//! A strict store of tensors: a model takes tensors by name and shape, and one error reports all problems.

use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap},
};

use tch::{Device, Kind, TchError, Tensor};

use crate::{
    error::{LoadError, first_lines},
    role::Role,
    weights_error::guess,
};

pub use crate::weights_error::WeightsError;

/// How loaded weights may be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightMode {
    /// Kept as loaded, for training.
    Trainable,
    /// May be repacked for inference.
    Frozen,
    /// May be repacked, and quantised to 8 bits in the towers.
    Int8,
}

/// Tensors of one checkpoint while a model is loaded.
pub struct WeightStore {
    role: Role,
    device: Device,
    kind: Kind,
    weight_mode: WeightMode,
    tensors: RefCell<HashMap<String, Held>>,
    /// Reads a tensor that is still on disk.
    reader: RefCell<Option<Reader>>,
    /// Names in the file that the role does not need; only used to guess the kind of file.
    elsewhere: Vec<String>,
    problems: RefCell<Problems>,
}

/// Reads a tensor by its Hugging Face name.
pub type Reader = Box<dyn FnMut(&str) -> Result<Tensor, LoadError>>;

/// A tensor of a store.
enum Held {
    Here(Tensor),
    /// Shape of a tensor on disk. A tensor of an unexpected shape is never read.
    OnDisk(Vec<i64>),
}

impl Held {
    fn shape(&self) -> Vec<i64> {
        match self {
            Self::Here(tensor) => tensor.size(),
            Self::OnDisk(shape) => shape.clone(),
        }
    }
}

#[derive(Default)]
struct Problems {
    /// Name and expected shape.
    missing: Vec<(String, Vec<i64>)>,
    misshaped: Vec<(String, Vec<i64>, Vec<i64>)>,
    unreadable: Option<String>,
    backend: Option<String>,
}

impl Problems {
    fn are_there(&self) -> bool {
        !self.missing.is_empty() || !self.misshaped.is_empty() || self.unreadable.is_some()
    }
}

impl WeightStore {
    /// Names and shapes of all tensors that `build` takes, in that order.
    pub fn survey(role: Role, build: impl FnOnce(&Path<'_>)) -> Vec<(String, Vec<i64>)> {
        let store = Self::new(role, HashMap::new(), Vec::new(), Device::Cpu, Kind::Float);
        build(&store.root());
        store.problems.into_inner().missing
    }

    /// `elsewhere`: names in the file that the role does not need.
    pub fn new(
        role: Role,
        tensors: HashMap<String, Tensor>,
        elsewhere: Vec<String>,
        device: Device,
        kind: Kind,
    ) -> Self {
        let tensors = tensors.into_iter().map(|(name, tensor)| (name, Held::Here(tensor))).collect();
        Self::holding(role, tensors, elsewhere, device, kind)
    }

    /// A store of tensors that stay on disk until the model takes them. The shape is compared before a tensor
    /// is read.
    pub fn on_disk(
        role: Role,
        shapes: HashMap<String, Vec<i64>>,
        reader: Reader,
        elsewhere: Vec<String>,
        device: Device,
        kind: Kind,
    ) -> Self {
        let tensors = shapes.into_iter().map(|(name, shape)| (name, Held::OnDisk(shape))).collect();
        Self { reader: RefCell::new(Some(reader)), ..Self::holding(role, tensors, elsewhere, device, kind) }
    }

    fn holding(
        role: Role,
        tensors: HashMap<String, Held>,
        elsewhere: Vec<String>,
        device: Device,
        kind: Kind,
    ) -> Self {
        Self {
            role,
            device,
            kind,
            weight_mode: WeightMode::Trainable,
            tensors: RefCell::new(tensors),
            reader: RefCell::new(None),
            elsewhere,
            problems: RefCell::default(),
        }
    }

    /// Sets how layers may store the weights; the default is [`WeightMode::Trainable`].
    pub(crate) fn with_weight_mode(self, weight_mode: WeightMode) -> Self {
        Self { weight_mode, ..self }
    }

    /// The root of the names.
    pub fn root(&self) -> Path<'_> {
        Path { store: self, prefix: String::new() }
    }

    /// Whether the store still has this tensor.
    pub fn has(&self, name: &str) -> bool {
        self.tensors.borrow().contains_key(name)
    }

    /// Drops a tensor that the model does not need and that is not an error (a tied copy).
    pub fn forget(&self, name: &str) {
        self.tensors.borrow_mut().remove(name);
    }

    /// Replaces a tensor by the result of `change`, if the store has the tensor.
    pub fn replace(
        &self,
        name: &str,
        change: impl FnOnce(Tensor) -> Result<Tensor, TchError>,
    ) -> Result<(), TchError> {
        let taken = self.tensors.borrow_mut().remove(name);
        if let Some(tensor) = taken.and_then(|held| self.brought(name, held)) {
            self.tensors.borrow_mut().insert(name.to_string(), Held::Here(change(tensor)?));
        }
        Ok(())
    }

    /// Ends the loading.
    ///
    /// # Errors
    /// All tensors that are missing, misshapen or unused, with a guess at the cause.
    pub fn finish(self) -> Result<(), Box<WeightsError>> {
        let unexpected: BTreeSet<String> = self.tensors.into_inner().into_keys().collect();
        let problems = self.problems.into_inner();
        let mut error = Box::new(WeightsError {
            role: self.role,
            missing: problems.missing.into_iter().map(|(name, _)| name).collect(),
            unexpected: unexpected.into_iter().collect(),
            misshaped: problems.misshaped,
            unreadable: problems.unreadable,
            backend: None,
            guess: None,
        });
        if error.missing.is_empty() && error.misshaped.is_empty() && error.unreadable.is_none() {
            // Otherwise the backend's error is only a consequence of the empty tensors that replaced the
            // missing ones.
            error.backend = problems.backend;
        }
        if error.missing.is_empty()
            && error.unexpected.is_empty()
            && error.misshaped.is_empty()
            && error.unreadable.is_none()
            && error.backend.is_none()
        {
            return Ok(());
        }
        error.guess = guess(&error, &self.elsewhere);
        Err(error)
    }

    fn take(&self, name: String, shape: &[i64]) -> Tensor {
        let held = self.tensors.borrow_mut().remove(&name);
        let Some(held) = held else {
            self.problems.borrow_mut().missing.push((name, shape.to_vec()));
            return Tensor::new();
        };
        let found = held.shape();
        if found != shape {
            self.problems.borrow_mut().misshaped.push((name, found, shape.to_vec()));
            return Tensor::new();
        }
        let Some(tensor) = self.brought(&name, held) else {
            return Tensor::new();
        };
        let moved = tensor
            .f_to_kind(self.kind)
            .and_then(|t| t.f_to_device(self.device))
            .and_then(|t| t.f_contiguous());
        self.noted(moved)
    }

    /// The tensor, read if it is on disk; `None` after recording the problem if it cannot be read. After a
    /// first problem no tensor is read, because the loading fails anyway.
    fn brought(&self, name: &str, held: Held) -> Option<Tensor> {
        if let Held::Here(tensor) = held {
            return Some(tensor);
        }
        if self.problems.borrow().are_there() {
            return None;
        }
        match self.reader.borrow_mut().as_mut()?(name) {
            Ok(tensor) => Some(tensor),
            Err(error) => {
                let message = match &error {
                    LoadError::Io { source, .. } => format!("{error}: {source}"),
                    error => error.to_string(),
                };
                self.problems.borrow_mut().unreadable = Some(message);
                None
            }
        }
    }

    fn noted(&self, result: Result<Tensor, TchError>) -> Tensor {
        result.unwrap_or_else(|error| {
            self.problems.borrow_mut().backend.get_or_insert(first_lines(&error));
            Tensor::new()
        })
    }
}

/// A prefix in the tree of names: `path.sub("encoder").sub("layers").at(3)`.
pub struct Path<'a> {
    store: &'a WeightStore,
    prefix: String,
}

impl Path<'_> {
    /// The path of a part.
    pub fn sub(&self, name: &str) -> Self {
        Self { store: self.store, prefix: self.full(name) }
    }

    /// Prefix of the `i`-th of numbered parts.
    pub fn at(&self, i: i64) -> Self {
        self.sub(&i.to_string())
    }

    /// Takes a tensor out of the store, on the model's device and in its dtype. A problem is recorded and an
    /// empty tensor returned, so that a constructor reads like the architecture; [`WeightStore::finish`]
    /// reports all problems.
    pub fn take(&self, name: &str, shape: &[i64]) -> Tensor {
        self.store.take(self.full(name), shape)
    }

    /// The tensor, or an empty one after recording the error.
    pub fn noted(&self, result: Result<Tensor, TchError>) -> Tensor {
        self.store.noted(result)
    }

    /// How a layer may store its weights.
    pub(crate) fn weight_mode(&self) -> WeightMode {
        self.store.weight_mode
    }

    /// Whether a tensor of this name exists.
    pub fn has(&self, name: &str) -> bool {
        self.store.has(&self.full(name))
    }

    /// Drops a tensor that the model does not need and that is not an error.
    pub fn forget(&self, name: &str) {
        self.store.forget(&self.full(name));
    }

    fn full(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.to_string() } else { format!("{}.{name}", self.prefix) }
    }
}
