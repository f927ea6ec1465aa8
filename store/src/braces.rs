//! Brace patterns in a URL, as shells and webdataset have them: `{000..999}` and `{a,b}`.

use crate::StoreError;

/// Largest number of names of one pattern. Planning makes a request for each.
const NAMES: usize = 100_000;

/// Names of a URL with braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Braces {
    /// The end of the URL, from the name with the first brace on.
    pub pattern: String,
    /// Names below the folder, in the order of the pattern.
    pub names: Vec<String>,
}

/// The folder before the first brace, and the names below it; `None` for a URL without a pattern.
pub(crate) fn expand(url: &str) -> Result<Option<(String, Braces)>, StoreError> {
    let Some(open) = first_group(url).map(|(open, ..)| open) else { return Ok(None) };
    let folder = url[..open].rfind('/').map_or(0, |slash| slash + 1);
    let (folder, pattern) = url.split_at(folder);
    let names = names(pattern).ok_or_else(|| {
        StoreError::Refused(format!("{url}: the braces give more than {NAMES} names; split the input"))
    })?;
    let folder = if folder.is_empty() { "./" } else { folder };
    Ok(Some((folder.to_owned(), Braces { pattern: pattern.to_owned(), names })))
}

/// All names of a pattern; `None` if there are too many.
fn names(pattern: &str) -> Option<Vec<String>> {
    let Some((open, close, choices)) = first_group(pattern) else { return Some(vec![pattern.to_owned()]) };
    let rest = names(&pattern[close + 1..])?;
    let choices = choices?;
    if choices.len().checked_mul(rest.len())? > NAMES {
        return None;
    }
    let with = |choice: &String| -> Vec<String> {
        rest.iter().map(|rest| format!("{}{choice}{rest}", &pattern[..open])).collect()
    };
    Some(choices.iter().flat_map(with).collect())
}

/// The first group of a text: the places of its braces, and its choices (`None` if there are too many).
/// Braces without a range or a comma are a part of the name.
fn first_group(text: &str) -> Option<(usize, usize, Option<Vec<String>>)> {
    let mut from = 0;
    loop {
        let open = from + text[from..].find('{')?;
        let close = open + text[open..].find('}')?;
        let inner = &text[open + 1..close];
        if let Some(choices) = range(inner) {
            return Some((open, close, choices));
        }
        if inner.contains(',') && !inner.contains('{') {
            return Some((open, close, Some(inner.split(',').map(str::to_owned).collect())));
        }
        from = open + 1;
    }
}

/// Numbers of `first..last`, padded with zeros to the longer of the two if either begins with a zero.
#[allow(clippy::option_option)] // no range; a range with too many numbers
fn range(inner: &str) -> Option<Option<Vec<String>>> {
    let (first, last) = inner.split_once("..")?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(first) || !digits(last) {
        return None;
    }
    let (start, end): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    let is_padded = |text: &str| text.len() > 1 && text.starts_with('0');
    let padded = is_padded(first) || is_padded(last);
    let width = if padded { first.len().max(last.len()) } else { 0 };
    if start.abs_diff(end) >= NAMES as u64 {
        return Some(None);
    }
    let name = |number: u64| format!("{number:0width$}");
    Some(Some(match start <= end {
        true => (start..=end).map(name).collect(),
        false => (end..=start).rev().map(name).collect(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str) -> Option<(String, Vec<String>)> {
        expand(url).unwrap().map(|(folder, braces)| (folder, braces.names))
    }

    #[test]
    fn braces_give_numbers_and_choices_below_the_folder_before_them() {
        let (folder, names) = of("s3://b/web/cc12m-{000..012}.tar").unwrap();
        assert_eq!((folder.as_str(), names.len()), ("s3://b/web/", 13));
        assert_eq!((names[0].as_str(), names[12].as_str()), ("cc12m-000.tar", "cc12m-012.tar"));
        assert_eq!(of("/d/{9..11}.tar").unwrap().1, ["9.tar", "10.tar", "11.tar"]);
        assert_eq!(of("/d/{2..0}.tar").unwrap().1, ["2.tar", "1.tar", "0.tar"]);
        let both = of("/d/{a,b}/{0..1}.tar").unwrap();
        assert_eq!(
            both,
            ("/d/".to_owned(), ["a/0.tar", "a/1.tar", "b/0.tar", "b/1.tar"].map(str::to_owned).into())
        );
    }

    #[test]
    fn other_braces_are_a_part_of_the_name_and_vast_patterns_are_refused() {
        for plain in ["/d/a.tar", "/d/{a}.tar", "/d/{a..b}.tar", "/d/{1..}.tar", "/d/{0..9", "/d/}{"] {
            assert_eq!(of(plain), None, "{plain}");
        }
        for vast in ["/d/{0..999999999999}.tar", "/d/{0..999}{0..999}.tar"] {
            assert!(expand(vast).is_err(), "{vast}");
        }
    }
}
