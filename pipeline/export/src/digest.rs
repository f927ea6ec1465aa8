//! Names of images and pairs by their content, and their positions in a shuffled order.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};

/// A digest of 128 bits: among ten billion pairs, a collision has a probability of 10^-19.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Digest(pub [u8; 16]);

impl Digest {
    pub fn of_image(image: &[u8]) -> Self {
        Self::first(Sha256::digest(image).into())
    }

    /// Digest of the image with this SHA-256.
    pub fn of_image_sha256(sha256: [u8; 32]) -> Self {
        Self::first(sha256)
    }

    /// Digest of a key or a URL.
    pub fn of_name(name: &str) -> Self {
        Self::first(Sha256::digest(name).into())
    }

    /// Digest of the image with this SHA-256 in 64 hexadecimal digits; `None` for any other text.
    pub fn of_sha256(text: &str) -> Option<Self> {
        let mut digest = [0; 32];
        hex::decode_to_slice(text, &mut digest).ok()?;
        Some(Self::first(digest))
    }

    /// Digest of an image and a cleaned text.
    pub fn of_pair(image: Self, cleaned: &str) -> Self {
        Self::first(Sha256::new().chain_update(image.0).chain_update(cleaned.as_bytes()).finalize().into())
    }

    /// Position in the order of a seed.
    pub fn place(self, seed: u64) -> u64 {
        let digest: [u8; 32] =
            Sha256::new().chain_update(seed.to_le_bytes()).chain_update(self.0).finalize().into();
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        u64::from_be_bytes(first)
    }

    fn first(digest: [u8; 32]) -> Self {
        let mut name = [0; 16];
        name.copy_from_slice(&digest[..16]);
        Self(name)
    }

    pub fn hex(self) -> String {
        hex::encode(self.0)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.hex())
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut name = [0; 16];
        hex::decode_to_slice(&text, &mut name)
            .map_err(|_| de::Error::custom(format!("`{text}` is not a digest")))?;
        Ok(Self(name))
    }
}
