//! The dataset card of an export: `README.md` beside the record, as the Hugging Face Hub shows it.
//!
//! The card follows from the record alone, so equal exports have equal cards.

use capfilt_schemas::export::{DATA, ExclusionList, ExportRecord, Format, Per, RECORD, Source};
use std::fmt::Write as _;

/// Name of the card.
pub(crate) const CARD: &str = "README.md";

/// Text of the card.
pub(crate) fn card(made: &ExportRecord) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write!(text, "{}\n# Image-text pairs\n\n{}\n", front_matter(made), counted(made));
    let _ = write!(text, "\n## Sources\n\n{}", sources(made));
    if !made.licences.is_empty() {
        let _ = write!(text, "\n## Licences\n\n{}", licences(made));
    }
    let _ = write!(text, "\n## Fields\n\n{}", fields(made.request.format));
    let _ = write!(
        text,
        "\n`{RECORD}` has all counts, options, sources with their versions, and the SHA-256 of every file. \
         Written by capfilt {}.\n",
        made.capfilt
    );
    text
}

/// Metadata that the Hub and the `datasets` library read.
fn front_matter(made: &ExportRecord) -> String {
    let data_files = match made.request.format {
        Format::Imagefolder => format!("{DATA}/**"),
        format => format!("{DATA}/*.{}", format.extension()),
    };
    let size = match made.counts.samples {
        0..1_000 => "n<1K",
        1_000..10_000 => "1K<n<10K",
        10_000..100_000 => "10K<n<100K",
        100_000..1_000_000 => "100K<n<1M",
        1_000_000..10_000_000 => "1M<n<10M",
        10_000_000..100_000_000 => "10M<n<100M",
        _ => "n>100M",
    };
    format!(
        "---\ntask_categories:\n- image-to-text\n- text-to-image\nsize_categories:\n- {size}\nconfigs:\n\
         - config_name: default\n  data_files: \"{data_files}\"\n---\n"
    )
}

/// The export in one line.
pub(crate) fn description(made: &ExportRecord) -> String {
    let per = match made.request.options.per {
        Per::Text => "a sample is a text with its image",
        Per::Image => "a sample is an image with all of its texts",
    };
    let counts = &made.counts;
    format!(
        "{} image-text samples, cleaned by capfilt {}: {} human, {} web, {} synthetic texts; {per}.",
        counts.samples, made.capfilt, counts.human, counts.web, counts.synthetic
    )
}

fn counted(made: &ExportRecord) -> String {
    let counts = &made.counts;
    let per = match made.request.options.per {
        Per::Text => "A sample is a text with its image.",
        Per::Image => "A sample is an image with all of its texts.",
    };
    let rows = [
        ("samples", counts.samples),
        ("texts written by people", counts.human),
        ("texts of the web", counts.web),
        ("synthetic captions", counts.synthetic),
        ("left out: equal image and text", counts.duplicates),
        ("left out: without image or text", counts.unusable),
        ("left out: image cannot be decoded", counts.bad_images),
        ("left out: P(match) below the minimum", counts.below_min_itm),
        ("left out: in an exclusion list", counts.excluded),
        ("left out: image nearly equal to another", counts.near_duplicates),
    ];
    let rows: String = rows.iter().map(|(name, count)| format!("| {name} | {count} |\n")).collect();
    format!("{per}\n\n| | count |\n|---|---|\n{rows}")
}

fn sources(made: &ExportRecord) -> String {
    let line = |source: &Source| match source {
        Source::Human { url, version, .. } => {
            format!("- Pairs by people: {}, version {}\n", code(url), code(version))
        }
        Source::Job { url, manifest, texts, quarantined, .. } => {
            let rows: u64 = quarantined.iter().map(|shard| shard.rows).sum();
            let missing =
                if rows > 0 { format!(", without {rows} rows in quarantine") } else { String::new() };
            let (url, texts) = (code(url), texts.name());
            format!("- Cleaning job {url}, manifest {manifest}, texts: {texts}{missing}\n")
        }
    };
    let list = |list: &ExclusionList| {
        format!(
            "- Without the rows of an exclusion list: {} entries, SHA-256 {}\n",
            list.entries, list.sha256
        )
    };
    let sources = made.request.sources.iter().map(line);
    sources.chain(made.request.options.exclude.iter().map(list)).collect()
}

fn licences(made: &ExportRecord) -> String {
    let row = |(licence, samples): (&String, &u64)| match licence.as_str() {
        "" => format!("| without a licence | {samples} |\n"),
        licence => format!("| {} | {samples} |\n", code(licence).replace('|', "\\|")),
    };
    let rows: String = made.licences.iter().map(row).collect();
    format!("| licence of the image, as the input has it | samples |\n|---|---|\n{rows}")
}

fn fields(format: Format) -> &'static str {
    match format {
        Format::Llava => {
            "`id`, `image` and `conversations`: an instruction, and the text of the image as its answer.\n"
        }
        Format::Captions => {
            "`key`, `file`, `row` and `member` name the row of the input whose image the captions describe; \
             there are no images. `itm` is the probability, by the filter of the job, that image and text \
             match, and `cosine` the similarity of their embeddings; null where no filter judged. \
             `captions` has all texts of the row or image.\n"
        }
        _ => {
            "`itm` is the probability, by the filter of the job, that image and text match; -1 in lists, or \
             null in Parquet, where no filter judged. `cosine` is the similarity of their embeddings; -2 or \
             null without one. `source` is `human`, the text column of the job, or `synthetic`. \
             `captions` has all texts of the row or image.\n"
        }
    }
}

/// An untrusted text as inline code.
fn code(text: &str) -> String {
    let plain: String = text.chars().filter(|c| !c.is_control() && *c != '`').collect();
    format!("`{plain}`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use capfilt_schemas::{
        export::{Counts, Options, Request, VERSION},
        settings::training_data::Texts,
    };

    #[test]
    fn a_url_cannot_leave_its_code_and_the_counts_are_those_of_the_record() {
        let url = "s3://b/`<script>alert(1)</script>`\n# x".to_owned();
        let digest = String::new();
        let source =
            Source::Job { url, manifest: 3, digest, cut: None, texts: Texts::Both, quarantined: Vec::new() };
        let options = Options::default();
        let request = Request { version: VERSION, format: Format::Parquet, options, sources: vec![source] };
        let counts = Counts { samples: 1234, web: 1000, synthetic: 234, ..Counts::default() };
        let (capfilt, files, left_out) = ("0.1.0".to_owned(), Vec::new(), Vec::new());
        let licences = [(String::new(), 1), ("cc|`by`".to_owned(), 2)].into();
        let unmatched_exclusions = None;
        let made = ExportRecord { request, capfilt, counts, files, unmatched_exclusions, licences, left_out };
        let text = card(&made);
        assert!(text.contains("| without a licence | 1 |\n| `cc\\|by` | 2 |\n"), "{text}");
        assert!(text.contains("`s3://b/<script>alert(1)</script># x`, manifest 3"), "{text}");
        assert!(text.contains("| samples | 1234 |") && text.contains("- 1K<n<10K"), "{text}");
        assert!(text.starts_with("---\n") && text.contains("data_files: \"data/*.parquet\""), "{text}");
    }
}
