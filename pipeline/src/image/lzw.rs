//! LZW of GIF and TIFF, as a reader.

use std::borrow::Cow;
use std::io::{self, Read};
use weezl::{LzwError, LzwStatus, decode::Configuration, decode::Decoder};

/// Steps of the decoder that neither take nor give a byte: it may still consume some codes that it has read
/// before.
const MOST_IDLE_STEPS: usize = 64;

pub(super) struct Lzw<'a> {
    stored: Cow<'a, [u8]>,
    at: usize,
    decoder: Decoder,
    /// A code that cannot be: nothing after it is read, since the decoder would begin afresh there.
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
                // "No progress" is also said where bytes were written from codes that had been read before.
                Ok(LzwStatus::Ok | LzwStatus::NoProgress) => {}
                Ok(LzwStatus::Done) => break,
                Err(error) => self.failure = Some(error),
            }
        }
        // What came before an error is handed out first.
        match &self.failure {
            Some(error) if written == 0 && !into.is_empty() => Err(io::Error::other(error.to_string())),
            _ => Ok(written),
        }
    }
}
