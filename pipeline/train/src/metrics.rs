//! Metrics of a run: one line of JSON every few steps, and the loss curves as a picture.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::{error::TrainError, learner::Losses, plot};

/// Means over the steps since the previous line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Number of finished optimiser steps.
    pub step: u64,
    /// Number of finished epochs.
    pub epoch: f64,
    /// Image-text contrastive loss.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub itc: Option<f64>,
    /// Image-text matching loss.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub itm: Option<f64>,
    /// Language-modelling loss.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lm: Option<f64>,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// Weight of the soft targets of the contrastive loss.
    pub alpha: f64,
    /// Temperature of the contrastive loss.
    pub temperature: f64,
    /// Norm of the gradient before clipping.
    pub gradient_norm: f64,
    /// Images per second.
    pub images_per_second: f64,
    /// Share of the time in which the device waited for data.
    pub waiting: f64,
    /// Number of rows so far that were skipped because they have no image or no text.
    pub skipped_rows: u64,
}

/// A run's `metrics.jsonl` and `losses.svg`.
pub struct Metrics {
    lines: Vec<Line>,
    path: PathBuf,
    picture: PathBuf,
}

impl Metrics {
    /// Opens the metrics of a run that resumes at `step`; lines after that step are dropped.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn open(run: &Path, step: u64) -> Result<Self, TrainError> {
        let (path, picture) = (run.join("metrics.jsonl"), run.join("losses.svg"));
        let text = fs::read_to_string(&path).unwrap_or_default();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok());
        let lines: Vec<Line> = lines.filter(|line| line.step <= step).collect();
        let kept: String =
            lines.iter().filter_map(|line| serde_json::to_string(line).ok()).map(|l| l + "\n").collect();
        fs::write(&path, kept).map_err(|source| TrainError::Io {
            what: "write",
            path: path.clone(),
            source,
        })?;
        Ok(Self { lines, path, picture })
    }

    /// Appends a line.
    ///
    /// # Errors
    /// The line cannot be written.
    pub fn push(&mut self, line: Line) -> Result<(), TrainError> {
        let io = |source| TrainError::Io { what: "write", path: self.path.clone(), source };
        let text = serde_json::to_string(&line).map_err(|error| io(error.into()))?;
        let mut file = OpenOptions::new().append(true).create(true).open(&self.path).map_err(io)?;
        writeln!(file, "{text}").map_err(io)?;
        self.lines.push(line);
        Ok(())
    }

    /// Draws the losses so far.
    ///
    /// # Errors
    /// The picture cannot be written.
    pub fn draw(&self) -> Result<(), TrainError> {
        let curve = |name: &'static str, loss: fn(&Line) -> Option<f64>| plot::Curve {
            name,
            points: self.lines.iter().filter_map(|line| Some((line.step as f64, loss(line)?))).collect(),
        };
        let curves = [curve("ITC", |l| l.itc), curve("ITM", |l| l.itm), curve("LM", |l| l.lm)];
        let svg = plot::svg("Loss by step", &curves);
        fs::write(&self.picture, svg).map_err(|source| TrainError::Io {
            what: "write",
            path: self.picture.clone(),
            source,
        })
    }

    /// Whether the matching loss of the last `lines` lines is that of a constant answer: one pair in three
    /// matches, so this is the entropy of 1 : 2.
    pub(crate) fn matching_is_stuck(&self, lines: usize) -> bool {
        let last = self.lines.len().checked_sub(lines).map(|from| &self.lines[from..]);
        last.is_some_and(|last| {
            last.iter().all(|line| line.itm.is_some_and(|itm| (itm - CONSTANT_ITM).abs() < 2e-3))
        })
    }
}

/// −⅓ ln ⅓ − ⅔ ln ⅔
pub(crate) const CONSTANT_ITM: f64 = 0.636_514;

/// Sums of losses on the device, so that a step does not wait for their values.
#[derive(Default)]
pub struct Sums {
    itc: Option<Tensor>,
    itm: Option<Tensor>,
    lm: Option<Tensor>,
    gradient_norm: Option<Tensor>,
    batches: u64,
    steps: u64,
}

/// The means of [`Sums`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Means {
    pub itc: Option<f64>,
    pub itm: Option<f64>,
    pub lm: Option<f64>,
    pub gradient_norm: f64,
}

impl Sums {
    pub(crate) fn add_losses(&mut self, losses: &Losses) {
        add(&mut self.itc, losses.itc.as_ref());
        add(&mut self.itm, losses.itm.as_ref());
        add(&mut self.lm, losses.lm.as_ref());
        self.batches += 1;
    }

    pub(crate) fn add_gradient(&mut self, norm: &Tensor) {
        add(&mut self.gradient_norm, Some(norm));
        self.steps += 1;
    }

    /// Returns the means and resets the sums; waits for the device.
    pub fn take(&mut self) -> Means {
        let sums = std::mem::take(self);
        let mean = |sum: Option<Tensor>, n: u64| sum.map(|sum| sum.double_value(&[]) / n.max(1) as f64);
        Means {
            itc: mean(sums.itc, sums.batches),
            itm: mean(sums.itm, sums.batches),
            lm: mean(sums.lm, sums.batches),
            gradient_norm: mean(sums.gradient_norm, sums.steps).unwrap_or(0.0),
        }
    }
}

impl Means {
    /// Whether all means are finite.
    pub fn is_finite(&self) -> bool {
        [self.itc, self.itm, self.lm, Some(self.gradient_norm)].iter().flatten().all(|mean| mean.is_finite())
    }
}

fn add(sum: &mut Option<Tensor>, value: Option<&Tensor>) {
    if let Some(value) = value {
        let value = value.detach();
        *sum = Some(match sum.take() {
            Some(sum) => sum + value,
            None => value,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(step: u64, itm: f64) -> Line {
        Line {
            step,
            epoch: 0.0,
            itc: None,
            itm: Some(itm),
            lm: None,
            learning_rate: 0.0,
            alpha: 0.0,
            temperature: 0.07,
            gradient_norm: 0.0,
            images_per_second: 0.0,
            waiting: 0.0,
            skipped_rows: 0,
        }
    }

    #[test]
    fn a_constant_answer_is_distinguished_from_a_decreasing_loss() {
        let folder = tempfile::tempdir().unwrap();
        let mut metrics = Metrics::open(folder.path(), 0).unwrap();
        for step in 1..=5 {
            metrics.push(line(step, CONSTANT_ITM + 1e-4)).unwrap();
        }
        assert!(metrics.matching_is_stuck(5) && !metrics.matching_is_stuck(6));
        metrics.push(line(6, 0.61)).unwrap();
        assert!(!metrics.matching_is_stuck(5));
        // A run that resumes at step 3 drops later lines.
        let again = Metrics::open(folder.path(), 3).unwrap();
        assert_eq!(again.lines.len(), 3);
        assert_eq!(fs::read_to_string(folder.path().join("metrics.jsonl")).unwrap().lines().count(), 3);
    }
}
