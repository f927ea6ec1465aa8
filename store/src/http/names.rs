//! Removes entries from a page of a cloud's listing that no request can name.
//!
//! object_store ends a whole listing at the first key without a valid path: an empty part (`a//b`), a part
//! that is `.` or `..`, a control character. And it takes a folder marker, `train.parquet/`, for an object
//! `train.parquet`. Only the page itself has the original key, so such entries are removed here, before
//! object_store parses the page.

use crate::passed_over::{Passed, PassedOver, escaped};
use object_store::path::Path;
use quick_xml::{
    Reader,
    events::{BytesRef, BytesStart, Event},
};
use std::ops::Range;

/// Suffix of the empty objects that Hadoop's older clients write for a folder.
const FOLDER_MARKER: &str = "_$folder$";

/// One object or common prefix of a page.
#[derive(Debug, Default)]
struct Entry {
    start: usize,
    depth: usize,
    is_prefix: bool,
    name: Vec<u8>,
    bytes: Vec<u8>,
}

/// Part of an entry that is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Name,
    Bytes,
    Other,
}

/// Treatment of an entry.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Kept,
    /// A folder marker.
    Marker,
    Odd(&'static str),
}

/// The page without such entries, which are noted; `None` if there are none.
///
/// A page that is not XML is passed to object_store, which reports the fault.
pub(super) fn without_odd_names(page: &[u8], passed_over: &PassedOver) -> Option<Vec<u8>> {
    // Azure's pages begin with a byte order mark, which the reader removes and does not count.
    let page = page.strip_prefix(b"\xef\xbb\xbf").unwrap_or(page);
    let cuts = cuts(page, passed_over).ok()?;
    let mut rest = Vec::with_capacity(page.len());
    let mut from = 0;
    for cut in &cuts {
        rest.extend_from_slice(&page[from..cut.start]);
        from = cut.end;
    }
    rest.extend_from_slice(&page[from..]);
    (!cuts.is_empty()).then_some(rest)
}

fn cuts(page: &[u8], passed_over: &PassedOver) -> Result<Vec<Range<usize>>, quick_xml::Error> {
    let mut reader = Reader::from_reader(page);
    let (mut cuts, mut depth) = (Vec::new(), 0);
    let (mut entry, mut field) = (None::<Entry>, Field::Other);
    loop {
        let start = usize::try_from(reader.buffer_position()).expect("a page is held in memory");
        match reader.read_event()? {
            Event::Start(tag) => {
                depth += 1;
                match &entry {
                    Some(entry) if depth == entry.depth + 1 => field = field_of(&tag),
                    // In Azure's pages, an object's length is among its properties.
                    Some(_) if tag.local_name().as_ref() == b"Content-Length" => field = Field::Bytes,
                    Some(_) => {}
                    None => entry = entry_of(&tag, start, depth),
                }
            }
            Event::End(_) => {
                field = Field::Other;
                if let Some(ended) = entry.take_if(|entry| entry.depth == depth) {
                    let end = usize::try_from(reader.buffer_position()).expect("a page is held in memory");
                    if is_cut(&ended, passed_over) {
                        cuts.push(ended.start..end);
                    }
                }
                depth -= 1;
            }
            Event::Text(text) => note(entry.as_mut(), field, &text),
            Event::CData(text) => note(entry.as_mut(), field, &text),
            Event::GeneralRef(reference) => note(entry.as_mut(), field, referred(&reference).as_bytes()),
            Event::Eof => return Ok(cuts),
            _ => {}
        }
    }
}

fn entry_of(tag: &BytesStart<'_>, start: usize, depth: usize) -> Option<Entry> {
    let is_prefix = match tag.local_name().as_ref() {
        b"Contents" | b"Blob" => false,
        b"CommonPrefixes" | b"BlobPrefix" => true,
        _ => return None,
    };
    Some(Entry { start, depth, is_prefix, ..Entry::default() })
}

fn field_of(tag: &BytesStart<'_>) -> Field {
    match tag.local_name().as_ref() {
        b"Key" | b"Name" | b"Prefix" => Field::Name,
        b"Size" => Field::Bytes,
        _ => Field::Other,
    }
}

fn note(entry: Option<&mut Entry>, field: Field, text: &[u8]) {
    match (entry, field) {
        (Some(entry), Field::Name) => entry.name.extend_from_slice(text),
        (Some(entry), Field::Bytes) => entry.bytes.extend_from_slice(text),
        _ => {}
    }
}

/// Character of a reference. An unknown reference gives a control character, which no name may contain.
fn referred(reference: &BytesRef<'_>) -> String {
    let by_number = reference.resolve_char_ref().ok().flatten();
    let name: &[u8] = reference;
    let by_name = || match name {
        b"amp" => '&',
        b"lt" => '<',
        b"gt" => '>',
        b"quot" => '"',
        b"apos" => '\'',
        _ => '\0',
    };
    by_number.unwrap_or_else(by_name).to_string()
}

