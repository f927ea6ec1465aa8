//! Reader over a sequence of slices: a decoder reads the relevant parts of a file without a copy of the file.

use std::io::{self, BufRead, Read, Seek, SeekFrom};

/// The concatenation of some byte strings.
pub(super) struct Pieces<'a> {
    pieces: Vec<&'a [u8]>,
    /// Position in the concatenation, in bytes.
    at: usize,
}

impl<'a> Pieces<'a> {
    pub(super) fn new(pieces: Vec<&'a [u8]>) -> Self {
        Self { pieces, at: 0 }
    }

    /// Rest of the current piece. Empty only at the end.
    fn rest(&self) -> &'a [u8] {
        let mut skip = self.at;
        for piece in &self.pieces {
            if skip < piece.len() {
                return &piece[skip..];
            }
            skip -= piece.len();
        }
        &[]
    }
}

impl BufRead for Pieces<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Ok(self.rest())
    }

    fn consume(&mut self, amount: usize) {
        self.at += amount;
    }
}

impl Read for Pieces<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.rest().read(into)?;
        self.at += length;
        Ok(length)
    }
}

impl Seek for Pieces<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let length: usize = self.pieces.iter().map(|piece| piece.len()).sum();
        let at = match to {
            SeekFrom::Start(at) => i64::try_from(at).ok(),
            SeekFrom::End(by) => (length as i64).checked_add(by),
            SeekFrom::Current(by) => (self.at as i64).checked_add(by),
        };
        let at = at.and_then(|at| usize::try_from(at).ok()).filter(|at| *at <= length);
        self.at = at.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        Ok(self.at as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_read_and_seek_as_their_concatenation_does() {
        let mut pieces = Pieces::new(vec![b"abc", b"", b"de"]);
        let mut all = Vec::new();
        pieces.read_to_end(&mut all).unwrap();
        assert_eq!(all, b"abcde");
        for (at, rest) in [(0, "abcde"), (2, "cde"), (3, "de"), (5, "")] {
            let mut read = String::new();
            assert_eq!(pieces.seek(SeekFrom::Start(at)).unwrap(), at);
            pieces.read_to_string(&mut read).unwrap();
            assert_eq!(read, rest);
        }
        assert_eq!(pieces.seek(SeekFrom::End(-1)).unwrap(), 4);
        assert_eq!(pieces.seek(SeekFrom::Current(-4)).unwrap(), 0);
        assert!(pieces.seek(SeekFrom::Current(-1)).is_err());
    }
}
