//! The request of an export: equal requests give equal bytes.

use super::{Format, Per};
use crate::{cut::CutName, manifest::QuarantinedShard, settings::training_data::Texts};
use serde::{Deserialize, Serialize};

/// All parameters that determine an export's content. It is first written as `export.begun.json`, and is part
/// of the record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Version of the format: [`Options::version`].
    pub version: u32,
    /// Format of the files.
    pub format: Format,
    /// Settings of the content and of the order.
    #[serde(default)]
    pub options: Options,
    /// Sources in the order of reading; of equal pairs the first is written.
    pub sources: Vec<Source>,
}

impl Request {
    /// The first difference to another request, for people.
    pub fn difference(&self, other: &Self) -> Option<String> {
        let differing = [("format", self.format != other.format), ("sources", self.sources != other.sources)];
        let options = self.options.difference(&other.options);
        let named = differing.iter().find(|(_, differs)| *differs).map(|(name, _)| (*name).to_owned());
        let version = || format!("version {} of the format and not {}", other.version, self.version);
        let named = named.or(options).map(|name| format!("another {name}"));
        named.or_else(|| (self.version != other.version).then(version))
    }
}

/// Settings of an export.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Options {
    /// Content of one sample.
    pub per: Per,
    /// Seed of the order; without a seed, samples have the sources' order.
    pub shuffle: Option<u64>,
    /// Number of files; without a number, by size.
    pub files: Option<u32>,
    /// Images of a file in MiB, if the number of files is not set.
    pub file_mib: u64,
    /// Lowest P(match) of a job's texts.
    pub min_itm: Option<f32>,
    /// Whether texts are written as cleaned for the models, not as in the source.
    pub clean_text: bool,
    /// Prefix of each image's path in lists.
    pub image_root: String,
    /// Instructions of LLaVA's samples; empty: those of the program.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prompts: Vec<String>,
    /// Exclusion lists: a row that matches an entry is not in the export.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<ExclusionList>,
    /// Largest number of differing bits of the perceptual hashes of two nearly equal images, of which one is
    /// exported; without a number, all images are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedup_images: Option<u32>,
    /// Pass-through column with the licence of the image, whose values the record counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence_column: Option<String>,
}

/// An exclusion list, such as the take-down requests until a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExclusionList {
    /// SHA-256 of the file, in hexadecimal digits.
    pub sha256: String,
    /// Number of entries.
    pub entries: u64,
}

impl Options {
    /// Version of an export with these options. A program of version 2 would ignore the options of version 3,
    /// so only an export without them has version 2, with the same record as in that program.
    pub fn version(&self, format: Format) -> u32 {
        let Self { exclude, dedup_images, licence_column, .. } = self;
        let is_2 = exclude.is_empty() && dedup_images.is_none() && licence_column.is_none();
        if is_2 && format.is_of_version_2() { 2 } else { 3 }
    }

    fn difference(&self, other: &Self) -> Option<String> {
        let differing = [
            ("--per", self.per != other.per),
            ("--shuffle", self.shuffle != other.shuffle),
            ("--files", self.files != other.files),
            ("--file-mib", self.file_mib != other.file_mib),
            ("--min-itm", self.min_itm != other.min_itm),
            ("--clean-text", self.clean_text != other.clean_text),
            ("--image-root", self.image_root != other.image_root),
            ("--prompts", self.prompts != other.prompts),
            ("--exclude", self.exclude != other.exclude),
            ("--dedup-images", self.dedup_images != other.dedup_images),
            ("--licence-column", self.licence_column != other.licence_column),
        ];
        differing.iter().find(|(_, differs)| *differs).map(|(name, _)| (*name).to_owned())
    }
}

/// A source of pairs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "source", rename_all = "lowercase")]
pub enum Source {
    /// Pairs that people wrote.
    Human {
        /// Folder or prefix of Parquet files, or one file.
        url: String,
        /// Digest of the files and their states.
        version: String,
        /// Columns to read.
        #[serde(default)]
        columns: Columns,
    },
    /// Kept texts of a finished job.
    Job {
        /// The job's URL.
        url: String,
        /// Number and digest of the job's manifest.
        manifest: u32,
        /// Digest of the manifest's commits.
        digest: String,
        /// The cut of the job's texts; `None` for the texts that the job kept.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cut: Option<CutSource>,
        /// Selection of the kept texts: both, web, synthetic or score.
        texts: Texts,
        /// Shards without a result, which are not in the export.
        #[serde(default)]
        quarantined: Vec<QuarantinedShard>,
    },
}

impl Source {
    /// URL of the job or of the files.
    pub fn url(&self) -> &str {
        match self {
            Self::Human { url, .. } | Self::Job { url, .. } => url,
        }
    }
}

/// A cut of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CutSource {
    /// Name of the cut.
    pub name: CutName,
    /// SHA-256 of the record of the cut.
    pub sha256: String,
}

/// Columns of human pairs, and the condition on their rows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Columns {
    /// Column with the key.
    pub key: String,
    /// Column with the image.
    pub image: String,
    /// Column with the text.
    pub text: String,
    /// Condition on the rows.
    #[serde(rename = "where")]
    pub filter: Option<String>,
    /// Columns that are copied unchanged.
    pub passthrough: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::{super::VERSION, *};

    fn request() -> Request {
        let options = Options { shuffle: Some(0), file_mib: 256, ..Options::default() };
        Request { version: 2, format: Format::Parquet, options, sources: vec![] }
    }

    #[test]
    fn an_export_has_the_earliest_version_that_knows_its_options_and_its_format() {
        let plain = Options::default();
        let dedup = Options { dedup_images: Some(0), ..Options::default() };
        assert_eq!((plain.version(Format::Parquet), plain.version(Format::Mds)), (2, 3));
        assert_eq!((dedup.version(Format::Parquet), dedup.version(Format::Energon)), (3, VERSION));
    }

    #[test]
    fn every_option_that_changes_the_result_makes_another_request_and_is_named() {
        let ours = request();
        assert_eq!(ours.difference(&request()), None);
        let with = |change: fn(&mut Request)| {
            let mut other = request();
            change(&mut other);
            ours.difference(&other).unwrap()
        };
        assert!(with(|r| r.version = 1).contains("version 1"));
        assert!(with(|r| r.format = Format::Json).contains("format"));
        assert!(with(|r| r.options.shuffle = None).contains("--shuffle"));
        assert!(with(|r| r.options.min_itm = Some(0.5)).contains("--min-itm"));
        assert!(with(|r| r.options.clean_text = true).contains("--clean-text"));
        assert!(with(|r| r.options.dedup_images = Some(2)).contains("--dedup-images"));
        assert!(with(|r| r.options.licence_column = Some("l".into())).contains("--licence-column"));
        let list = |r: &mut Request| {
            r.options.exclude = vec![ExclusionList { sha256: "ab".into(), entries: 1 }];
        };
        assert!(with(list).contains("--exclude"));
        assert!(with(|r| r.options.image_root = "/x".into()).contains("--image-root"));
        let human = |text: &str| Source::Human {
            url: "h".into(),
            version: "v".into(),
            columns: Columns { text: text.into(), ..Columns::default() },
        };
        let (mut a, mut b) = (request(), request());
        a.sources.push(human("caption"));
        b.sources.push(human("alt"));
        assert!(a.difference(&b).unwrap().contains("sources"));
    }
}
