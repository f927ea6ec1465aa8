//! LZW decoding for GIF and TIFF, as a reader.

use std::borrow::Cow;
use std::io::{self, Read};
use weezl::{LzwError, LzwStatus, decode::Configuration, decode::Decoder};

/// Largest number of decoder steps without input and output: the decoder may still consume some codes of its
/// buffer.
const MOST_IDLE_STEPS: usize = 64;

pub(super) struct Lzw<'a> {
    stored: Cow<'a, [u8]>,
    at: usize,
    decoder: Decoder,
    /// An impossible code. Codes after it are not decoded, because the decoder would restart there.
    failure: Option<LzwError>,
}

impl<'a> Lzw<'a> {
    pub(super) fn new(stored: Cow<'a, [u8]>, form: Configuration) -> Self {
        Self { stored, at: 0, decoder: form.with_yield_on_full_buffer(true).build(), failure: None }
    }
}

impl Read for Lzw<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let (mut written, mut idle) = (0, 0);
        while written < into.len() && idle < MOST_IDLE_STEPS && self.failure.is_none() {
            let step = self.decoder.decode_bytes(&self.stored[self.at..], &mut into[written..]);
            self.at += step.consumed_in;
            written += step.consumed_out;
            idle = if step.consumed_in + step.consumed_out > 0 { 0 } else { idle + 1 };
            match step.status {
                // The decoder also returns "no progress" when it wrote bytes from buffered codes.
                Ok(LzwStatus::Ok | LzwStatus::NoProgress) => {}
                Ok(LzwStatus::Done) => break,
                Err(error) => self.failure = Some(error),
            }
        }
        // Bytes before an error are returned first.
        match &self.failure {
            Some(error) if written == 0 && !into.is_empty() => Err(io::Error::other(error.to_string())),
            _ => Ok(written),
        }
    }
}
