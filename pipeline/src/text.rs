//! What the filter sees of a text: BLIP's caption cleaning, and which texts it can judge at all.

/// BLIP's `pre_caption`: lower case; each of `. ! " ( ) * # : ; ~` becomes a space; runs of white space become one space;
/// the ends are trimmed; at most `max_words` words are kept. Commas, apostrophes, hyphens, `?` and digits stay.
pub fn pre_caption(text: &str, max_words: usize) -> String {
    let lower = text.to_lowercase();
    let spaced: String = lower.chars().map(|c| if ".!\"()*#:;~".contains(c) { ' ' } else { c }).collect();
    let mut cleaned = String::with_capacity(spaced.len());
    let mut run = 0;
    for c in spaced.chars() {
        // A single tab or newline stays what it is; only runs of two or more become a space.
        run = if c.is_whitespace() { run + 1 } else { 0 };
        match run {
            0 | 1 => cleaned.push(c),
            2 => {
                cleaned.pop();
                cleaned.push(' ');
            }
            _ => {}
        }
    }
    let trimmed = cleaned.trim_end_matches('\n').trim_matches(' ');
    trimmed.split(' ').take(max_words).collect::<Vec<_>>().join(" ")
}

/// Whether an uncased English model can judge a cleaned text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgeable {
    Yes,
    /// Nothing but white space and punctuation is left.
    Empty,
    /// There are letters, but none of them Latin, and no digits: every word would be `[UNK]`.
    UnsupportedScript,
}

pub fn judgeable(cleaned: &str) -> Judgeable {
    // Accented Latin letters count: the tokenizer strips their accents.
    let is_latin = |c: char| c.is_ascii_alphanumeric() || ('\u{c0}'..='\u{24f}').contains(&c) && c.is_alphabetic();
    if cleaned.chars().any(is_latin) {
        Judgeable::Yes
    } else if cleaned.chars().any(char::is_alphanumeric) {
        Judgeable::UnsupportedScript
    } else {
        Judgeable::Empty
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captions_are_cleaned_as_blip_does() {
        let cases = [
            ("A Dog.", "a dog"),
            ("  Two   \t dogs!!! (running)\n", "two dogs running"),
            ("don't stop, well-known? 42", "don't stop, well-known? 42"),
            ("#1 \"best\" *photo* ~ here: now;", "1 best photo here now"),
            ("...", ""),
        ];
        for (text, cleaned) in cases {
            assert_eq!(pre_caption(text, 30), cleaned, "{text:?}");
        }
        assert_eq!(pre_caption("one two three four", 3), "one two three");
    }

    #[test]
    fn a_text_without_a_latin_letter_or_digit_is_not_called_noise() {
        assert_eq!(judgeable("a dog"), Judgeable::Yes);
        assert_eq!(judgeable("café"), Judgeable::Yes);
        assert_eq!(judgeable("2024"), Judgeable::Yes);
        assert_eq!(judgeable("собака"), Judgeable::UnsupportedScript);
        assert_eq!(judgeable("狗"), Judgeable::UnsupportedScript);
        assert_eq!(judgeable(", - '"), Judgeable::Empty);
        assert_eq!(judgeable(""), Judgeable::Empty);
    }
}
