//! Which stage limits a job, in a sentence.

use capfilt_coordinator::Throughput;

/// A stage limits a job if it has this multiple of the seconds of the next one.
const CLEARLY: f64 = 1.25;

/// Sentence about the stage that limits the recent shards. The stages of a worker process run side by side,
/// so the stage with the most seconds determines the speed.
pub(crate) fn sentence(pace: &Throughput) -> String {
    let seconds = pace.stage_seconds;
    let mut stages = [
        ("fetch", "reading the input", seconds.fetch),
        ("decode", "decoding images", seconds.decode),
        ("device", "computing the models", seconds.device),
        ("write", "writing the tables", seconds.write),
    ];
    stages.sort_by(|a, b| b.2.total_cmp(&a.2));
    let sum: f64 = stages.iter().map(|stage| stage.2).sum();
    if sum <= 0.0 {
        return "No stage has used measurable time yet.".to_owned();
    }
    let share = |seconds: f64| 100.0 * seconds / sum;
    let all: Vec<String> =
        stages.iter().map(|(name, _, seconds)| format!("{name} {:.0} %", share(*seconds))).collect();
    let [first, second, ..] = stages;
    let of = format!("of the stage seconds of the newest {} shards: {}", pace.commits, all.join(", "));
    if first.2 >= CLEARLY * second.2 {
        format!("{} limits the job: {} has {:.0} % {of}.", capitalised(first.1), first.0, share(first.2))
    } else {
        format!("No stage alone limits the job: {} and {} take about equal time, {of}.", first.0, second.0)
    }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use capfilt_coordinator::StageSeconds;

    fn of(fetch: f64, decode: f64, device: f64, write: f64) -> String {
        let stage_seconds = StageSeconds { fetch, decode, device, write };
        sentence(&Throughput {
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
