//! SHA-256 digests in the form of the records: 64 lower-case hexadecimal digits.

use sha2::{Digest as _, Sha256};

/// Digest of a byte string, as bytes.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Digest of a byte string.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(sha256(bytes))
}

/// Digest of several byte strings. It includes their lengths, so another division of the same bytes gives
/// another digest.
pub fn sha256_hex_of_parts<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut digest = PartsDigest::default();
    parts.into_iter().for_each(|part| digest.add(part));
    digest.finish()
}

/// The digest of [`sha256_hex_of_parts`] for parts that arrive one after another.
#[derive(Debug, Clone, Default)]
pub struct PartsDigest(Sha256);

impl PartsDigest {
    /// Adds one byte string.
    pub fn add(&mut self, part: &[u8]) {
        self.0.update((part.len() as u64).to_le_bytes());
        self.0.update(part);
    }

    /// The digest, in hexadecimal digits.
    pub fn finish(self) -> String {
        hex::encode(self.0.finalize())
    }
}
