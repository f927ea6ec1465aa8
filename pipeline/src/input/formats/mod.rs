//! Samples of a shard, by the format of its file; for formats without types. Each format is one file.

mod image_folder;
mod records;
mod tar;

use super::{
    InputColumns, ReadError,
    samples::{
        draft::{Draft, Limits},
        places::{Kind, Places},
    },
};
use capfilt_schemas::plan::{InputFormat, Shard};
use capfilt_store::Location;
use image_folder::FolderSamples;
use records::RecordSamples;
use std::sync::Arc;
use tar::TarSamples;

/// Samples of a shard.
pub(super) enum Samples {
    Tar(Box<TarSamples>),
    Records(Box<RecordSamples>),
    Folder(Box<FolderSamples>),
}

impl Samples {
    pub fn open(input: &Location, shard: &Shard, places: &Arc<Places>, limits: Limits) -> Self {
        let places = Arc::clone(places);
        match InputFormat::of(&shard.file.path) {
            InputFormat::Records(format) => {
                Self::Records(Box::new(RecordSamples::open(input, shard, format, places)))
            }
            InputFormat::ImageFolder => {
                Self::Folder(Box::new(FolderSamples::open(input, shard, places, limits)))
            }
            _ => Self::Tar(Box::new(TarSamples::open(input, shard, places, limits))),
        }
    }

    /// Where the samples of a shard have the values of the job's columns.
    pub fn places(shard: &Shard, columns: &InputColumns) -> Places {
        let kind = match InputFormat::of(&shard.file.path) {
            InputFormat::Records(_) => Kind::Record,
            _ => Kind::Members,
        };
        Places::of(columns, kind)
    }

    /// The next samples; none after the last.
    pub async fn next(&mut self, most: usize) -> Result<Vec<Draft>, ReadError> {
        match self {
            Self::Tar(tar) => tar.next(most).await,
            Self::Records(records) => records.next(most).await,
            Self::Folder(folder) => folder.next(most).await,
        }
    }
}
