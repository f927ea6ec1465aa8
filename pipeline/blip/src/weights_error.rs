//! Error of a model that could not take its tensors, with a guess at the cause.

use std::fmt;

use crate::role::Role;

/// All tensors that did not fit.
#[derive(Debug, thiserror::Error, PartialEq)]
pub struct WeightsError {
    /// Model that the tensors belong to.
    pub role: Role,
    /// Names of tensors that the model needs and the checkpoint does not have.
    pub missing: Vec<String>,
    /// Names of tensors that the model does not know.
    pub unexpected: Vec<String>,
    /// Name, found shape, expected shape.
    pub misshaped: Vec<(String, Vec<i64>, Vec<i64>)>,
    /// Reason why a tensor could not be read from its file.
    pub unreadable: Option<String>,
    /// libtorch's message of a failed copy to the device.
    pub backend: Option<String>,
    /// Probable cause, derived from the names.
    pub guess: Option<String>,
}

impl fmt::Display for WeightsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if !self.missing.is_empty() {
            parts.push(format!("{} missing (first: {})", count(self.missing.len()), first(&self.missing)));
        }
        if let Some((name, found, expected)) = self.misshaped.first() {
            let n = count(self.misshaped.len());
            parts.push(format!("{n} of another shape (first: {name} is {found:?}, expected {expected:?})"));
        }
        if !self.unexpected.is_empty() {
            parts.push(format!(
                "{} unexpected (first: {})",
                count(self.unexpected.len()),
                first(&self.unexpected)
            ));
        }
        parts.extend(self.unreadable.iter().cloned());
        parts.extend(self.backend.iter().map(|message| format!("libtorch: {message}")));
        write!(f, "for a {}: {}", self.role, parts.join("; "))?;
        self.guess.iter().try_for_each(|guess| write!(f, "; {guess}"))
    }
}

fn count(n: usize) -> String {
    if n == 1 { "1 tensor".into() } else { format!("{n} tensors") }
}

fn first(names: &[String]) -> String {
    names.iter().take(3).map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// Guesses the cause from the names. `elsewhere`: names in the file that the role does not need.
pub fn guess(error: &WeightsError, elsewhere: &[String]) -> Option<String> {
    if let Some(other) = error.role.mistaken(&error.missing, elsewhere) {
        return Some(format!("is this a {other} checkpoint?"));
    }
    if error.misshaped.iter().any(|(name, ..)| name.ends_with("position_embedding")) {
        return Some(
            "is the image size another one? An explicit image_size interpolates the position table".into(),
        );
    }
    if !error.misshaped.is_empty() || !error.unexpected.is_empty() {
        return Some("does config.json belong to these weights?".into());
    }
    if error.missing.is_empty() {
        return None;
    }
    error
        .missing
        .iter()
        .all(|name| name.ends_with("_proj.weight") || name.starts_with("itm_head"))
        .then(|| "was this model fine-tuned for retrieval?".into())
}
