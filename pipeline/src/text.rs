//! What is done to a text before a model sees it, and which texts the model can judge at all.

/// BLIP's caption cleaning: lower case, `. ! " ( ) * # : ; ~` to spaces, runs of white space to one space,
/// the first `max_words` words. Commas, apostrophes, hyphens, question marks and digits stay.
///
/// It is a step of its own, applied to what the model is shown; the ledger keeps the text as it came.
pub fn pre_caption(text: &str, max_words: usize) -> String {
    let begin = &text[..text.floor_char_boundary(BEGIN_BYTES)];
    if begin.len() < text.len() {
        // What comes after a word that is not among the first is of no concern to these.
        let words = cleaned(begin, max_words + 1);
        if words.split(' ').count() > max_words {
            return words.split(' ').take(max_words).collect::<Vec<_>>().join(" ");
        }
    }
    cleaned(text, max_words)
}

/// Bytes of a text in which the first words nearly always are: nobody need look at all of one that fills a
/// book.
const BEGIN_BYTES: usize = 8 << 10;

fn cleaned(text: &str, max_words: usize) -> String {
    let lowered = text.to_lowercase();
    let spaced = lowered.chars().map(|c| if ".!\"()*#:;~".contains(c) { ' ' } else { c });
    let collapsed = collapse(spaced);
    let trimmed = collapsed.trim_end_matches('\n').trim_matches(' ');
    trimmed.split(' ').take(max_words).collect::<Vec<_>>().join(" ")
}

/// Two or more white spaces become one space. One alone stays what it is, a tab or a line break too: the
/// reference's pattern asks for two, and the tokenizer does not care.
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

/// Python's idea of white space: Unicode's, and the four ASCII separators.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}')
}

/// Whether an English model that does not tell case can say something about a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgeable {
    Yes,
    /// Nothing but white space, punctuation and symbols is left after cleaning.
    Empty,
    /// There are letters, but none of them Latin, and no digits. The vocabulary has a few hundred foreign
    /// letters, so such a text would get tokens and a score, but the score would say nothing.
    UnsupportedScript,
}

/// `cleaned`: what [`pre_caption`] made of the text.
pub fn judgeable(cleaned: &str) -> Judgeable {
    if cleaned.chars().any(is_readable) {
        Judgeable::Yes
    } else if cleaned.chars().any(char::is_alphanumeric) {
        Judgeable::UnsupportedScript
    } else {
        Judgeable::Empty
    }
}

/// A Latin letter or a digit; the tokenizer strips accents, so `é` is as good as `e`.
fn is_readable(c: char) -> bool {
    let latin_block = matches!(c, '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}');
    c.is_ascii_alphanumeric() || latin_block && c.is_alphabetic()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleaning_follows_the_reference_on_its_edge_cases() {
        // (text, what Python's `re` and `str` make of it by the rule above)
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
