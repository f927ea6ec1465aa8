//! Accuracy of answers as the VQA challenge computes it (Antol et al., 2015), and plain accuracy.

use crate::questions::Asked;
use serde::Serialize;
use std::fmt;

/// Accuracies, 0 to 1; `None` if no question of the kind was asked.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VqaScores {
    /// Number of questions.
    pub questions: usize,
    /// VQA accuracy of the questions with several answers.
    pub vqa_accuracy: Option<f64>,
    /// Share of the questions with one answer whose answer is equal after normalisation.
    pub accuracy: Option<f64>,
}

impl fmt::Display for VqaScores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = [
            self.vqa_accuracy.map(|share| format!("VQA accuracy  {:6.2}", 100.0 * share)),
            self.accuracy
                .map(|share| format!("accuracy      {:6.2} % of questions with one answer", 100.0 * share)),
        ];
        f.write_str(&lines.into_iter().flatten().collect::<Vec<_>>().join("\n"))
    }
}

/// Scores answers against the answers of people.
pub fn score_answers(answers: &[String], asked: &[Asked]) -> VqaScores {
    let (mut several, mut single) = (Vec::new(), Vec::new());
    for (answer, asked) in answers.iter().zip(asked) {
        match asked.answers.as_slice() {
            [only] => single.push(f64::from(u8::from(normalised(answer) == normalised(only)))),
            all => several.push(vqa_accuracy(answer, all)),
        }
    }
    let mean = |all: &[f64]| (!all.is_empty()).then(|| all.iter().sum::<f64>() / all.len() as f64);
    VqaScores { questions: answers.len(), vqa_accuracy: mean(&several), accuracy: mean(&single) }
}

/// Accuracy of one answer: `min(matches / 3, 1)` with all answers of people but one, averaged over the answer
/// that is left out.
///
/// The challenge's program normalises the model's answer fully. Of the answers of people, which its files
/// have in normal form, it only processes the punctuation, and only if they are not all equal.
pub fn vqa_accuracy(answer: &str, people: &[String]) -> f64 {
    let answer = normalised(answer);
    let agree = people.iter().all(|other| *other == people[0]);
    let people: Vec<String> =
        people.iter().map(|text| if agree { text.clone() } else { without_punctuation(text) }).collect();
    let matches = people.iter().filter(|text| **text == answer).count();
    let left = |text: &String| matches - usize::from(*text == answer);
    people.iter().map(|text| (left(text) as f64 / 3.0).min(1.0)).sum::<f64>() / people.len().max(1) as f64
}

/// Signs that the challenge removes, or replaces by a space inside of words.
const SIGNS: [char; 21] = [
    ';', '/', '[', ']', '"', '{', '}', '(', ')', '=', '+', '\\', '_', '-', '>', '<', '@', '`', ',', '?', '!',
];
/// Most full stops that are removed: the challenge passes the flag `re.UNICODE`, 32, as the number of
/// replacements.
const MOST_STOPS: usize = 32;
const ARTICLES: [&str; 3] = ["a", "an", "the"];
const NUMBERS: [(&str, &str); 12] = [
    ("none", "0"),
    ("zero", "0"),
    ("one", "1"),
    ("two", "2"),
    ("three", "3"),
    ("four", "4"),
    ("five", "5"),
    ("six", "6"),
    ("seven", "7"),
    ("eight", "8"),
    ("nine", "9"),
    ("ten", "10"),
];
/// The challenge's table of contractions, in three paragraphs: words that get all their apostrophes back;
/// words that get one missing apostrophe back; and a word with the form that replaces it. (The table also has
/// keys with a capital, which a text in lower case never contains.)
const CONTRACTIONS: &str = include_str!("contractions.txt");

/// Normal form of an answer: one line, punctuation removed, lower case, numbers as digits, no articles.
pub fn normalised(answer: &str) -> String {
    let text = without_punctuation(answer.replace(['\n', '\t'], " ").trim()).to_lowercase();
    let number = |word: &str| {
        let named = NUMBERS.iter().find(|(name, _)| *name == word);
        named.map_or(word.to_owned(), |(_, digits)| (*digits).to_owned())
    };
    let words = text.split_whitespace().map(number).filter(|word| !ARTICLES.contains(&word.as_str()));
    words.map(with_apostrophe).collect::<Vec<_>>().join(" ")
}

