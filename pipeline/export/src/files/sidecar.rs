//! Metadata of a sample beside its image: the same fields with the same types in every sample, without null.

use crate::{
    arrange::Sample,
    caption::Caption,
    kinds::{Kind, Kinds},
};
use capfilt_schemas::export::{NO_COSINE, NO_ITM};
use serde_json::{Map, Value, json};

/// Fields of every record, beside the pass-through columns.
pub(super) const FIELDS: [&str; 9] =
    ["key", "url", "caption", "source", "itm", "cosine", "captions", "width", "height"];

/// The `.json` of a WebDataset sample, and the entry of a list.
pub(super) fn record(sample: &Sample, kinds: &Kinds) -> Map<String, Value> {
    let mut record: Map<String, Value> =
        kinds.iter().map(|(name, kind)| (name.clone(), kind.value(sample.more.get(name)))).collect();
    let captions: Vec<Value> = sample.captions.iter().map(caption).collect();
    let ours = [
        json!(sample.key.as_deref().unwrap_or_default()),
        json!(url(sample).unwrap_or_default()),
        json!(sample.caption.text),
        json!(sample.caption.source),
        json!(sample.caption.itm.unwrap_or(NO_ITM)),
        json!(sample.caption.cosine.unwrap_or(NO_COSINE)),
        json!(captions),
        json!(sample.image.width),
        json!(sample.image.height),
    ];
    record.extend(FIELDS.map(str::to_owned).into_iter().zip(ours));
    record
}

/// URL of the image, if the input has it.
pub(super) fn url(sample: &Sample) -> Option<String> {
    let url = sample.more.get("url")?;
    Kind::Text.value(Some(url)).as_str().map(str::to_owned)
}

fn caption(caption: &Caption) -> Value {
    json!({
        "text": caption.text,
        "source": caption.source,
        "itm": caption.itm.unwrap_or(NO_ITM),
        "cosine": caption.cosine.unwrap_or(NO_COSINE),
    })
}
