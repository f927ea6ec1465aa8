//! Loading of the parts that captioner and filter share, from a checkpoint and the user's options.

use std::path::{Path, PathBuf};

use capfilt_schemas::settings::{Precision, Preset};

use crate::{
    checkpoint::Checkpoint,
    config::MedConfig,
    device::DeviceChoice,
    error::{LoadError, first_lines},
    image_encoder::ImageEncoder,
    precision,
    preset::Options,
    role::Role,
    tokens::BertTokens,
    vit::{VisionTower, interpolate_positions},
    weights::WeightStore,
};

const POSITION_TABLE: &str = "vision_model.embeddings.position_embedding";

/// Device, precision and options of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadOptions {
    /// Device of the model.
    pub device: DeviceChoice,
    /// Precision of the computation.
    pub precision: Precision,
    /// Options in which published checkpoints differ.
    pub options: Options,
    /// Side of the images in pixels, if it differs from the checkpoint's: the position table is interpolated.
    pub image_size: Option<usize>,
}

impl LoadOptions {
    /// The preset's options, with automatic device and precision.
    pub fn preset(preset: Preset) -> Self {
        Self {
            device: DeviceChoice::Auto,
            precision: Precision::Auto,
            options: Options::of(preset),
            image_size: None,
        }
    }
}

/// A partly loaded model: the image encoder is loaded, and the text tower takes its tensors next.
pub(crate) struct Loading {
    pub config: MedConfig,
    pub tokens: BertTokens,
    pub images: ImageEncoder,
    pub store: WeightStore,
    path: PathBuf,
}

impl Loading {
    pub fn start(path: &Path, role: Role, options: &LoadOptions) -> Result<Self, LoadError> {
        let device = options.device.resolve().map_err(LoadError::Device)?;
        let precision = precision::resolve(options.precision, device).map_err(LoadError::Options)?;
        let checkpoint = Checkpoint::open(path)?;
        let side = image_side(&checkpoint, options.image_size)?;
        let path = checkpoint.weights_path().to_path_buf();
        let (store, mut config, normalisation, tokens) =
            checkpoint.into_parts(role, device, precision.kind());
        let store = store.with_weight_mode(precision.weight_mode());
        if options.image_size.is_some() {
            let stretched = interpolate_positions(&store, POSITION_TABLE, config.vision.grid(side));
            stretched
                .map_err(|error| LoadError::Backend { path: path.clone(), message: first_lines(&error) })?;
            config.vision.image_size = side;
        }
        let eps = options.options.vision_layer_norm_eps.unwrap_or(config.vision.layer_norm_eps);
        let tower = VisionTower::load(&store.root().sub("vision_model"), &config.vision, eps);
        let images = ImageEncoder { tower, normalisation, device, precision, side: side as usize };
        Ok(Self { config, tokens, images, store, path })
    }

    /// Ends the loading; every tensor of the role must have been taken.
    pub fn finish(self) -> Result<(MedConfig, BertTokens, ImageEncoder), LoadError> {
        let Self { config, tokens, images, store, path } = self;
        store.finish().map_err(|problem| LoadError::Weights { path, problem })?;
        Ok((config, tokens, images))
    }
}

/// Side of the images in pixels. Options, config and image processor must agree.
fn image_side(checkpoint: &Checkpoint, wanted: Option<usize>) -> Result<i64, LoadError> {
    let patch = checkpoint.config.vision.patch_size;
    let own = checkpoint.config.vision.image_size;
    match (wanted, checkpoint.normalisation.side) {
        (Some(side), _) if side as i64 % patch != 0 || side == 0 || side > 1 << 14 => {
            Err(LoadError::Options(format!(
                "image_size is {side}, expected a multiple of the model's patch of {patch} pixels"
            )))
        }
        (Some(side), _) => Ok(side as i64),
        (None, Some(side)) if side != own => Err(LoadError::Format {
            path: checkpoint.processor_path.clone().unwrap_or_default(),
            reason: format!(
                "images are resized to {side} pixels (size), but the model takes {own} (image_size of \
                config.json's \
                 vision_config); correct the one that is wrong"
            ),
        }),
        (None, _) => Ok(own),
    }
}
