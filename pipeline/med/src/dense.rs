//! A linear layer with what follows it, as a tower holds it: in the kernels' layout where this machine has
//! one for it and the model works, else as two tensors for libtorch.

use capfilt_kernels::{PackedLinear, Then};
use tch::{TchError, Tensor};

use crate::{
    layers::{Linear, gelu},
    weights::{Path, Use},
};

pub enum Dense {
    Plain(Linear),
    Packed(PackedLinear),
}

impl Dense {
    /// A layer of a tower, in the model's precision.
    pub fn load(path: &Path<'_>, input: i64, output: i64) -> Self {
        Self::of_tower(path, Linear::load(path, input, output))
    }

    /// A layer that is not rounded to eight bits with the towers: its few numbers are what a model says in
    /// the end.
    pub fn load_head(path: &Path<'_>, input: i64, output: i64) -> Self {
        Self::new(path, Linear::load(path, input, output))
    }

    /// Several layers that read the same input as one, their outputs side by side: one large product instead
    /// of three small ones.
    pub fn load_joined(path: &Path<'_>, names: &[&str], input: i64, output: i64) -> Self {
        let parts: Vec<Linear> =
            names.iter().map(|name| Linear::load(&path.sub(name), input, output)).collect();
        let weights: Vec<&Tensor> = parts.iter().map(|part| &part.weight).collect();
        let biases: Vec<&Tensor> = parts.iter().map(|part| &part.bias).collect();
        let (weight, bias) = (path.noted(Tensor::f_cat(&weights, 0)), path.noted(Tensor::f_cat(&biases, 0)));
        Self::of_tower(path, Linear { weight, bias })
    }

    fn of_tower(path: &Path<'_>, linear: Linear) -> Self {
        if path.use_of_weights() != Use::WorkRounded {
            return Self::new(path, linear);
        }
        Self::packed(path, PackedLinear::pack_rounded(&linear.weight, &linear.bias), linear)
    }

    /// Packs a layer if its model is to work.
    pub fn new(path: &Path<'_>, linear: Linear) -> Self {
        if path.use_of_weights() == Use::Learn {
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

    /// How many numbers it gives.
    pub fn width(&self) -> i64 {
        match self {
            Self::Plain(linear) => linear.bias.size().first().copied().unwrap_or(0),
            Self::Packed(packed) => packed.width() as i64,
        }
    }

    pub fn forward(&self, xs: &Tensor) -> Result<Tensor, TchError> {
        match self {
            Self::Plain(linear) => linear.forward(xs),
            Self::Packed(packed) => packed.forward(xs, Then::Nothing),
        }
    }

    /// `gelu(x Wᵀ + b)`
    pub fn activated(&self, xs: &Tensor) -> Result<Tensor, TchError> {
        match self {
            Self::Plain(linear) => gelu(&linear.forward(xs)?),
            Self::Packed(packed) => packed.forward(xs, Then::Gelu),
        }
    }

    /// `residual + (x Wᵀ + b)`. While a model learns, `dropped` leaves some of what is added out.
    pub fn added(
        &self,
        residual: &Tensor,
        xs: &Tensor,
        dropped: impl FnOnce(Tensor) -> Result<Tensor, TchError>,
    ) -> Result<Tensor, TchError> {
        match self {
            Self::Plain(linear) => residual.f_add(&dropped(linear.forward(xs)?)?),
            Self::Packed(packed) => packed.forward(xs, Then::Add(residual)),
        }
    }
}
