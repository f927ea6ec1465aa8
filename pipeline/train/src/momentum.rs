//! The momentum towers: a moving average of image encoder, text encoder and projections, whose features are
//! the keys of the contrastive loss (He et al. 2020, "Momentum Contrast").

use tch::{TchError, Tensor};

use crate::{
    contrast::Features,
    error::TrainError,
    parameters::Parameters,
    texts::TextRows,
    towers::{Parts, Towers},
};

/// The moving average, as one vector.
pub struct MomentumTowers {
    /// Weights of the momentum towers.
    pub vector: Tensor, // (momentum)
}

impl MomentumTowers {
    /// Starts with a copy of the weights.
    pub fn new(parameters: &Parameters) -> Result<Self, TchError> {
        Ok(Self { vector: parameters.copied()?.f_detach_copy()? })
    }

    /// `copy ← m · copy + (1 − m) · weights`
    pub fn follow(&mut self, parameters: &Parameters, m: f64) -> Result<(), TchError> {
        tch::no_grad(|| {
            let step = parameters.copied()?.f_mul_scalar(1.0 - m)?;
            self.vector.f_mul_scalar_(m)?.f_add_(&step).map(drop)
        })
    }

    /// Features of a batch, without a gradient. Dropout is active, as in the trained towers.
    pub fn features(
        &self,
        parameters: &Parameters,
        parts: &Parts,
        pixels_norm: &Tensor,
        texts: &TextRows,
    ) -> Result<Features, TrainError> {
        tch::no_grad(|| {
            let kind = pixels_norm.kind();
            let copied = Parts { decoder: None, matching: false, ..parts.clone() };
            let named = parameters.layout.named_momentum(&self.vector.f_to_kind(kind)?)?;
            let towers = Towers::on(named, &copied, pixels_norm.device(), kind)?;
            let states = towers.vision.forward(pixels_norm)?;
            towers.features(&states, texts)
        })
    }
}

impl Towers {
    /// Unit vectors of images (their states) and texts (starting with `[CLS]`).
    ///
    /// # Errors
    /// The towers were built without encoder and projections.
    pub fn features(&self, states: &Tensor, texts: &TextRows) -> Result<Features, TrainError> {
        let (Some(encoder), Some(itc)) = (&self.encoder, &self.itc) else {
            return Err(TrainError::Bug("features of towers without a contrast"));
        };
        let text = itc.text_features(&encoder.encode_text(&texts.ids, &texts.mask)?)?;
        Ok(Features { image: itc.image_features(states, 1)?, text })
    }
}
