//! Questions with their weighted answers (BLIP, section 5.3).

use capfilt_pipeline::{
    input::Sample,
    text::{QUESTION_WORDS, pre_question},
};
use std::sync::Arc;

/// Largest number of answers of a question that are read; VQA has 10.
pub const MOST_ANSWERS: usize = 100;

/// The column with the answers of a source.
#[derive(Debug, Clone)]
pub struct Answers {
    /// Name of the column.
    pub column: Arc<str>,
    /// Weight of the source's answers in the loss: 1, or less for answers that are less reliable.
    pub weight: f64,
}

/// One of the different answers to a question.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Text of the answer.
    pub text: String,
    /// Share of this answer among all answers to the question, times the weight of the source.
    pub weight: f64,
}

/// The cleaned question of a row and its different answers, in the order of their first occurrence. `None` if
/// the row has no question or no answer.
///
/// As in BLIP's data set of VQA: `pre_question` cleans questions, and the answers are unchanged but for space
/// around them.
pub fn asked(sample: &Sample, answers: &Answers) -> Option<(String, Vec<Answer>)> {
    let texts = || sample.texts.iter().filter_map(|text| Some((&text.source, text.text.as_text()?.trim())));
    let is_answer = |source: &str| *source == *answers.column;
    let question = texts().find(|(source, text)| !is_answer(source) && !text.is_empty());
    let question = pre_question(question?.1, QUESTION_WORDS);
    let given = texts().filter(|(source, text)| is_answer(source) && !text.is_empty());
    let given: Vec<&str> = given.map(|(_, text)| text).collect();
    (!question.is_empty() && !given.is_empty()).then(|| (question, weighted(&given, answers.weight)))
}

/// The different answers with their weights, whose sum is `weight`.
fn weighted(given: &[&str], weight: f64) -> Vec<Answer> {
    let each = weight / given.len() as f64;
    let mut found: Vec<Answer> = Vec::new();
    for text in given {
        match found.iter_mut().find(|answer| answer.text == *text) {
            Some(answer) => answer.weight += each,
            None => found.push(Answer { text: (*text).to_owned(), weight: each }),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_the_weight_of_its_share_of_the_people() {
        let people = ["2", "2", "two", "2", "none", "2", "2", "two", "2", "2"];
        let found = weighted(&people, 1.0);
        let texts: Vec<&str> = found.iter().map(|answer| answer.text.as_str()).collect();
        assert_eq!(texts, ["2", "two", "none"]);
        for (answer, share) in found.iter().zip([0.7, 0.2, 0.1]) {
            assert!((answer.weight - share).abs() < 1e-12, "{answer:?}");
        }
        assert_eq!(weighted(&["red"], 0.2), [Answer { text: "red".into(), weight: 0.2 }]);
    }
}
