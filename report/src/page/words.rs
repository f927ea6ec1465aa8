//! Numbers and hostile texts as a page shows them.

use std::fmt::Write as _;

/// A number with a comma between groups of three digits.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut shown = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// A share of 0 to 1 as a percentage.
pub fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "–".to_owned(), |share| format!("{:.1} %", share * 100.0))
}

/// A share of two numbers as a percentage.
pub fn share(part: u64, whole: u64) -> String {
    percent((whole > 0).then(|| part as f64 / whole as f64))
}

/// A text of at most `most` characters, in which controls that act on a terminal or on the direction of text
/// are escaped. The template escapes markup.
pub fn visible(text: &str, most: usize) -> String {
    let mut shown = String::new();
    for (at, c) in text.chars().enumerate() {
        if at == most {
            write!(shown, "… ({} characters)", count(text.chars().count() as u64)).expect("memory takes it");
            break;
        }
        if acts(c) {
            write!(shown, "\\u{{{:x}}}", u32::from(c)).expect("memory takes it");
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Whether a character does something instead of being shown.
fn acts(c: char) -> bool {
    let directs =
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let is_separator = matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}');
    c.is_control() || directs || is_separator
}

/// A word for a POSIX shell.
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    if word.contains('\'') && !word.contains(['"', '\\', '$', '`', '!']) {
        return format!("\"{word}\"");
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// Seconds for people.
pub fn seconds(seconds: f64) -> String {
    match seconds {
        s if s < 60.0 => format!("{s:.1} s"),
        s if s < 3600.0 => format!("{:.1} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

/// Bytes for people.
pub fn bytes(bytes: u64) -> String {
    match bytes {
        b if b < 1 << 10 => format!("{b} B"),
        b if b < 1 << 20 => format!("{:.1} KiB", b as f64 / f64::from(1 << 10)),
        b if b < 1 << 30 => format!("{:.1} MiB", b as f64 / f64::from(1 << 20)),
        b => format!("{:.1} GiB", b as f64 / f64::from(1 << 30)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_words_quoted() {
        assert_eq!([count(7), count(1234), count(1_234_567)], ["7", "1,234", "1,234,567"]);
        assert_eq!(quoted("s3://b/job-1"), "s3://b/job-1");
        assert_eq!(quoted("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(quoted("source = 'alt'"), r#""source = 'alt'""#);
    }

    #[test]
    fn a_text_acts_on_nothing_and_has_a_bound() {
        assert_eq!(visible("a\u{202e}b\0\u{1b}[2J", 100), r"a\u{202e}b\u{0}\u{1b}[2J");
        assert_eq!(visible(&"x".repeat(10_240), 3), "xxx… (10,240 characters)");
        assert_eq!(visible("שלום", 9), "שלום");
    }
}
