//! A run on its way: how fast its commits come, and what its coordinator holds meanwhile.

use crate::watch::Seen;
use std::time::{Duration, Instant};

/// Time between two counts of the commits.
const COUNT_EVERY: Duration = Duration::from_millis(500);

/// Windows in which the speed is taken, one after the other.
const WINDOWS: usize = 20;

pub struct Course {
    shards: usize,
    /// Numbers of commits after which memory is measured, last first.
    marks: Vec<usize>,
    counted: Instant,
    /// Where the current window began.
    window: Option<(Instant, usize)>,
    /// Seconds per shard in each full window.
    pub windows: Vec<f64>,
    /// Resident memory in MB by number of commits.
    pub resident: Vec<(usize, f64)>,
    /// The coordinator just before the last commit.
    pub last: Seen,
}

impl Course {
    pub fn new(shards: usize) -> Self {
        Self {
            shards,
            marks: vec![shards - shards / 50, shards / 2, shards / 10],
            counted: Instant::now(),
            window: None,
            windows: Vec::new(),
            resident: Vec::new(),
            last: Seen::default(),
        }
    }

    /// Takes in what is seen of the coordinator; counts the commits now and then.
    pub fn look(&mut self, seen: Seen, count: impl FnOnce() -> usize) {
        if self.counted.elapsed() < COUNT_EVERY {
            return;
        }
        self.counted = Instant::now();
        let commits = count();
        if commits == 0 || commits == self.shards {
            return;
        }
        self.last = seen;
        let (since, before) = *self.window.get_or_insert((self.counted, commits));
        if commits >= before + self.shards / WINDOWS {
            self.windows.push((self.counted - since).as_secs_f64() / (commits - before) as f64);
            self.window = Some((self.counted, commits));
        }
        if self.marks.last().is_some_and(|mark| commits >= *mark) {
            self.marks.pop();
            self.resident.push((commits, seen.rss_mb));
        }
    }
}
