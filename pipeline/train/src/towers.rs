//! The towers of MED that a run trains, on the weights of a step.

use std::collections::HashMap;

use capfilt_blip::{
    config::MedConfig,
    heads::{ClsHead, ItcHead, ItmHead, LmHead},
    layers::Dropout,
    pair_text::{PairTextTower, first_merged},
    role::Role,
    text::TextTower,
    vit::VisionTower,
    weights::{Path, WeightStore},
};
use tch::{Device, Kind, Tensor};

use crate::error::TrainError;

/// Parts of MED that a model has.
#[derive(Debug, Clone, PartialEq)]
pub struct Parts {
    /// Sizes of the model.
    pub config: MedConfig,
    /// The text encoder, for contrastive and matching loss.
    pub encoder: bool,
    /// The two projections and the momentum towers.
    pub contrast: bool,
    /// Whether the image-grounded text encoder is trained.
    pub matching: bool,
    /// Whether the text encoder is that of statements about pairs of images, with their classifier; `encoder`
    /// is then false.
    pub reasoner: bool,
    /// Input of the text decoder's cross-attention; `None` without a decoder.
    pub decoder: Option<Attends>,
    /// Share of activations that dropout sets to 0.
    pub dropout: f64,
    /// Largest share of skipped residual blocks in the image encoder.
    pub drop_path: f64,
}

/// States that the text decoder attends to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attends {
    /// States of the image encoder: MED and the captioner.
    ToImage,
    /// States of the text encoder for a question: the answerer.
    ToQuestion,
}

/// MED with the heads of its losses (BLIP, section 3.2).
pub struct Towers {
    pub vision: VisionTower,
    pub encoder: Option<TextTower>,
    pub itc: Option<ItcHead>,
    pub itm: Option<ItmHead>,
    pub reasoner: Option<(PairTextTower, ClsHead)>,
    pub decoder: Option<(TextTower, LmHead)>,
}

impl Towers {
    /// Takes the tensors of the parts by their names in Hugging Face's layout.
    pub fn load(root: &Path<'_>, parts: &Parts) -> Self {
        let config = &parts.config;
        let image_width = config.vision.hidden_size;
        let text = |path: &Path<'_>, width: i64| {
            let mut tower = TextTower::load(path, &config.text, width);
            tower.set_dropout(Dropout(parts.dropout));
            tower
        };
        let mut vision =
            VisionTower::load(&root.sub("vision_model"), &config.vision, config.vision.layer_norm_eps);
        vision.set_drop_path(parts.drop_path);
        let decoder = parts.decoder.map(|attends| {
            let path = root.sub("text_decoder");
            let width = match attends {
                Attends::ToImage => image_width,
                Attends::ToQuestion => config.text.hidden_size,
            };
            let tower = text(&path.sub("bert"), width);
            let head = LmHead::load(&path.sub("cls").sub("predictions"), config, tower.words());
            (tower, head)
        });
        Self {
            vision,
            encoder: parts.encoder.then(|| text(&root.sub("text_encoder"), image_width)),
            itc: parts.contrast.then(|| ItcHead::load(root, config)),
            itm: parts.matching.then(|| ItmHead::load(root, config)),
            reasoner: parts.reasoner.then(|| reasoner(root, parts)),
            decoder,
        }
    }

    /// Builds the towers on these tensors, all of which must be used.
    ///
    /// # Errors
    /// Names or shapes do not fit.
    pub fn on(
        named: HashMap<String, Tensor>,
        parts: &Parts,
        device: Device,
        kind: Kind,
    ) -> Result<Self, TrainError> {
        let store = WeightStore::new(Role::Filter, named, Vec::new(), device, kind);
        let towers = Self::load(&store.root(), parts);
        store.finish().map_err(TrainError::Weights)?;
        Ok(towers)
    }
}

/// Text encoder of statements, and their classifier.
fn reasoner(root: &Path<'_>, parts: &Parts) -> (PairTextTower, ClsHead) {
    let (config, path) = (&parts.config, root.sub("text_encoder"));
    let first_merged = first_merged(config.text.num_hidden_layers);
    let mut tower = PairTextTower::load_twin(&path, &config.text, config.vision.hidden_size, first_merged);
    tower.set_dropout_of_twins(Dropout(parts.dropout));
    (tower, ClsHead::load(root, config))
}