fn is_cut(entry: &Entry, passed_over: &PassedOver) -> bool {
    match judge(entry) {
        Verdict::Kept => false,
        Verdict::Marker => true,
        Verdict::Odd(why) => {
            passed_over.note(Passed {
                name: escaped(&entry.name),
                why: why.to_owned(),
                is_folder: entry.is_prefix,
            });
            true
        }
    }
}

fn judge(entry: &Entry) -> Verdict {
    let Ok(key) = std::str::from_utf8(&entry.name) else { return Verdict::Odd("its name is not UTF-8") };
    let bare = key.strip_suffix('/').unwrap_or(key);
    let is_empty = entry.bytes == b"0";
    if Path::parse(bare).is_ok_and(|path| path.as_ref() == bare) {
        let names_a_folder = bare.len() < key.len() || key.ends_with(FOLDER_MARKER);
        return match (entry.is_prefix, names_a_folder) {
            (true, _) | (false, false) => Verdict::Kept,
            (false, true) if is_empty => Verdict::Marker,
            (false, true) if key.ends_with(FOLDER_MARKER) => Verdict::Kept,
            (false, true) => Verdict::Odd("its name ends with a slash"),
        };
    }
    let why_not = |part: &str| match part {
        "" => Some("its name has an empty part: two slashes in a row, or one at an end"),
        "." | ".." => Some("its name has a part `.` or `..`"),
        part => part.contains(char::is_control).then_some("its name has a control character"),
    };
    Verdict::Odd(bare.split('/').find_map(why_not).unwrap_or("no request can carry its name"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s3(keys: &[(&str, u64)]) -> String {
        let entry = |(key, size): &(&str, u64)| {
            format!("<Contents><Key>{key}</Key><Size>{size}</Size><Owner><ID>a//b</ID></Owner></Contents>")
        };
        let entries: String = keys.iter().map(entry).collect();
        format!(
            "<?xml version=\"1.0\"?>\n<ListBucketResult><Prefix>web//</Prefix>{entries}</ListBucketResult>"
        )
    }

    fn sifted(page: &str) -> (String, Vec<String>) {
        let passed_over = PassedOver::default();
        let rest = without_odd_names(page.as_bytes(), &passed_over);
        let rest = rest.map_or_else(|| page.to_owned(), |rest| String::from_utf8(rest).unwrap());
        (rest, passed_over.take().into_iter().map(|passed| passed.name).collect())
    }

    #[test]
    fn keys_that_no_request_can_name_are_cut_out_of_a_page_and_noted() {
        let odd = [
            ("w//x", 1),
            ("w/./x", 1),
            ("w/../x", 1),
            ("w/&#x7f;x", 1),
            ("w/&#1;", 0),
            ("/w", 1),
            ("w/x/", 3),
        ];
        let sound = [("w/a.parquet", 1), ("w/é&amp;&lt;.parquet", 2), ("w/a b#1", 0)];
        let mixed = s3(&[&sound[..1], &odd, &sound[1..]].concat());
        let (rest, names) = sifted(&mixed);
        assert_eq!(rest, s3(&sound));
        assert_eq!(names, ["/w", "w/../x", "w/./x", "w//x", "w/\\u{1}", "w/\\u{7f}x", "w/x/"]);
        assert_eq!(sifted(&s3(&sound)), (s3(&sound), vec![]));
    }

    #[test]
    fn a_folder_marker_is_neither_an_object_nor_noted() {
        let (rest, names) =
            sifted(&s3(&[("w/", 0), ("w/train.parquet/", 0), ("commits_$folder$", 0), ("w/a", 0)]));
        assert_eq!((rest, names), (s3(&[("w/a", 0)]), vec![]));
    }

    #[test]
    fn common_prefixes_and_azure_s_blobs_are_judged_equally() {
        let prefixes =
            |inner: &str| format!("<R><CommonPrefixes><Prefix>a/</Prefix></CommonPrefixes>{inner}</R>");
        let odd = "<CommonPrefixes><Prefix>a//</Prefix></CommonPrefixes>";
        assert_eq!(sifted(&prefixes(odd)), (prefixes(""), vec!["a//".to_owned()]));
        let blob = |name: &str, size: u64| {
            let properties = format!("<Properties><Content-Length>{size}</Content-Length></Properties>");
            format!("<Blob><Name>{name}</Name>{properties}<Metadata><Name>x//y</Name></Metadata></Blob>")
        };
        let page = |blobs: &[String]| format!("<E><Blobs>{}</Blobs></E>", blobs.concat());
        let (rest, names) = sifted(&page(&[blob("a", 1), blob("b/", 0), blob("c//d", 1)]));
        assert_eq!((rest, names), (page(&[blob("a", 1)]), vec!["c//d".to_owned()]));
        let marked = format!("\u{feff}{}", page(&[blob("a", 1), blob("c//d", 1)]));
        assert_eq!(sifted(&marked).0, page(&[blob("a", 1)]), "a byte order mark shifts the cuts");
    }

    #[test]
    fn a_page_that_is_not_a_listing_is_unchanged() {
        let passed_over = PassedOver::default();
        for page in ["", "<a", "{}", "<R><Contents><Key>a//b"] {
            assert_eq!(without_odd_names(page.as_bytes(), &passed_over), None, "{page}");
        }
    }
}
