//! Summary of an export, for people.

use capfilt_schemas::{
    export::{self as record, DATA, ExportRecord, Format, Per},
    manifest::QuarantinedShard,
};
use capfilt_store::Location;

/// Number of omitted rows that the summary lists; the record lists more.
const NAMED: usize = 3;

/// Text of the summary; the last line is the record's URL.
pub fn summary(made: &ExportRecord, place: &Location) -> String {
    let mut lines = vec![counted(made)];
    lines.extend(left_out(made));
    lines.extend(made.request.sources.iter().filter_map(|source| match source {
        record::Source::Job { url, quarantined, .. } if !quarantined.is_empty() => {
            Some(quarantined_text(url, quarantined))
        }
        _ => None,
    }));
    if made.request.format == Format::Webdataset && !made.files.is_empty() {
        lines.push(open_clip(made, place));
    }
    if !made.files.is_empty() {
        lines.push(place.url_of(record::RECORD));
    }
    lines.join("\n")
}

fn counted(made: &ExportRecord) -> String {
    let counts = &made.counts;
    let bytes: u64 = made.files.iter().map(|file| file.bytes).sum();
    let image_files =
        if counts.images > 0 { format!(" and {} images", counts.images) } else { String::new() };
    let images = match made.request.options.per {
        Per::Image => format!("{} images with ", counts.samples),
        Per::Text => String::new(),
    };
    format!(
        "{images}{} pairs ({} human, {} web, {} synthetic) in {} files{image_files}, {:.1} MB; \
         {} duplicates, {} without image or text",
        counts.written(),
        counts.human,
        counts.web,
        counts.synthetic,
        made.files.len(),
        bytes as f64 / 1e6,
        counts.duplicates,
        counts.unusable,
    )
}

fn left_out(made: &ExportRecord) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(least) = made.request.options.min_itm {
        lines.push(format!(
            "{} texts have a P(match) below {least} and are left out",
            made.counts.below_min_itm
        ));
    }
    if let Some(unmatched) = made.unmatched_exclusions {
        let entries: u64 = made.request.options.exclude.iter().map(|list| list.entries).sum();
        lines.push(format!(
            "{} pairs match the exclusion lists and are left out; of {entries} entries {unmatched} match \
             no row",
            made.counts.excluded
        ));
    }
    if let Some(bits) = made.request.options.dedup_images {
        lines.push(format!(
            "{} pairs have an image within {bits} bits of an earlier image and are left out",
            made.counts.near_duplicates
        ));
    }
    if made.counts.bad_images > 0 {
        lines.push(format!(
            "{} pairs have an image that cannot be decoded and are left out:",
            made.counts.bad_images
        ));
        let named = made.left_out.iter().take(NAMED);
        lines.extend(named.map(|row| format!("  {}, row {}: {}", row.file, row.row, row.why)));
    }
    lines
}

/// Command that starts open_clip with an export.
fn open_clip(made: &ExportRecord, place: &Location) -> String {
    let extension = Format::Webdataset.extension();
    let files = match made.files.len() {
        1 => "00000".to_owned(),
        all => format!("{{00000..{:05}}}", all - 1),
    };
    let url = place.url_of(&format!("{DATA}/pairs-{files}.{extension}"));
    let url = match url.split_once("://") {
        Some(("s3", _)) => format!("pipe:aws s3 cp {url} -"),
        Some(("gs", _)) => format!("pipe:gsutil cat {url}"),
        _ => url,
    };
    format!(
        "open_clip: python -m open_clip_train.main --dataset-type webdataset --train-data '{url}' \
         --train-num-samples {}",
        made.counts.samples
    )
}

/// Text about an export without samples.
pub fn nothing_left(made: &ExportRecord) -> String {
    let counts = &made.counts;
    format!(
        "0 pairs: of {} that were read none is left ({} without image or text, {} with an image that cannot \
         be decoded, {} below --min-itm, {} in --exclude), so nothing was written",
        counts.read, counts.unusable, counts.bad_images, counts.below_min_itm, counts.excluded
    )
}

/// Text about the quarantined shards of a job, which are not in the export.
pub fn quarantined_text(url: &str, shards: &[QuarantinedShard]) -> String {
    let rows: u64 = shards.iter().map(|shard| shard.rows).sum();
    let (n, first) = (shards.len(), &shards[0]);
    format!(
        "{url}: {n} shards with {rows} rows are quarantined and not in the export (first: {}, {}); \
         `capfilt retry --job {url}` retries them",
        first.shard, first.reason
    )
}
