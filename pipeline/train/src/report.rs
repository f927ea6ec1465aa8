//! Text of the events of a run, for people.

use std::{
    fmt,
    time::{Duration, Instant},
};

use crate::{metrics::Line, run::Event};

/// State of a run, as far as its text needs it.
#[derive(Debug, Default)]
pub struct Report {
    steps: u64,
    /// Steps that an earlier process finished.
    done_before: u64,
    started: Option<Instant>,
    has_warned_of_stuck: bool,
}

impl Report {
    /// Lines about an event. A metrics line has none: it is progress.
    pub fn lines(&mut self, event: &Event<'_>) -> Vec<String> {
        match event {
            Event::Started { steps, done, parameters, device, drawn } => {
                (self.steps, self.done_before, self.started) = (*steps, *done, Some(Instant::now()));
                let where_from = if *done > 0 { format!(", resuming at {done}") } else { String::new() };
                let millions = *parameters as f64 / 1e6;
                let mut lines = vec![format!(
                    "{steps} steps{where_from}; {millions:.2} million parameters on {device:?}"
                )];
                if *done == 0 && !drawn.is_empty() {
                    let drawn = drawn.join(", ");
                    lines.push(format!(
                        "random initialisation, because model.from has none of this shape: {drawn}"
                    ));
                }
                lines
            }
            Event::Saved(path) => vec![format!("saved {}", path.display())],
            Event::MatchingStuck if !self.has_warned_of_stuck => {
                self.has_warned_of_stuck = true;
                vec![STUCK.to_owned()]
            }
            Event::Line(_) | Event::MatchingStuck => Vec::new(),
        }
    }

    /// Number of steps of the run.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Time until the end of the run at the speed of this process.
    pub fn time_left(&self, line: &Line) -> Duration {
        let elapsed = self.started.map_or(0.0, |started| started.elapsed().as_secs_f64());
        let per_step = elapsed / (line.step - self.done_before).max(1) as f64;
        Duration::from_secs_f64(per_step * (self.steps - line.step) as f64)
    }
}

const STUCK: &str = "warning: the ITM loss stays at 0.6365, the loss of a constant answer; more data, longer \
                     texts or a lower learning rate may help";

/// Losses and speed.
impl fmt::Display for Line {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let losses = [("itc", self.itc), ("itm", self.itm), ("lm", self.lm)];
        let losses = losses.iter().filter_map(|(name, loss)| Some(format!("{name} {:.3}", (*loss)?)));
        let losses: Vec<String> = losses.collect();
        write!(out, "{}  {:.0} img/s", losses.join(" "), self.images_per_second)
    }
}
