//! Words of a caption, as COCO's evaluation counts them.

/// Endings that the Penn Treebank separates.
const ENDINGS: [&str; 7] = ["n't", "'s", "'m", "'d", "'re", "'ve", "'ll"];

/// The Penn Treebank replaces brackets by names, which are not in COCO's punctuation list, so they count as
/// words.
const BRACKETS: [(char, &str); 6] = [
    ('(', " -lrb- "),
    (')', " -rrb- "),
    ('[', " -lsb- "),
    (']', " -rsb- "),
    ('{', " -lcb- "),
    ('}', " -rcb- "),
];

/// Lower case, with clitics separated ("man's": `man`, `'s`; "can't": `ca`, `n't`) and punctuation dropped.
///
/// COCO's evaluation runs Stanford's tokenizer, a Java program, and drops its punctuation. For captions as
/// people and models write them, the words are the same. Abbreviations with dots ("u.s.") are split here and
/// kept whole there.
pub fn words(caption: &str) -> Vec<String> {
    let mut text = caption.to_lowercase().replace(['\u{2019}', '`'], "'");
    for (bracket, name) in BRACKETS {
        text = text.replace(bracket, name);
    }
    text.split_whitespace().flat_map(pieces).flat_map(|piece| parts(&piece)).collect()
}

/// Parts of a word between punctuation.
fn pieces(word: &str) -> Vec<String> {
    if BRACKETS.iter().any(|(_, name)| name.trim() == word) {
        return vec![word.to_owned()];
    }
    let characters: Vec<char> = word.chars().collect();
    let is_digit = |i: usize| characters.get(i).is_some_and(char::is_ascii_digit);
    // Dots and commas stay within numbers: 1,000 and 3.5.
    let stays = |i: usize| match characters[i] {
        '.' | ',' | ':' => i > 0 && is_digit(i - 1) && is_digit(i + 1),
        c => c.is_alphanumeric() || "'-&%$#@/*".contains(c),
    };
    let left: String = (0..characters.len()).map(|i| if stays(i) { characters[i] } else { ' ' }).collect();
    left.split_whitespace().map(|piece| piece.trim_matches('-').to_owned()).collect()
}

/// A word and its clitic.
fn parts(piece: &str) -> Vec<String> {
    let is_ending = ENDINGS.contains(&piece);
    // Quotation marks around words are not clitics.
    let piece = if is_ending || piece.starts_with('-') { piece } else { piece.trim_matches('\'') };
    let ending = ENDINGS.iter().find(|ending| piece.ends_with(*ending) && piece.len() > ending.len());
    let (word, ending) = piece.split_at(ending.map_or(piece.len(), |ending| piece.len() - ending.len()));
    [word, ending].into_iter().filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_lower_case_without_punctuation_and_with_clitics_apart() {
        let cases = [
            ("A Man, riding a wave.", "a man riding a wave"),
            ("The dog's \"toy\" isn't here!", "the dog 's toy is n't here"),
            (
                "a black-and-white photo (old) of 1,000 birds...",
                "a black-and-white photo -lrb- old -rrb- of 1,000 birds",
            ),
            ("'quoted' words; they're -- fine", "quoted words they 're fine"),
            ("", ""),
            (" ... ", ""),
        ];
        for (caption, expected) in cases {
            assert_eq!(words(caption).join(" "), expected, "{caption}");
        }
    }
}
