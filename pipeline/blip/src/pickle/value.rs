//! Values of a pickle, and their size limits.

use tch::Kind;

/// A value of a pickle, as far as state dicts need it.
#[derive(Debug, Clone)]
pub enum Value {
    Int(i64),
    Text(String),
    Tuple(Vec<Value>),
    /// Pairs in file order.
    Dict(Vec<(Value, Value)>),
    /// A class or function by its full name.
    Global(String),
    Storage(Storage),
    Tensor(TensorLayout),
    /// Any other value: optimiser states, settings, floats. Kept as a placeholder on the stack.
    Opaque,
}

/// One storage of the archive; several tensors may share it.
#[derive(Debug, Clone, PartialEq)]
pub struct Storage {
    pub key: String,
    pub kind: Kind,
}

/// Position of a tensor in its storage: offset and strides count elements.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorLayout {
    pub storage: Storage,
    pub offset: i64,
    pub size: Vec<i64>,
    pub stride: Vec<i64>,
}

/// Deeper values are dropped, so that nesting does not exhaust the stack; state dicts have a depth of five.
const MAX_DEPTH: usize = 16;
/// Longer tuples are not stored in the memo, so that the memo does not multiply large values. Shapes and
/// strides are the only tuples that files refer back to.
const MAX_REMEMBERED: usize = 16;

impl Value {
    /// Value for the memo: flat values. No supported file refers back to a dictionary or to nested tuples.
    pub(crate) fn remembered(&self) -> Self {
        let is_flat = |value: &Self| !matches!(value, Self::Tuple(_) | Self::Dict(_) | Self::Tensor(_));
        match self {
            Self::Tuple(items) if items.len() > MAX_REMEMBERED || !items.iter().all(is_flat) => Self::Opaque,
            Self::Dict(pairs) if !pairs.is_empty() => Self::Opaque,
            _ => self.clone(),
        }
    }

    /// Approximate size in units of 32 bytes.
    pub fn weight(&self) -> usize {
        match self {
            Self::Int(_) | Self::Opaque => 1,
            Self::Text(text) | Self::Global(text) => 2 + text.len() / 32,
            Self::Storage(storage) => 3 + storage.key.len() / 32,
            Self::Tensor(layout) => 8 + layout.size.len() / 2,
            Self::Tuple(items) => 2 + items.iter().map(Self::weight).sum::<usize>(),
            Self::Dict(pairs) => 2 + 2 * pairs.len(),
        }
    }

    /// The value, or `Opaque` if it is nested too deeply.
    pub fn bounded(self) -> Self {
        if self.is_deeper_than(MAX_DEPTH) { Self::Opaque } else { self }
    }

    fn is_deeper_than(&self, depth: usize) -> bool {
        match (self, depth.checked_sub(1)) {
            (Self::Tuple(_) | Self::Dict(_), None) => true,
            (Self::Tuple(items), Some(depth)) => items.iter().any(|item| item.is_deeper_than(depth)),
            (Self::Dict(pairs), Some(depth)) => pairs.iter().any(|(_, value)| value.is_deeper_than(depth)),
            _ => false,
        }
    }
}
