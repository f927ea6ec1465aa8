//! A family of models: loaders for the checkpoints of one architecture.

use capfilt_blip::DeviceChoice;
use capfilt_pipeline::model::{Captioner, Filter};
use capfilt_schemas::settings::{self, Method, Models, Precision, Preset};
use std::path::Path;

/// Device, number format and implementation to reproduce, for the models of any family.
#[derive(Debug, Clone, Copy)]
pub struct ModelOptions {
    /// Device of the model.
    pub device: DeviceChoice,
    /// Number format of weights and activations.
    pub precision: Precision,
    /// Implementation to reproduce.
    pub preset: Preset,
}

impl ModelOptions {
    /// Options of a job's models on a device.
    pub fn of(models: &Models, device: DeviceChoice) -> Self {
        Self { device, precision: models.precision, preset: models.preset }
    }
}

/// Entry of the registry. The errors of the loaders name the file or option that is wrong.
pub(crate) struct Family {
    /// Values of `model_type` in `config.json`.
    pub model_types: &'static [&'static str],
    /// Default decoding of a preset with a method.
    pub decoding: fn(Preset, Method) -> settings::Captioner,
    /// Loads a captioner; [`settings::Captioner::captions`] is not used.
    pub captioner: fn(&Path, ModelOptions, &settings::Captioner) -> anyhow::Result<Box<dyn Captioner>>,
    /// Loads a filter.
    pub filter: fn(&Path, ModelOptions) -> anyhow::Result<Box<dyn Filter>>,
}
