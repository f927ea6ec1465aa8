//! Cleaning of texts for the models, and the decision which texts can be judged.

/// BLIP's caption cleaning: lower case, `. ! " ( ) * # : ; ~` to spaces, runs of white space to one space,
/// the first `max_words` words. Commas, apostrophes, hyphens, question marks and digits stay.
///
/// Applied to the models' input only; the ledger keeps the original text.
pub fn pre_caption(text: &str, max_words: usize) -> String {
    let begin = &text[..text.floor_char_boundary(BEGIN_BYTES)];
    if begin.len() < text.len() {
        // Text after the first `max_words` words cannot change the result.
        let words = cleaned(begin, max_words + 1);
        if words.split(' ').count() > max_words {
            return words.split(' ').take(max_words).collect::<Vec<_>>().join(" ");
        }
    }
    cleaned(text, max_words)
}

/// BLIP's cleaning of questions: lower case, the same signs removed without a space in their place, spaces at
/// the end removed, the first `max_words` words. Runs of spaces stay, as the tokenizer drops them.
pub fn pre_question(question: &str, max_words: usize) -> String {
    let lowered = question.to_lowercase();
    let kept: String = lowered.chars().filter(|c| !SIGNS.contains(*c)).collect();
    kept.trim_end_matches(' ').split(' ').take(max_words).collect::<Vec<_>>().join(" ")
}

/// Number of words that BLIP's VQA keeps of a question.
pub const QUESTION_WORDS: usize = 50;

/// Number of words that BLIP's NLVR2 keeps of a statement, after [`pre_caption`]'s cleaning.
pub const STATEMENT_WORDS: usize = 40;

/// Signs that the cleaning removes.
const SIGNS: &str = ".!\"()*#:;~";

/// Bytes at the start of a text that nearly always contain the first words: a text as long as a book need not
/// be cleaned as a whole.
const BEGIN_BYTES: usize = 8 << 10;

fn cleaned(text: &str, max_words: usize) -> String {
    let lowered = text.to_lowercase();
    let spaced = lowered.chars().map(|c| if SIGNS.contains(c) { ' ' } else { c });
    let collapsed = collapse(spaced);
    let trimmed = collapsed.trim_end_matches('\n').trim_matches(' ');
    trimmed.split(' ').take(max_words).collect::<Vec<_>>().join(" ")
}

/// Replaces two or more white-space characters by one space. A single one stays, also a tab or a line break:
/// the reference's pattern needs two, and the tokenizer treats all of them as spaces.
fn collapse(text: impl Iterator<Item = char>) -> String {
    let mut collapsed = String::new();
    let mut blanks = 0;
    for c in text {
        blanks = if is_blank(c) { blanks + 1 } else { 0 };
        match blanks {
            0 | 1 => collapsed.push(c),
            2 => {
                collapsed.pop();
                collapsed.push(' ');
            }
            _ => {}
        }
    }
    collapsed
}

/// White space as in Python: Unicode's, and the four ASCII separators.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}')
}

/// Whether an uncased English model can judge a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgeable {
    /// The text has letters or digits that the model can read.
    Yes,
    /// Only white space, punctuation and symbols are left after cleaning.
    Empty,
    /// The text has letters, but none of them Latin, and no digits. The vocabulary has a few hundred foreign
    /// letters, so the text would get tokens and a score, but the score would be meaningless.
    UnsupportedScript,
}

/// `cleaned` is the result of [`pre_caption`].
pub fn judgeable(cleaned: &str) -> Judgeable {
    if cleaned.chars().any(is_readable) {
        Judgeable::Yes
    } else if cleaned.chars().any(char::is_alphanumeric) {
        Judgeable::UnsupportedScript
    } else {
        Judgeable::Empty
    }
}

/// A Latin letter or a digit; the tokenizer strips accents, so `é` counts as `e`.
fn is_readable(c: char) -> bool {
    let latin_block = matches!(c, '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}');
    c.is_ascii_alphanumeric() || latin_block && c.is_alphabetic()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleaning_follows_the_reference_on_its_edge_cases() {
        // (text, result of Python's `re` and `str` with the rule above)
        let cases = [
            ("A Dog (brown) runs!", "a dog brown runs"),
            ("Photo: \"Sunset\" #beach ~ *wow*; ok.", "photo sunset beach wow ok"),
            ("don't stop, well-known? 24/7", "don't stop, well-known? 24/7"),
            ("one\ttab\nand line", "one\ttab\nand line"),
            ("two\t\nblanks", "two blanks"),
            ("line break\n", "line break"),
            ("\n\n leading", "leading"),
            ("\tleading tab", "\tleading tab"),
            ("no\u{a0}\u{a0}break", "no break"),
            ("a\u{1c}\u{1d}b", "a b"),
            ("ÉCOLE İstanbul ΟΔΟΣ", "école i\u{307}stanbul οδος"),
            ("...", ""),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(pre_caption(text, 30), expected, "{text:?}");
        }
    }

    #[test]
    fn cleaning_keeps_the_first_words() {
        assert_eq!(pre_caption("one two. three four", 3), "one two three");
        assert_eq!(pre_caption("one two", 3), "one two");
        assert_eq!(pre_caption("one two", 0), "");
    }

    #[test]
    fn a_long_text_is_cleaned_as_if_all_of_it_were_looked_at() {
        for text in ["Red Σ.", "x", "é ", "one\ttab\n", "  (a)  "] {
            let long = text.repeat(3 * BEGIN_BYTES / text.len());
            for max_words in [0, 1, 30, 3 * BEGIN_BYTES] {
                assert_eq!(pre_caption(&long, max_words), cleaned(&long, max_words), "{text:?} {max_words}");
            }
        }
    }

    #[test]
    fn questions_lose_signs_without_a_space_and_keep_question_marks() {
        assert_eq!(pre_question("What's \"on\" the (T.V.)?  ", 50), "what's on the tv?");
        assert_eq!(pre_question("a  b c", 2), "a ");
        assert_eq!(pre_question("", 50), "");
    }

    #[test]
    fn cleaning_twice_changes_nothing() {
        for text in ["A (b)  c.", "x\n", " ~ y ~ ", "ΟΔΟΣ!"] {
            let once = pre_caption(text, 30);
            assert_eq!(pre_caption(&once, 30), once);
        }
    }

    #[test]
    fn a_text_is_judgeable_with_one_latin_letter_or_digit() {
        let cases = [
            ("a dog", Judgeable::Yes),
            ("2024", Judgeable::Yes),
            ("école", Judgeable::Yes),
            ("москва 7", Judgeable::Yes),
            ("", Judgeable::Empty),
            (" \n", Judgeable::Empty),
            ("собака", Judgeable::UnsupportedScript),
            ("犬", Judgeable::UnsupportedScript),
            (", - '", Judgeable::Empty),
            ("×🐶", Judgeable::Empty),
            ("tiếng việt", Judgeable::Yes),
        ];
        for (text, expected) in cases {
            assert_eq!(judgeable(text), expected, "{text:?}");
        }
    }
}
