//! A strict store of tensors: a model takes what it needs by name and shape, and every problem ends in one
//! error.

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

/// What weights are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// They may change: every layer keeps the tensors it was given.
    Learn,
    /// They will not change: layers may lay them out anew.
    Work,
    /// And towers may round theirs to eight bits.
    WorkRounded,
}

/// The tensors of one checkpoint on their way into a model.
pub struct WeightStore {
    role: Role,
    device: Device,
    kind: Kind,
    used: Use,
    tensors: RefCell<HashMap<String, Held>>,
    /// Reads a tensor that waits on disk.
    reader: RefCell<Option<Reader>>,
    /// Names of tensors for which the role has no use; only for guessing what the file is.
    elsewhere: Vec<String>,
    problems: RefCell<Problems>,
}

/// Reads a tensor by this crate's name of it.
pub type Reader = Box<dyn FnMut(&str) -> Result<Tensor, LoadError>>;

/// A tensor of a store.
enum Held {
    Here(Tensor),
    /// Its shape alone; what has another than the model expects is never read.
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
    /// Name and the shape it should have.
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
    /// Names and shapes of all tensors that `build` takes, in its order: what a model consists of.
    pub fn survey(role: Role, build: impl FnOnce(&Path<'_>)) -> Vec<(String, Vec<i64>)> {
        let store = Self::new(role, HashMap::new(), Vec::new(), Device::Cpu, Kind::Float);
        build(&store.root());
        store.problems.into_inner().missing
    }

    /// `elsewhere`: names in the file that the role does not want.
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

    /// A store of tensors that stay on disk until the model takes them, each after its shape was compared.
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
            used: Use::Learn,
            tensors: RefCell::new(tensors),
            reader: RefCell::new(None),
            elsewhere,
            problems: RefCell::default(),
        }
    }

    /// What layers may do with the weights they take; at first they are to learn.
    pub fn used_to(self, used: Use) -> Self {
        Self { used, ..self }
    }

    /// The root of the names.
    pub fn root(&self) -> Path<'_> {
        Path { store: self, prefix: String::new() }
    }

    /// Whether the file has this tensor and nobody took it yet.
    pub fn has(&self, name: &str) -> bool {
        self.tensors.borrow().contains_key(name)
    }

    /// Drops a tensor the model has no use for and that is no problem either (a tied copy).
    pub fn forget(&self, name: &str) {
        self.tensors.borrow_mut().remove(name);
    }

    /// Replaces a tensor by what `change` makes of it, if it is there.
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
    /// Everything that was missing, misshapen or left over, with a guess at the cause.
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
            // Otherwise libtorch only complained about the empty tensors that stand for those.
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

    /// The tensor itself, read if it waits on disk; `None` with the problem noted when it cannot be. After a
    /// first problem nothing more is read: the model will not be.
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

/// A place in the tree of names: `path.sub("encoder").sub("layers").at(3)`.
pub struct Path<'a> {
    store: &'a WeightStore,
    prefix: String,
}

impl Path<'_> {
    pub fn sub(&self, name: &str) -> Self {
        Self { store: self.store, prefix: self.full(name) }
    }

    /// The `i`-th of numbered parts.
    pub fn at(&self, i: i64) -> Self {
        self.sub(&i.to_string())
    }

    /// Takes a tensor out of the store, on the model's device and in its precision. A problem is noted and an
    /// empty tensor returned, so that a constructor reads like the architecture; [`WeightStore::finish`]
    /// tells all.
    pub fn take(&self, name: &str, shape: &[i64]) -> Tensor {
        self.store.take(self.full(name), shape)
    }

    /// The tensor, or an empty one with the problem noted.
    pub fn noted(&self, result: Result<Tensor, TchError>) -> Tensor {
        self.store.noted(result)
    }

    /// What a layer may do with the weights it takes.
    pub fn use_of_weights(&self) -> Use {
        self.store.used
    }

    pub fn has(&self, name: &str) -> bool {
        self.store.has(&self.full(name))
    }

    pub fn forget(&self, name: &str) {
        self.store.forget(&self.full(name));
    }

    fn full(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.to_string() } else { format!("{}.{name}", self.prefix) }
    }
}
