//! Records of JSON Lines and CSV files, in order.
//!
//! Planning and reading use the same walk, so they count the same records. CSV is cut and parsed as the `csv`
//! crate does it: quoted values may have commas and line ends.

use crate::{PinnedObject, StoreError, window::Ranges, window::Window};
use bytes::{Bytes, BytesMut};
use capfilt_schemas::plan::RecordFormat;
use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use std::ops::Range;

/// Largest record whose bytes are kept.
pub const RECORD_BYTES: usize = 16 << 20;

/// Byte order mark with which some programs begin UTF-8 files.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Offset in the file.
    pub at: u64,
    /// The record with its line end, and for CSV with blank lines before it; only the first [`RECORD_BYTES`]
    /// of a longer record.
    pub bytes: Bytes,
    /// Whether the record is longer.
    pub is_cut: bool,
}

/// Walk over the records of a part of an object that begins and ends between records.
pub struct RecordStream {
    window: Window,
    piece: Bytes,
    piece_bytes: u64,
    /// `None`: a record is a line.
    csv: Option<Box<Reader>>,
}

impl RecordStream {
    /// `piece_bytes` are read at a time, from 1 MiB on with the next piece ahead.
    pub fn new(object: PinnedObject, part: Range<u64>, format: RecordFormat, piece_bytes: u64) -> Self {
        let window = Window::new(Ranges::Object(object), part, piece_bytes);
        let csv = format.separator().map(|separator| Box::new(reader(separator)));
        Self { window, piece: Bytes::new(), piece_bytes, csv }
    }

    /// The next record; blank lines are skipped. `None` at the end.
    ///
    /// # Errors
    /// The store fails.
    pub async fn next(&mut self) -> Result<Option<Record>, StoreError> {
        let mut found = Growing::at(self.at());
        loop {
            if self.piece.is_empty() {
                self.piece = self.window.take(self.piece_bytes).await?;
            }
            let is_end = self.piece.is_empty();
            let (taken, is_over) = self.scan();
            found.add(&self.piece.split_to(taken));
            if is_over || is_end {
                match found.is_blank() {
                    false => return Ok(Some(found.record())),
                    true if is_end => return Ok(None),
                    true => found = Growing::at(self.at()),
                }
            }
        }
    }

    fn at(&self) -> u64 {
        self.window.at() - self.piece.len() as u64
    }

    /// Bytes of the piece that belong to the record, and whether they end it. An empty piece is the end of
    /// the file.
    fn scan(&mut self) -> (usize, bool) {
        match &mut self.csv {
            None => {
                let end = self.piece.iter().position(|byte| *byte == b'\n');
                (end.map_or(self.piece.len(), |end| end + 1), end.is_some())
            }
            Some(csv) => scan_csv(csv, &self.piece),
        }
    }
}

fn reader(separator: u8) -> Reader {
    ReaderBuilder::new().delimiter(separator).build()
}

fn scan_csv(csv: &mut Reader, piece: &[u8]) -> (usize, bool) {
    let (mut values, mut ends) = ([0; 4096], [0; 64]);
    let mut taken = 0;
    loop {
        let (result, read, _, _) = csv.read_record(&piece[taken..], &mut values, &mut ends);
        taken += read;
        match result {
            ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {}
            ReadRecordResult::InputEmpty => return (taken, false),
            ReadRecordResult::Record | ReadRecordResult::End => return (taken, true),
        }
    }
}

/// A record whose end is not found yet.
struct Growing {
    at: u64,
    bytes: BytesMut,
    length: usize,
}

impl Growing {
    fn at(at: u64) -> Self {
        Self { at, bytes: BytesMut::new(), length: 0 }
    }

    fn add(&mut self, bytes: &[u8]) {
        let room = RECORD_BYTES - self.bytes.len();
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.length += bytes.len();
    }

    fn is_blank(&self) -> bool {
        let bytes = self.bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&self.bytes);
        bytes.iter().all(u8::is_ascii_whitespace) && self.length == self.bytes.len()
    }

    fn record(self) -> Record {
        let is_cut = self.length > self.bytes.len();
        Record { at: self.at, bytes: self.bytes.freeze(), is_cut }
    }
}

/// The record's bytes without a byte order mark.
pub fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes)
}

/// Values of each record of separated values in a memory; blank lines are skipped.
pub fn csv_rows(text: &[u8], separator: u8) -> impl Iterator<Item = Vec<Vec<u8>>> {
    let (mut csv, mut rest) = (reader(separator), text);
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let (taken, _) = scan_csv(&mut csv, rest);
            let (record, others) = rest.split_at(taken.max(1).min(rest.len()));
            rest = others;
            if !without_mark(record).iter().all(u8::is_ascii_whitespace) {
                return Some(csv_values(record, separator));
            }
        }
        None
    })
}

