//! The request of a cut, as a user gives it.

use std::str::FromStr;

/// Rules that differ from the job's.
#[derive(Debug, Clone, Default, PartialEq)]
#[cfg_attr(feature = "arguments", derive(clap::Args), command(next_help_heading = "Rules"))]
pub struct Request {
    /// Least P(match) of a kept text, of all sources or of one: a text column or `synthetic`
    #[cfg_attr(feature = "arguments", arg(long = "threshold", value_name = "[SOURCE=]P"))]
    pub thresholds: Vec<OfSource<f64>>,
    /// Least CLIP score of a kept text, of all sources or of one, besides P(match), in a job with CLIP scores
    #[cfg_attr(
        feature = "arguments",
        arg(long = "clip-threshold", value_name = "[SOURCE=]SCORE", allow_negative_numbers = true)
    )]
    pub clip_thresholds: Vec<OfSource<f64>>,
    /// Instead of a threshold: share of the judged texts to keep, the best ones; texts equal to the last one
    /// are kept too
    #[cfg_attr(feature = "arguments", arg(long, value_name = "[SOURCE=]SHARE"))]
    pub top: Vec<OfSource<Share>>,
    /// Instead of a threshold: the lowest one that at most this share of the negative controls, the texts of
    /// other rows, reaches
    #[cfg_attr(feature = "arguments", arg(long, value_name = "SHARE"))]
    pub max_random_pass: Option<Share>,
    /// Keep the best N texts of a source and a row
    #[cfg_attr(feature = "arguments", arg(long, value_name = "[SOURCE=]N"))]
    pub keep: Vec<OfSource<u32>>,
    /// Condition on each text: `words >= 3 and language = 'en' and repetition < 0.5`; docs/recut.md has the
    /// columns
    #[cfg_attr(feature = "arguments", arg(long = "where", value_name = "CONDITION"))]
    pub condition: Option<String>,
}

/// A value for one source, `SOURCE=VALUE`, or for all sources, `VALUE`.
#[derive(Debug, Clone, PartialEq)]
pub struct OfSource<T> {
    /// The source; `None` for all sources.
    pub source: Option<String>,
    /// The value.
    pub value: T,
}

impl<T: FromStr<Err: ToString>> FromStr for OfSource<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // The name of a column may contain `=`, and a value does not.
        let (source, value) = match text.rsplit_once('=') {
            Some((source, value)) => (Some(source.to_owned()), value),
            None => (None, text),
        };
        let value = value.parse().map_err(|error: T::Err| error.to_string())?;
        Ok(Self { source, value })
    }
}

/// A share from 0 to 1, written as `0.3` or `30%`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share(pub f64);

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, scale) = text.strip_suffix('%').map_or((text, 1.0), |percent| (percent, 100.0));
        let share = number.trim().parse::<f64>().map(|number| number / scale);
        share
            .ok()
            .filter(|share| (0.0..=1.0).contains(share))
            .map(Self)
            .ok_or_else(|| format!("{text:?} is not a share: write 0.3 or 30%, from 0 to 100%"))
    }
}

impl Share {
    /// The largest whole number that is at most this share of `all`.
    pub fn of(self, all: u64) -> u64 {
        // A product such as 0.29 × 100 is slightly below 29, so a tolerance of rounding is added.
        (self.0 * all as f64 + 1e-9 * all as f64).floor().min(all as f64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_may_be_for_one_source() {
        let of = |text: &str| text.parse::<OfSource<f64>>();
        assert_eq!(of("0.25"), Ok(OfSource { source: None, value: 0.25 }));
        assert_eq!(of("alt=0.25"), Ok(OfSource { source: Some("alt".to_owned()), value: 0.25 }));
        assert_eq!(of("a=b=1"), Ok(OfSource { source: Some("a=b".to_owned()), value: 1.0 }));
        assert!(of("alt=").is_err() && of("alt").is_err());
    }

    #[test]
    fn a_share_is_a_number_or_a_percentage() {
        assert_eq!("30%".parse::<Share>().unwrap().of(10), 3);
        assert_eq!("0.29".parse::<Share>().unwrap().of(100), 29);
        assert_eq!("1%".parse::<Share>().unwrap().of(199), 1);
        assert_eq!("100%".parse::<Share>().unwrap().of(7), 7);
        for text in ["", "%", "-1%", "101%", "1.5", "nan", "a"] {
            assert!(text.parse::<Share>().is_err(), "{text}");
        }
    }
}
