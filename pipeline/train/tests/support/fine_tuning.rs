//! Fine-tuning of a model in f64 that follows a plain PyTorch version step by step.

use super::{config, golden::Golden, tokens};
use capfilt_blip::{config::MedConfig, preprocess::Normalisation};
use capfilt_schemas::settings::train::{Loss, Objective, Optimizer, Schedule, Sharing};
use capfilt_train::{Layout, Learner, Parameters, Parts, StepShape};
use tch::{Device, Kind, Tensor};

/// Steps of an epoch of the reference.
pub const STEPS_PER_EPOCH: u64 = 3;

/// Shape of every step.
pub const SHAPE: StepShape = StepShape { seed: 7, alpha: 0.0, weight: 1.0, first_of_step: true, ahead: 1.0 };

/// A model whose image encoder is narrower than its text towers, as in the references.
pub fn wide() -> MedConfig {
    let mut config = config();
    (config.text.hidden_size, config.text.intermediate_size) = (12, 48);
    config
}

/// Objective with these losses.
pub fn objective(losses: &[Loss]) -> Objective {
    Objective {
        losses: losses.to_vec(),
        momentum: 0.995,
        queue: 12,
        alpha: 0.4,
        alpha_epochs: 1.0,
        min_temperature: 0.001,
        contrast_weight: 1.0,
        causal_steps: 0,
        random_words: 0.0,
        image_ids: false,
        label_smoothing: 0.1,
        prompt: String::new(),
        max_tokens: 12,
    }
}

/// A learner without momentum towers on these weights.
pub fn learner(parts: Parts, losses: &[Loss], vector: &Tensor) -> Learner {
    let parameters = Parameters::new(Layout::new(&parts, Sharing::None), vector, Device::Cpu).unwrap();
    Learner {
        tokens: tokens(&parts.config),
        parts,
        objective: objective(losses),
        sharing: Sharing::None,
        parameters,
        memory: None,
        normalisation: Normalisation::default(),
        device: Device::Cpu,
        kind: Kind::Double,
        checkpoint_blocks: false,
    }
}

/// The references' optimiser.
pub fn optimizer() -> Optimizer {
    Optimizer {
        learning_rate: 1e-2,
        min_learning_rate: 0.0,
        warmup_learning_rate: 0.0,
        warmup_steps: 0,
        schedule: Schedule::Cosine,
        decay: 0.9,
        weight_decay: 0.05,
        betas: [0.9, 0.999],
        epsilon: 1e-8,
        clip_norm: 0.0,
    }
}

/// The weights of a reference before its first step. The vector begins with a temperature, which fine-tuning
/// without a contrastive loss does not use.
pub fn initial(parts: &Parts, golden: &mut Golden) -> Tensor {
    let mut numbers = vec![Tensor::from_slice(&[0.07f64])];
    numbers.extend(Layout::new(parts, Sharing::None).entries().iter().map(|entry| {
        let tensor = golden.get(&format!("weights.{}", entry.name));
        assert_eq!(tensor.size(), entry.shape, "{}", entry.name);
        tensor.reshape([-1])
    }));
    Tensor::cat(&numbers, 0)
}
