//! Writer of safetensors files, with one tensor in memory at a time.

use std::{borrow::Cow, collections::HashMap, path::Path};

use safetensors::{Dtype, View, serialize_to_file};
use tch::{Kind, Tensor};

use crate::error::TrainError;

/// A tensor on any device, copied when it is written.
struct Stored {
    tensor: Tensor,
    dtype: Dtype,
    shape: Vec<usize>,
}

impl Stored {
    fn new(tensor: &Tensor) -> Result<Self, TrainError> {
        let dtype = match tensor.kind() {
            Kind::Float => Dtype::F32,
            Kind::Double => Dtype::F64,
            Kind::Half => Dtype::F16,
            Kind::BFloat16 => Dtype::BF16,
            Kind::Int64 => Dtype::I64,
            _ => return Err(TrainError::Bug("a checkpoint holds floats and ids only")),
        };
        let shape = tensor.size().iter().map(|n| *n as usize).collect();
        Ok(Self { tensor: tensor.f_detach()?, dtype, shape })
    }
}

impl View for Stored {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let mut bytes = vec![0; self.data_len()];
        let tensor = self.tensor.to_device(tch::Device::Cpu).contiguous();
        tensor.copy_data_u8(&mut bytes, tensor.numel());
        Cow::Owned(bytes)
    }

    fn data_len(&self) -> usize {
        self.shape.iter().product::<usize>() * self.tensor.kind().elt_size_in_bytes()
    }
}

/// Writes tensors, with the texts of `notes` under their keys in the file's header, and syncs the file to the
/// disk.
///
/// # Errors
/// The file cannot be written, for example because the disk is full.
pub fn write(
    path: &Path,
    tensors: &[(String, Tensor)],
    notes: HashMap<String, String>,
) -> Result<(), TrainError> {
    let io = |source: std::io::Error| TrainError::Io { what: "write", path: path.to_path_buf(), source };
    let mut stored = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        stored.push((name.as_str(), Stored::new(tensor)?));
    }
    // Created here with the permissions of the user's umask; the library would create a file that only its
    // owner can read.
    std::fs::File::create(path).map_err(io)?;
    serialize_to_file(stored, Some(notes), path).map_err(|error| match error {
        safetensors::SafeTensorError::IoError(source) => io(source),
        other => io(std::io::Error::other(other)),
    })?;
    std::fs::File::open(path).and_then(|file| file.sync_all()).map_err(io)
}
