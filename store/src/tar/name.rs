//! Names of members, by the rules of the webdataset library (`tar_file_iterator`, `base_plus_ext`).

/// Whether webdataset skips a member as metadata: `__name__`, or a path that begins with `__name__/`.
pub fn is_metadata(name: &[u8]) -> bool {
    let Some(rest) = name.strip_prefix(b"__") else { return false };
    let first = name.split(|byte| *byte == b'/').next().unwrap_or_default();
    let ends = first.len() >= 4 && first.ends_with(b"__");
    // webdataset's second rule is a regular expression that `a__` within the first part does not end.
    !rest.is_empty() && ends
}

/// Key and suffix of a member: the name to the first dot of its last part, and the rest in lower case. `None`
/// for a name that belongs to no sample.
///
/// As `^((?:.*/|)[^.]+)[.]([^/]*)$`, whose first group may end with a slash: `a/.jpg` has the key `a/`.
pub fn split(name: &[u8]) -> Option<(Vec<u8>, String)> {
    let base = name.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    let dot = base + name[base..].iter().position(|byte| *byte == b'.')?;
    if dot == base {
        let folder = base.checked_sub(1)?;
        let start = name[..folder].iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        if name[start..folder].contains(&b'.') {
            return None;
        }
    }
    Some((name[..dot].to_vec(), String::from_utf8_lossy(&name[dot + 1..]).to_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_suffixes_are_those_of_webdataset() {
        let of = |name: &str| {
            split(name.as_bytes()).map(|(key, suffix)| (String::from_utf8(key).unwrap(), suffix))
        };
        let is = |key: &str, suffix: &str| Some((key.to_owned(), suffix.to_owned()));
        assert_eq!(of("000.jpg"), is("000", "jpg"));
        assert_eq!(of("a/b.c/000.Seg.JPG"), is("a/b.c/000", "seg.jpg"));
        assert_eq!(of("./000.jpg"), is("./000", "jpg"));
        assert_eq!(of("a/.jpg"), is("a/", "jpg"));
        assert_eq!(of("a."), is("a", ""));
        for none in ["README", "a/b", ".jpg", "a.b/.jpg", "a.b/", ""] {
            assert_eq!(of(none), None, "{none}");
        }
    }

    #[test]
    fn metadata_is_skipped() {
        for name in ["__meta__", "__a__/b.jpg", "____"] {
            assert!(is_metadata(name.as_bytes()), "{name}");
        }
        for name in ["__a", "a__", "__a.jpg", "x/__meta__", "__", "___"] {
            assert!(!is_metadata(name.as_bytes()), "{name}");
        }
    }
}
