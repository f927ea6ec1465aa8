//! The stage that limits a job.

use super::throughput::{StageSeconds, Throughput};

/// A stage limits a job if it has this multiple of the seconds of the next one.
const CLEARLY: f64 = 1.25;

/// The work of a stage in the recent shards.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct StageShare {
    /// Name of the stage.
    pub name: &'static str,
    /// The work, for people.
    pub work: &'static str,
    /// Share of the time of all stages, 0 to 1.
    pub share: f64,
}

impl StageSeconds {
    /// The stages in the order of a row; without any time, all shares are 0.
    pub(super) fn shares(&self) -> [StageShare; 4] {
        let Self { fetch, decode, device, write } = *self;
        let all = (fetch + decode + device + write).max(f64::MIN_POSITIVE);
        let of = |name, work, seconds: f64| StageShare { name, work, share: seconds / all };
        [
            of("fetch", "reading the input", fetch),
            of("decode", "decoding images", decode),
            of("device", "computing the models", device),
            of("write", "writing the tables", write),
        ]
    }

    /// The stages, the one with the most time first, and whether this one limits the job. The stages of a
    /// worker process run side by side, so the stage with the most seconds determines the speed.
    pub(super) fn ranked(&self) -> ([StageShare; 4], bool) {
        let mut stages = self.shares();
        stages.sort_by(|a, b| b.share.total_cmp(&a.share));
        let limits = stages[0].share > 0.0 && stages[0].share >= CLEARLY * stages[1].share;
        (stages, limits)
    }
}

/// Sentence about the stage that limits the recent shards.
pub fn bottleneck(pace: &Throughput) -> String {
    let (stages, limits) = pace.stage_seconds.ranked();
    let [first, second, ..] = stages;
    if first.share <= 0.0 {
        return "No stage has used measurable time yet.".to_owned();
    }
    let all: Vec<String> =
        stages.iter().map(|stage| format!("{} {:.0} %", stage.name, 100.0 * stage.share)).collect();
    let of = format!("of the stage seconds of the newest {} shards: {}", pace.commits, all.join(", "));
    if limits {
        format!(
            "{} limits the job: {} has {:.0} % {of}.",
            capitalised(first.work),
            first.name,
            100.0 * first.share
        )
    } else {
        format!(
            "No stage alone limits the job: {} and {} take about equal time, {of}.",
            first.name, second.name
        )
    }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(fetch: f64, decode: f64, device: f64, write: f64) -> String {
        let stage_seconds = StageSeconds { fetch, decode, device, write };
        bottleneck(&Throughput {
            commits: 5,
            images_per_second: 1.0,
            rows_per_second: 1.0,
            stage_seconds,
            workers: vec![],
            seconds_since_commit: 0.0,
            seconds_left: None,
            stands_still: false,
        })
    }

    #[test]
    fn the_stage_with_the_most_seconds_is_named_unless_two_are_about_equal() {
        assert_eq!(
            of(1.0, 2.0, 6.0, 1.0),
            "Computing the models limits the job: device has 60 % of the stage seconds of the newest 5 \
             shards: device 60 %, decode 20 %, fetch 10 %, write 10 %."
        );
        assert!(of(8.0, 1.0, 1.0, 0.0).starts_with("Reading the input limits"));
        assert!(of(4.0, 0.0, 4.1, 0.0).starts_with("No stage alone limits the job: device and fetch"));
        assert!(of(0.0, 0.0, 0.0, 0.0).starts_with("No stage has used"));
    }
}
