//! Vectors of texts, for searches in the vectors of a job's images.

use crate::{ModelOptions, registry};
use capfilt_pipeline::{
    model::{Filter, PixelBatch},
    text::pre_caption,
};
use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

/// Computes the unit vector of a text; the error is a sentence.
pub type TextVector = Arc<dyn Fn(&str) -> Result<Vec<f32>, String> + Send + Sync>;

/// Loads a filter, which computes the unit vector of a text: one text at a time. The text is cleaned as a job
/// cleans it, with at most `max_words` words.
///
/// # Errors
/// The filter cannot be loaded, or has no vectors.
pub fn of_filter(path: &Path, options: ModelOptions, max_words: usize) -> anyhow::Result<TextVector> {
    let filter = registry::filter(path, options)?;
    anyhow::ensure!(filter.feature_width().is_some(), "{} has no vectors of texts", path.display());
    let filter = Mutex::new(filter);
    Ok(Arc::new(move |text| {
        let mut filter = filter.lock().unwrap_or_else(PoisonError::into_inner);
        vector(&mut **filter, pre_caption(text, max_words))
    }))
}

/// The vector of a text. The filter computes vectors of texts beside an image, which is black here.
fn vector(filter: &mut dyn Filter, text: String) -> Result<Vec<f32>, String> {
    let side = filter.image_side();
    let mut image = PixelBatch::with_capacity(side, 1);
    image.push(&vec![0; side * side * 3]);
    let scored = filter.score_in_turns(&image, &[vec![text]], &mut |_| Ok(vec![Vec::new()]), true);
    let scores = scored.map_err(|error| error.to_string())?.pop();
    let features = scores.and_then(|scores| scores.features).and_then(|mut features| features.texts.pop());
    features.ok_or_else(|| "the filter has no vectors of texts".to_owned())
}