fn with_apostrophe(word: String) -> String {
    let mut paragraphs = CONTRACTIONS.split("\n\n").map(str::split_whitespace);
    let mut next = || paragraphs.next().into_iter().flatten();
    let lacks_one = |whole: &str| {
        whole.match_indices('\'').any(|(at, _)| [&whole[..at], &whole[at + 1..]].concat() == word)
    };
    let short = next().find(|whole| whole.replace('\'', "") == word);
    let long = next().find(|whole| lacks_one(whole));
    let replaced = next().skip_while(|key| *key != word).nth(1);
    short.or(long).or(replaced).map_or(word.clone(), str::to_owned)
}

/// A sign beside a space is removed, any other becomes a space; with a comma between digits, all signs are
/// removed. Full stops are removed unless a digit follows.
fn without_punctuation(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let digit = |at: usize| characters.get(at).is_some_and(char::is_ascii_digit);
    let has_number = (1..characters.len()).any(|i| characters[i] == ',' && digit(i - 1) && digit(i + 1));
    let beside_space = |sign: char| {
        characters
            .windows(2)
            .any(|pair| (pair[0] == sign && pair[1] == ' ') || (pair[0] == ' ' && pair[1] == sign))
    };
    let removed: Vec<char> = SIGNS.into_iter().filter(|sign| has_number || beside_space(*sign)).collect();
    let mut changed: Vec<char> = Vec::with_capacity(characters.len());
    changed.extend(characters.iter().filter(|c| !removed.contains(c)).map(|c| match SIGNS.contains(c) {
        true => ' ',
        false => *c,
    }));
    let mut stops = 0;
    let mut kept = String::with_capacity(text.len());
    for (i, c) in changed.iter().enumerate() {
        let goes = *c == '.' && stops < MOST_STOPS && !changed.get(i + 1).is_some_and(char::is_ascii_digit);
        stops += usize::from(goes);
        if !goes {
            kept.push(*c);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    /// Results of the challenge's program, written by `tests/make_vqa_accuracy.py`.
    const FIXTURE: &str = include_str!("../tests/vqa_accuracy.json");

    #[derive(Deserialize)]
    struct Fixture {
        forms: Vec<(String, String)>,
        cases: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Case {
        answer: String,
        people: Vec<String>,
        accuracy: f64,
    }

    #[test]
    fn normal_forms_and_accuracies_are_those_of_the_challenges_program() {
        let fixture: Fixture = serde_json::from_str(FIXTURE).unwrap();
        assert!(fixture.forms.len() > 150 && fixture.cases.len() > 100);
        for (text, form) in &fixture.forms {
            assert_eq!(normalised(text), *form, "{text:?}");
        }
        for case in &fixture.cases {
            // The program prints ten digits.
            let error = (vqa_accuracy(&case.answer, &case.people) - case.accuracy).abs();
            assert!(error < 1e-9, "{:?} {:?}: {error}", case.answer, case.people);
        }
        let between = fixture.cases.iter().filter(|case| case.accuracy > 0.0 && case.accuracy < 1.0).count();
        assert!(between > 10, "{between} cases are between 0 and 1");
    }

    #[test]
    fn one_answer_is_compared_and_several_answers_are_averaged() {
        let asked = |answers: &[&str]| Asked {
            image: bytes::Bytes::new(),
            sha256: [0; 32],
            question: "how many?".into(),
            answers: answers.iter().map(|text| (*text).to_owned()).collect(),
        };
        let all = [asked(&["Two dogs."]), asked(&["red"]), asked(&["2", "2", "3", "no", "no", "no", "4"])];
        let answers = ["2 dogs", "blue", "two"].map(str::to_owned);
        let scores = score_answers(&answers, &all);
        assert_eq!((scores.questions, scores.accuracy), (3, Some(0.5)));
        // Two of seven agree: 1/3 without one of the two, 2/3 without another answer.
        let expected = (2.0 / 3.0 + 5.0 * 2.0 / 3.0) / 7.0;
        assert!((scores.vqa_accuracy.unwrap() - expected).abs() < 1e-12);
        assert_eq!(score_answers(&[], &[]).accuracy, None);
    }
}
