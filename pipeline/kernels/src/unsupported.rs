//! Stubs for CPUs other than x86-64: nothing is packed, and the models compute with libtorch.

#![allow(missing_docs)] // the docs are those of the functions for x86-64

use std::convert::Infallible;

use tch::{TchError, Tensor};

use crate::Epilogue;

pub struct PackedLinear(Infallible);

impl PackedLinear {
    pub fn pack(_weight: &Tensor, _bias: &Tensor) -> Result<Option<Self>, TchError> {
        Ok(None)
    }

    pub fn pack_rounded(_weight: &Tensor, _bias: &Tensor) -> Result<Option<Self>, TchError> {
        Ok(None)
    }

    pub fn width(&self) -> usize {
        match self.0 {}
    }

    pub fn forward(&self, _xs: &Tensor, _epilogue: Epilogue<'_>) -> Result<Tensor, TchError> {
        match self.0 {}
    }
}

#[derive(Clone)]
pub struct PackedStates(Infallible);

impl PackedStates {
    pub fn pack(_states: &Tensor) -> Result<Option<Self>, TchError> {
        Ok(None)
    }

    pub fn images(&self) -> usize {
        match self.0 {}
    }

    pub fn select(&self, _index: &[i64]) -> Result<Self, TchError> {
        match self.0 {}
    }
}

pub struct PackedCrossAttention(Infallible);

impl PackedCrossAttention {
    pub fn pack(
        _key: &Tensor,
        _value: &Tensor,
        _bias: &Tensor,
        _heads: i64,
    ) -> Result<Option<Self>, TchError> {
        Ok(None)
    }

    pub fn forward(&self, _queries: &Tensor, _states: &PackedStates) -> Result<Tensor, TchError> {
        match self.0 {}
    }
}

pub fn attend(
    _q: &Tensor,
    _k: &Tensor,
    _v: &Tensor,
    _mask: Option<&Tensor>,
) -> Result<Option<Tensor>, TchError> {
    Ok(None)
}

pub fn layer_norm(
    _xs: &Tensor,
    _weight: &Tensor,
    _bias: &Tensor,
    _eps: f64,
) -> Result<Option<Tensor>, TchError> {
    Ok(None)
}