/// Values of a record of separated values.
pub fn csv_values(record: &[u8], separator: u8) -> Vec<Vec<u8>> {
    let record = without_mark(record);
    // Values are no longer than the record, and each but the last has a separator after it.
    let separators = record.iter().filter(|byte| **byte == separator).count();
    let (mut values, mut ends) = (vec![0; record.len() + 1], vec![0; separators + 2]);
    let mut csv = reader(separator);
    let (result, read, mut written, mut count) = csv.read_record(record, &mut values, &mut ends);
    if result == ReadRecordResult::InputEmpty {
        // The end of the input ends a record without a line end.
        let (_, _, more, others) =
            csv.read_record(&record[read..], &mut values[written..], &mut ends[count..]);
        (written, count) = (written + more, count + others);
    }
    values.truncate(written);
    let starts = [0].into_iter().chain(ends[..count].iter().copied());
    starts.zip(&ends[..count]).map(|(start, end)| values[start..*end].to_vec()).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::Location;
    use capfilt_schemas::plan::InputFile;

    async fn records(text: &str, format: RecordFormat, piece_bytes: u64) -> Vec<(u64, String)> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), text).unwrap();
        let input = Location::open(folder.path().to_str().unwrap()).unwrap();
        let bytes = text.len() as u64;
        let file = InputFile { path: "file".to_owned(), etag: String::new(), bytes };
        let object = PinnedObject::new(&input, &file);
        let mut stream = RecordStream::new(object, 0..bytes, format, piece_bytes);
        let mut found = Vec::new();
        while let Some(record) = stream.next().await.unwrap() {
            assert!(!record.is_cut);
            found.push((record.at, String::from_utf8(record.bytes.to_vec()).unwrap()));
        }
        found
    }

    fn texts(records: &[(u64, String)]) -> Vec<&str> {
        records.iter().map(|(_, text)| text.as_str()).collect()
    }

    #[tokio::test]
    async fn lines_and_quoted_values_are_whole_in_pieces_of_any_size() {
        let lines = "\u{feff}{\"a\":1}\n\n  \r\n{\"b\":2}\r\n{\"c\":3}";
        let csv = "a,b\r\n1,\"x\ny, \"\"z\"\"\"\n\n2,mid \"quote\nlast,";
        for piece_bytes in [1, 2, 3, 7, 1000] {
            let found = records(lines, RecordFormat::JsonLines, piece_bytes).await;
            assert_eq!(texts(&found), ["\u{feff}{\"a\":1}\n", "{\"b\":2}\r\n", "{\"c\":3}"]);
            assert!(found.iter().all(|(at, text)| lines[*at as usize..].starts_with(text.as_str())));
            let found = records(csv, RecordFormat::Csv, piece_bytes).await;
            let values: Vec<Vec<Vec<u8>>> =
                found.iter().map(|(_, record)| csv_values(record.as_bytes(), b',')).collect();
            let expected = [["a", "b"], ["1", "x\ny, \"z\""], ["2", "mid \"quote"], ["last", ""]];
            let expected: Vec<Vec<Vec<u8>>> =
                expected.map(|row| row.map(|value| value.as_bytes().to_vec()).to_vec()).to_vec();
            assert_eq!(values, expected, "{piece_bytes}: {found:?}");
            assert_eq!(csv_rows(csv.as_bytes(), b',').collect::<Vec<_>>(), expected);
        }
        assert!(records("", RecordFormat::Csv, 10).await.is_empty());
        assert!(records("\n\r\n \n", RecordFormat::JsonLines, 10).await.is_empty());
    }

    #[tokio::test]
    async fn a_record_over_the_limit_is_cut_and_the_next_one_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("{}\n{{}}\n", "x".repeat(RECORD_BYTES + 5));
        std::fs::write(folder.path().join("file"), &text).unwrap();
        let input = Location::open(folder.path().to_str().unwrap()).unwrap();
        let bytes = text.len() as u64;
        let file = InputFile { path: "file".to_owned(), etag: String::new(), bytes };
        let object = PinnedObject::new(&input, &file);
        let mut stream = RecordStream::new(object, 0..bytes, RecordFormat::JsonLines, 1 << 20);
        let first = stream.next().await.unwrap().unwrap();
        assert!(first.is_cut && first.bytes.len() == RECORD_BYTES);
        let second = stream.next().await.unwrap().unwrap();
        assert_eq!((second.bytes.as_ref(), second.at), (b"{}\n".as_ref(), bytes - 3));
        assert!(stream.next().await.unwrap().is_none());
    }
}
