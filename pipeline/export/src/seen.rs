//! Which pairs and images were there before.

use super::Pair;
use sha2::{Digest as _, Sha256};
use std::collections::HashSet;

/// A digest of 128 bits: among ten billion pairs two different ones share it with a chance of 10^-19.
pub type Name = [u8; 16];

/// What was seen.
#[derive(Debug, Default)]
pub struct Seen {
    pairs: HashSet<Name>,
    images: HashSet<Name>,
}

/// Name of an image's bytes.
pub fn name_of(image: &[u8]) -> Name {
    first(Sha256::digest(image).into())
}

fn first(digest: [u8; 32]) -> Name {
    let mut name = [0; 16];
    name.copy_from_slice(&digest[..16]);
    name
}

impl Seen {
    /// Whether a pair with this image and text is new.
    pub fn is_new(&mut self, pair: &Pair, image: &Name) -> bool {
        let digest = Sha256::new().chain_update(image).chain_update(pair.text.as_bytes());
        self.pairs.insert(first(digest.finalize().into()))
    }

    /// Whether the image is new.
    pub fn is_new_image(&mut self, image: &Name) -> bool {
        self.images.insert(*image)
    }
}
