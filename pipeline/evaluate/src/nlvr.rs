//! Accuracy of judgements about statements (BLIP, section 5.4).

use crate::statements::Stated;
use serde::Serialize;
use serde_json::json;
use std::{
    collections::BTreeMap,
    fmt,
    fs::File,
    io::{self, BufWriter, Write as _},
    path::Path,
};

/// Accuracy of all statements, and of each group.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NlvrScores {
    /// Number of statements.
    pub statements: usize,
    /// Share of statements whose truth the model judges correctly, 0 to 1.
    pub accuracy: f64,
    /// Share of true statements, 0 to 1.
    pub true_share: f64,
    /// The same numbers by group; empty without a column of groups.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, GroupScore>,
}

/// Accuracy of one group of statements.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct GroupScore {
    /// Number of statements.
    pub statements: usize,
    /// Share of statements that are judged correctly, 0 to 1.
    pub accuracy: f64,
}

impl fmt::Display for NlvrScores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |share: f64| 100.0 * share;
        write!(
            f,
            "accuracy  {:6.2} % of {} statements; {:.1} % are true",
            percent(self.accuracy),
            self.statements,
            percent(self.true_share)
        )?;
        self.groups.iter().try_for_each(|(group, one)| {
            write!(f, "\n          {:6.2} % of {:5}  {group}", percent(one.accuracy), one.statements)
        })
    }
}

/// Whether the model judges the statement as true.
fn is_judged_true(probability: f32) -> bool {
    probability > 0.5
}

/// Compares probabilities with the truth of their statements.
pub fn score_statements(probabilities: &[f32], stated: &[Stated]) -> NlvrScores {
    let mut all = GroupScore::default();
    let mut groups = BTreeMap::<String, GroupScore>::new();
    for (probability, row) in probabilities.iter().zip(stated) {
        let right = f64::from(u8::from(is_judged_true(*probability) == row.is_true));
        let group = row.group.clone().map(|group| groups.entry(group).or_default());
        for score in [Some(&mut all), group].into_iter().flatten() {
            score.statements += 1;
            // The mean of the statements so far.
            score.accuracy += (right - score.accuracy) / score.statements as f64;
        }
    }
    let share = stated.iter().filter(|row| row.is_true).count() as f64 / stated.len().max(1) as f64;
    NlvrScores { statements: all.statements, accuracy: all.accuracy, true_share: share, groups }
}

/// Writes each statement with its probability and its truth to a file, one JSON object per line.
///
/// # Errors
/// A file that cannot be written.
pub fn write_judgements(path: &Path, probabilities: &[f32], stated: &[Stated]) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for (probability, row) in probabilities.iter().zip(stated) {
        let mut line = json!({
            "statement": row.statement,
            "true_probability": probability,
            "label": row.is_true,
        });
        row.group.iter().for_each(|group| line["group"] = json!(group));
        writeln!(file, "{line}")?;
    }
    file.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stated(is_true: bool, group: Option<&str>) -> Stated {
        let (images, statement) = ([bytes::Bytes::new(), bytes::Bytes::new()], "both show a dog".to_owned());
        Stated { images, statement, is_true, group: group.map(str::to_owned) }
    }

    #[test]
    fn accuracy_counts_right_judgements_in_all_and_by_group() {
        let all = [
            stated(true, Some("both")),
            stated(false, Some("both")),
            stated(true, Some("more")),
            stated(false, None),
        ];
        let scores = score_statements(&[0.9, 0.6, 0.7, 0.5], &all);
        assert_eq!((scores.statements, scores.accuracy, scores.true_share), (4, 0.75, 0.5));
        assert_eq!(scores.groups["both"], GroupScore { statements: 2, accuracy: 0.5 });
        assert_eq!(scores.groups["more"], GroupScore { statements: 1, accuracy: 1.0 });
        let text = scores.to_string();
        assert_eq!(text.lines().next(), Some("accuracy   75.00 % of 4 statements; 50.0 % are true"));
        assert!(text.contains("50.00 % of     2  both"), "{text}");
        assert_eq!(score_statements(&[], &[]).statements, 0);
    }
}
