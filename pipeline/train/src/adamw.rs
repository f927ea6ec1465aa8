//! AdamW (Loshchilov and Hutter 2019) on one vector, with the same weight decay for every number, as in BLIP.

use capfilt_schemas::settings::train::Optimizer;
use tch::{TchError, Tensor};

/// First and second moments, and the number of steps.
pub struct AdamW {
    /// Running means of the gradient.
    pub mean: Tensor, // (total)
    /// Running means of the squared gradient.
    pub square: Tensor, // (total)
    /// Number of steps so far.
    pub steps: i64,
}

impl AdamW {
    /// State before the first step over the trained weights.
    pub fn new(vector: &Tensor) -> Result<Self, TchError> {
        let zeros = || vector.f_detach()?.f_zeros_like();
        Ok(Self { mean: zeros()?, square: zeros()?, steps: 0 })
    }

    /// Updates the weights and clears their gradient. Returns the gradient's norm before clipping: ().
    pub fn step(&mut self, vector: &mut Tensor, settings: &Optimizer, rate: f64) -> Result<Tensor, TchError> {
        let [beta1, beta2] = settings.betas;
        self.steps += 1;
        let steps = self.steps as f64;
        let (correction1, correction2) = (1.0 - beta1.powf(steps), 1.0 - beta2.powf(steps));
        let mut gradient = vector.grad();
        tch::no_grad(|| {
            let length = gradient.f_norm()?;
            if settings.clip_norm > 0.0 {
                let scale = length.f_add_scalar(1e-6)?.f_reciprocal()?.f_mul_scalar(settings.clip_norm)?;
                gradient = gradient.f_mul(&scale.f_clamp_max(1.0)?)?;
            }
            let mut weights = vector.f_detach()?;
            let _ = weights.f_mul_scalar_(1.0 - rate * settings.weight_decay)?;
            let _ = self.mean.f_lerp_(&gradient, 1.0 - beta1)?;
            let squared = gradient.f_square()?.f_mul_scalar_(1.0 - beta2)?;
            let _ = self.square.f_mul_scalar_(beta2)?.f_add_(&squared)?;
            // w ← w − rate / correction1 · mean / (√(square / correction2) + ε), with the factor moved into
            // the divisor.
            let divisor =
                self.square.f_sqrt()?.f_div_scalar_(correction2.sqrt())?.f_add_scalar_(settings.epsilon)?;
            let divisor = { divisor }.f_mul_scalar_(-correction1 / rate)?;
            let _ = weights.f_addcdiv_(&self.mean, &divisor)?;
            vector.zero_grad();
            Ok(length)
        })
    }
}
