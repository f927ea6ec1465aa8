//! Classifies the errors that end a shard's attempt.

use capfilt_pipeline::{input::ReadError, model::ModelError, output::WriteError};
use capfilt_schemas::failure::FailureClass;
use capfilt_store::{StoreError, is_no_room};

/// Reason why an attempt ends without a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub class: FailureClass,
    pub message: String,
}

impl From<ReadError> for Fault {
    fn from(error: ReadError) -> Self {
        if matches!(error, ReadError::Network(_)) {
            let next = "then run the same command again, which continues from the commits";
            return Self { class: FailureClass::Network, message: format!("{error}; {next}") };
        }
        let class = match error.bucket() {
            Some(bucket) if bucket.is_changed() || bucket.is_not_found() => FailureClass::InputChanged,
            Some(_) => FailureClass::Store,
            None => FailureClass::Unreadable,
        };
        let changed = "; the input changed since the job was planned: restore the input or start a new job";
        let next = if class == FailureClass::InputChanged { changed } else { "" };
        Self { class, message: format!("{error}{next}") }
    }
}

impl From<ModelError> for Fault {
    fn from(error: ModelError) -> Self {
        let class = match error {
            ModelError::OutOfMemory { .. } => FailureClass::DeviceMemory,
            ModelError::NotANumber { .. } | ModelError::Remote(_) | ModelError::Backend(_) => {
                FailureClass::Model
            }
        };
        Self { class, message: error.to_string() }
    }
}

impl From<WriteError> for Fault {
    fn from(error: WriteError) -> Self {
        of_store(&error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        of_store(&error)
    }
}

fn of_store(error: &(impl std::error::Error + 'static)) -> Fault {
    if is_no_room(error) {
        let next = "make room, then run the same command again, which continues from the commits";
        return Fault { class: FailureClass::StoreFull, message: format!("{error}; {next}") };
    }
    Fault { class: FailureClass::Store, message: error.to_string() }
}
