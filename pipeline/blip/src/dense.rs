//! A linear layer with an epilogue: packed for the kernels where the CPU supports them and the weights are
//! frozen, else two tensors for libtorch.

use capfilt_kernels::{Epilogue, PackedLinear};
use tch::{TchError, Tensor};

use crate::{
    layers::{Linear, gelu},
    weights::{Path, WeightMode},
};

pub enum Dense {
    Plain(Linear),
    Packed(PackedLinear),
}

impl Dense {
    /// Loads a tower's layer, in the model's precision.
    pub fn load(path: &Path<'_>, input: i64, output: i64) -> Self {
        Self::of_tower(path, Linear::load(path, input, output))
    }

    /// Loads a layer that is not quantised with the towers: the few outputs of a head are the results of the
    /// model.
    pub(crate) fn load_head(path: &Path<'_>, input: i64, output: i64) -> Self {
        Self::new(path, Linear::load(path, input, output))
    }

    /// Loads several layers with the same input as one layer with concatenated outputs: one large product is
    /// faster than three small ones.
    pub(crate) fn load_joined(path: &Path<'_>, names: &[&str], input: i64, output: i64) -> Self {
        let parts: Vec<Linear> =
            names.iter().map(|name| Linear::load(&path.sub(name), input, output)).collect();
        let weights: Vec<&Tensor> = parts.iter().map(|part| &part.weight).collect();
        let biases: Vec<&Tensor> = parts.iter().map(|part| &part.bias).collect();
        let (weight, bias) = (path.noted(Tensor::f_cat(&weights, 0)), path.noted(Tensor::f_cat(&biases, 0)));
        Self::of_tower(path, Linear { weight, bias })
    }

    /// A tower's layer of loaded tensors.
    pub(crate) fn of_tower(path: &Path<'_>, linear: Linear) -> Self {
        if path.weight_mode() != WeightMode::Int8 {
            return Self::new(path, linear);
        }
        Self::packed(path, PackedLinear::pack_rounded(&linear.weight, &linear.bias), linear)
    }

    /// Packs a layer if its weights are frozen.
    pub fn new(path: &Path<'_>, linear: Linear) -> Self {
        if path.weight_mode() == WeightMode::Trainable {
            return Self::Plain(linear);
        }
        Self::packed(path, PackedLinear::pack(&linear.weight, &linear.bias), linear)
    }

    fn packed(path: &Path<'_>, packed: Result<Option<PackedLinear>, TchError>, linear: Linear) -> Self {
        match packed {
            Ok(Some(packed)) => Self::Packed(packed),
            Ok(None) => Self::Plain(linear),
            Err(error) => Self::Plain(Linear { weight: path.noted(Err(error)), ..linear }),
        }
    }

    /// Number of outputs.
    pub fn width(&self) -> i64 {
        match self {
            Self::Plain(linear) => linear.bias.size().first().copied().unwrap_or(0),
            Self::Packed(packed) => packed.width() as i64,
        }
    }

    pub fn forward(&self, xs: &Tensor) -> Result<Tensor, TchError> {
        match self {
            Self::Plain(linear) => linear.forward(xs),
            Self::Packed(packed) => packed.forward(xs, Epilogue::Nothing),
        }
    }

    /// `gelu(x Wᵀ + b)`
    pub(crate) fn activated(&self, xs: &Tensor) -> Result<Tensor, TchError> {
        match self {
            Self::Plain(linear) => gelu(&linear.forward(xs)?),
            Self::Packed(packed) => packed.forward(xs, Epilogue::Gelu),
        }
    }

    /// `residual + dropout(x Wᵀ + b)`. `dropped` has a share of 0 unless the model is trained.
    pub fn added(
        &self,
        residual: &Tensor,
        xs: &Tensor,
        dropped: impl FnOnce(Tensor) -> Result<Tensor, TchError>,
    ) -> Result<Tensor, TchError> {
        match self {
            Self::Plain(linear) => residual.f_add(&dropped(linear.forward(xs)?)?),
            Self::Packed(packed) => packed.forward(xs, Epilogue::Add(residual)),
        }
    }
}
