//! Parts of a plan, for workers that share a job without a queue.

use capfilt_schemas::plan::Shard;
use std::str::FromStr;

/// Part of a plan: every `of`-th shard, from the `index`-th on.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    index: usize,
    of: usize,
}

impl Part {
    /// Shards of the part.
    pub fn of(self, plan: &[Shard]) -> Vec<Shard> {
        plan.iter().skip(self.index).step_by(self.of).cloned().collect()
    }
}

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers =
            text.split_once('/').and_then(|(index, of)| Some((index.parse().ok()?, of.parse().ok()?)));
        match numbers {
            Some((index, of)) if index < of => Ok(Self { index, of }),
            _ => Err(format!("part `{text}` is not i/n with i from 0 to n - 1, for example 0/4")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Part;

    #[test]
    fn a_part_without_shards_is_refused() {
        assert!("0/4".parse::<Part>().is_ok());
        for wrong in ["4/4", "0/0", "1", "a/2", "-1/2"] {
            assert!(wrong.parse::<Part>().is_err(), "{wrong}");
        }
    }
}
