//! Captions of a committed ledger, as a source of captions: another program may write others when it is asked
//! again, so its captions are judged again and not requested again.

use capfilt_pipeline::model::{CaptionSource, EncodedImage, ModelError, RemoteCaption, RemoteCaptioner};
use capfilt_schemas::ledger::LedgerRow;
use std::collections::HashMap;

/// Captions by the digest of the image. Memory: the texts of one ledger.
struct RecordedCaptions(HashMap<[u8; 32], Vec<RemoteCaption>>);

/// The captions of a ledger's rows.
pub(crate) fn captions_of(rows: &[LedgerRow]) -> CaptionSource {
    let caption = |text: Option<String>| match text {
        Some(text) => RemoteCaption::Text(text),
        None => RemoteCaption::Refused(String::new()),
    };
    let of_row = |row: &LedgerRow| {
        let captions = row.captions().map(|text| caption(text.text.clone()));
        Some((row.image_sha256?, captions.collect::<Vec<_>>())).filter(|(_, captions)| !captions.is_empty())
    };
    CaptionSource::Remote(Box::new(RecordedCaptions(rows.iter().filter_map(of_row).collect())))
}

impl RemoteCaptioner for RecordedCaptions {
    fn caption(
        &mut self,
        images: Vec<EncodedImage>,
        captions: usize,
    ) -> Result<Vec<Vec<RemoteCaption>>, ModelError> {
        let unknown = || vec![RemoteCaption::Refused("it is not in the ledger".to_owned()); captions];
        let of = |image: EncodedImage| self.0.get(&image.key.image_sha256).cloned().unwrap_or_else(unknown);
        Ok(images.into_iter().map(of).collect())
    }
}
