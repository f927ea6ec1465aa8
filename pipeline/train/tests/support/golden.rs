//! Values of the references in PyTorch, and their comparison with the results of this crate.

use capfilt_blip::tensor_file::TensorFile;
use capfilt_train::Learner;
use std::path::Path;
use tch::{Kind, Tensor};

/// Both sides sum the same f64 numbers in another order; ten steps of AdamW propagate the rounding. A wrong
/// term, sign or index gives a difference of at least 1e-3.
pub const TOLERANCE: f64 = 1e-8;

/// A file of tensors.
pub struct Golden(TensorFile);

impl Golden {
    pub fn open(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
        Self(TensorFile::open(&path).unwrap())
    }

    pub fn get(&mut self, name: &str) -> Tensor {
        self.0.read(name).unwrap()
    }
}

pub fn close(name: &str, ours: &Tensor, theirs: &Tensor) {
    let (ours, theirs) = (ours.to_kind(Kind::Double), theirs.to_kind(Kind::Double));
    // A key's bias adds the same number to every score of a query, which softmax cancels: its gradient is 0
    // up to rounding.
    let scale = theirs.abs().max().double_value(&[]).max(1e-6);
    let off = (&ours - &theirs).abs().max().double_value(&[]) / scale;
    assert!(off <= TOLERANCE, "{name}: off by {off:e} of {scale:e}");
}

/// Compares every tensor of the model's vector with `prefix` in the file.
pub fn all_close(prefix: &str, learner: &Learner, vector: &Tensor, golden: &mut Golden) {
    for entry in learner.parameters.layout.entries() {
        let ours = vector.narrow(0, entry.start, entry.len()).view(entry.shape.as_slice());
        close(&entry.name, &ours, &golden.get(&format!("{prefix}{}", entry.name)));
    }
}
