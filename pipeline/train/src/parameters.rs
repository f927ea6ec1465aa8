//! A model's weights as one vector: the optimiser, the momentum towers, clipping and checkpoints each become
//! a handful of operations on it, whatever the number of tensors.
//!
//! The tensors a model is built of are views, cut anew for every step. Cutting with one `split` makes the
//! gradient one `cat`; a view for each tensor would make it a sum of as many vectors.

use std::collections::HashMap;

use capfilt_med::{role::Role, weights::WeightStore};
use capfilt_schemas::settings::train::{Optimizer, Sharing};
use tch::{Device, Kind, TchError, Tensor};

use crate::{
    adamw::AdamW,
    error::TrainError,
    towers::{Parts, Towers},
};

/// A name in the model's files, and where its numbers lie in the vector.
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

    /// Whether it holds no number, as no tensor of a model does.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What lies where. The temperature of the contrast comes first, then what the momentum towers copy, then the
/// rest.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    entries: Vec<Entry>,
    /// Names that stand for another entry's numbers, as tied tensors do.
    aliases: Vec<(String, usize)>,
    /// Numbers of the entries that momentum towers copy; they begin behind the temperature.
    momentum: i64,
    total: i64,
}

/// The temperature's place: the vector's first number.
const TEMPERATURE: i64 = 1;

impl Layout {
    /// Lays out the tensors that the parts of a model take.
    pub fn new(parts: &Parts, sharing: Sharing) -> Self {
        let all = WeightStore::survey(Role::Filter, |root| drop(Towers::load(root, parts)));
        let canonical = |name: &str| shared_name(name, sharing).filter(|_| parts.encoder && parts.decoder);
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

    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Length of the whole vector.
    pub fn total(&self) -> i64 {
        self.total
    }

    /// Every name in the model's files with its numbers, tied ones under each of their names. `vector`:
    /// (total).
    pub fn named(&self, vector: &Tensor) -> Result<HashMap<String, Tensor>, TchError> {
        let sizes = [TEMPERATURE, self.total - TEMPERATURE];
        cut(&vector.f_split_with_sizes(sizes, 0)?[1], &self.entries, &self.aliases)
    }

    /// Those of the momentum towers. `vector`: (momentum).
    pub fn named_momentum(&self, vector: &Tensor) -> Result<HashMap<String, Tensor>, TchError> {
        let copied =
            self.entries.iter().take_while(|entry| entry.start < TEMPERATURE + self.momentum).count();
        cut(vector, &self.entries[..copied], &[])
    }
}

/// Cuts a vector into the tensors of entries that lie one after the other.
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

/// Whether the momentum towers have a copy of it: image encoder, text encoder and both projections.
fn is_copied(name: &str) -> bool {
    ["vision_model.", "text_encoder.", "vision_proj.", "text_proj."]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

/// The encoder's tensor that a tensor of the decoder is, if it is one (BLIP, table 3).
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

/// The weights that are learnt, in f32 (f64 in tests) on the device.
pub struct Parameters {
    pub layout: Layout,
    vector: Tensor,
}

impl Parameters {
    /// `vector`: (total), on the CPU or already on the device.
    pub fn new(layout: Layout, vector: &Tensor, device: Device) -> Result<Self, TchError> {
        let vector = vector.f_to_device(device)?.f_detach()?.f_set_requires_grad(true)?;
        Ok(Self { layout, vector })
    }

    /// The leaf itself: (total).
    pub fn vector(&self) -> &Tensor {
        &self.vector
    }

    /// The temperature τ of the contrast, as part of the graph: ().
    pub fn temperature(&self) -> Result<Tensor, TchError> {
        self.vector.f_narrow(0, 0, TEMPERATURE)?.f_squeeze()
    }

    /// What momentum towers copy of it, without a gradient: (momentum).
    pub fn copied(&self) -> Result<Tensor, TchError> {
        self.vector.f_detach()?.f_narrow(0, TEMPERATURE, self.layout.momentum)
    }

    /// The towers on these weights in `kind`, as part of the graph.
    pub fn towers(&self, parts: &Parts, kind: Kind) -> Result<Towers, TrainError> {
        let rest = &self.vector.f_split_with_sizes([TEMPERATURE, self.layout.total - TEMPERATURE], 0)?[1];
        let named = cut(&rest.f_to_kind(kind)?, &self.layout.entries, &self.layout.aliases)?;
        Towers::on(named, parts, self.vector.device(), kind)
    }

    /// Lets the optimiser move the weights against their gradient; returns its length: ().
    pub fn step(
        &mut self,
        optimizer: &mut AdamW,
        settings: &Optimizer,
        rate: f64,
    ) -> Result<Tensor, TchError> {
        optimizer.step(&mut self.vector, settings, rate)
    }

    /// Keeps τ within [`least`, 0.5] before every step; BLIP's least is 0.001.
    pub fn clamp_temperature(&mut self, least: f64) -> Result<(), TchError> {
        tch::no_grad(|| self.vector.f_narrow(0, 0, TEMPERATURE)?.f_clamp_(least, 0.5).map(drop))
    }
}
