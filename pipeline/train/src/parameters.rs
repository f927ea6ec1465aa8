//! A model's weights as one vector, so that optimiser, momentum towers, clipping and checkpoints need only a
//! few operations, for any number of tensors.
//!
//! The tensors of the model are views, split again for every step. One `split` makes the gradient one `cat`;
//! a view per tensor would make it a sum of as many vectors.

use std::collections::HashMap;

use capfilt_blip::{role::Role, weights::WeightStore};
use capfilt_schemas::settings::train::{Optimizer, Sharing};
use tch::{Device, Kind, TchError, Tensor};

use crate::{
    adamw::AdamW,
    error::TrainError,
    towers::{Parts, Towers},
};

/// A name in the model's files, and the position of its numbers in the vector.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub name: String,
    pub shape: Vec<i64>,
    pub start: i64,
}

impl Entry {
    pub fn len(&self) -> i64 {
        self.shape.iter().product()
    }

    /// Whether the entry has no numbers; false for every tensor of a model.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Layout of the vector: the temperature of the contrastive loss, then the weights that the momentum towers
/// copy, then the remaining weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    entries: Vec<Entry>,
    /// Names that share the numbers of another entry, as tied tensors do.
    aliases: Vec<(String, usize)>,
    /// Number of weights that momentum towers copy; they start after the temperature.
    momentum: i64,
    total: i64,
}

/// Numbers of the temperature: the vector's first number.
const TEMPERATURE: i64 = 1;

impl Layout {
    /// Lays out the tensors of a model's parts.
    pub fn new(parts: &Parts, sharing: Sharing) -> Self {
        let all = WeightStore::survey(Role::Filter, |root| drop(Towers::load(root, parts)));
        let canonical =
            |name: &str| shared_name(name, sharing).filter(|_| parts.encoder && parts.decoder.is_some());
        let (copied, others): (Vec<_>, Vec<_>) = all
            .iter()
            .filter(|(name, _)| canonical(name).is_none())
            .partition(|(name, _)| parts.contrast && is_copied(name));
        let mut layout = Self { entries: Vec::new(), aliases: Vec::new(), momentum: 0, total: TEMPERATURE };
        for (i, (name, shape)) in copied.iter().chain(&others).enumerate() {
            let entry = Entry { name: name.clone(), shape: shape.clone(), start: layout.total };
            layout.total += entry.len();
            layout.entries.push(entry);
            if i + 1 == copied.len() {
                layout.momentum = layout.total - TEMPERATURE;
            }
        }
        let places: HashMap<&str, usize> =
            layout.entries.iter().enumerate().map(|(i, entry)| (entry.name.as_str(), i)).collect();
        let alias =
            |(name, _): &(String, Vec<i64>)| Some((name.clone(), *places.get(canonical(name)?.as_str())?));
        layout.aliases = all.iter().filter_map(alias).collect();
        layout
    }

    /// Tensors of the vector, in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Length of the whole vector.
    pub fn total(&self) -> i64 {
        self.total
    }

    /// All names in the model's files with their tensors; a tied tensor appears under each of its names.
    /// `vector`: (total).
    pub fn named(&self, vector: &Tensor) -> Result<HashMap<String, Tensor>, TchError> {
        let sizes = [TEMPERATURE, self.total - TEMPERATURE];
        cut(&vector.f_split_with_sizes(sizes, 0)?[1], &self.entries, &self.aliases)
    }

    /// The momentum towers' names and tensors. `vector`: (momentum).
    pub fn named_momentum(&self, vector: &Tensor) -> Result<HashMap<String, Tensor>, TchError> {
        let copied =
            self.entries.iter().take_while(|entry| entry.start < TEMPERATURE + self.momentum).count();
        cut(vector, &self.entries[..copied], &[])
    }
}

/// Splits a vector into the tensors of consecutive entries.
fn cut(
    vector: &Tensor,
    entries: &[Entry],
    aliases: &[(String, usize)],
) -> Result<HashMap<String, Tensor>, TchError> {
    let sizes: Vec<i64> = entries.iter().map(Entry::len).collect();
    let parts = vector.f_split_with_sizes(&sizes, 0)?;
    let mut named = HashMap::with_capacity(entries.len() + aliases.len());
    for (entry, part) in entries.iter().zip(&parts) {
        named.insert(entry.name.clone(), part.f_view(entry.shape.as_slice())?);
    }
    for (alias, i) in aliases {
        if let Some(tensor) = entries.get(*i).and_then(|entry| named.get(&entry.name)) {
            named.insert(alias.clone(), tensor.shallow_clone());
        }
    }
    Ok(named)
}

/// Whether the momentum towers have a copy: image encoder, text encoder and both projections.
fn is_copied(name: &str) -> bool {
    ["vision_model.", "text_encoder.", "vision_proj.", "text_proj."]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

/// Name of the encoder's tensor that a decoder's tensor shares, if any (BLIP, table 3).
fn shared_name(name: &str, sharing: Sharing) -> Option<String> {
    let rest = name.strip_prefix("text_decoder.bert.")?;
    let in_self_attention = rest.contains(".attention.");
    let in_cross_attention = rest.contains(".crossattention.");
    let own = match sharing {
        Sharing::All => false,
        Sharing::AllButCa => in_cross_attention,
        Sharing::AllButSa => in_self_attention,
        Sharing::None => true,
    };
    (!own).then(|| format!("text_encoder.{rest}"))
}

/// The trained weights, in f32 (f64 in tests) on the device.
pub struct Parameters {
    /// Places of the tensors in the vector.
    pub layout: Layout,
    vector: Tensor,
}

impl Parameters {
    /// `vector`: (total), on the CPU or on the device.
    pub fn new(layout: Layout, vector: &Tensor, device: Device) -> Result<Self, TchError> {
        let vector = vector.f_to_device(device)?.f_detach()?.f_set_requires_grad(true)?;
        Ok(Self { layout, vector })
    }

    /// The leaf: (total).
    pub fn vector(&self) -> &Tensor {
        &self.vector
    }

    /// Temperature τ of the contrastive loss, as part of the graph: ().
    pub fn temperature(&self) -> Result<Tensor, TchError> {
        self.vector.f_narrow(0, 0, TEMPERATURE)?.f_squeeze()
    }

    /// Weights that the momentum towers copy, without a gradient: (momentum).
    pub fn copied(&self) -> Result<Tensor, TchError> {
        self.vector.f_detach()?.f_narrow(0, TEMPERATURE, self.layout.momentum)
    }

    /// Towers with these weights in `kind`, as part of the graph.
    pub fn towers(&self, parts: &Parts, kind: Kind) -> Result<Towers, TrainError> {
        let rest = &self.vector.f_split_with_sizes([TEMPERATURE, self.layout.total - TEMPERATURE], 0)?[1];
        let named = cut(&rest.f_to_kind(kind)?, &self.layout.entries, &self.layout.aliases)?;
        Towers::on(named, parts, self.vector.device(), kind)
    }

    /// Runs an optimiser step; returns the norm of the gradient: ().
    pub fn step(
        &mut self,
        optimizer: &mut AdamW,
        settings: &Optimizer,
        rate: f64,
    ) -> Result<Tensor, TchError> {
        optimizer.step(&mut self.vector, settings, rate)
    }

    /// Clamps τ to [`least`, 0.5] before every step; BLIP's `least` is 0.001.
    pub fn clamp_temperature(&mut self, least: f64) -> Result<(), TchError> {
        tch::no_grad(|| self.vector.f_narrow(0, 0, TEMPERATURE)?.f_clamp_(least, 0.5).map(drop))
    }
}
