//! The columns of a ledger that the statistics read, and nothing else of it.

use arrow::{
    array::{
        Array as _, AsArray as _, BooleanArray, Float32Array, ListArray, RecordBatch, StringArray,
        StructArray, UInt64Array,
    },
    datatypes::{Float32Type, UInt64Type},
};
use capfilt_schemas::ledger::{self, CONTROL_CLIP};
use parquet::{arrow::ProjectionMask, schema::types::SchemaDescriptor};
use std::ops::Range;

/// Columns of a row.
const OF_ROWS: [&str; 6] = ["row", "image_sha256", "image_hash", "status", "control_itm", CONTROL_CLIP];

/// Fields of a text.
const OF_TEXTS: [&str; 8] = ["source", "text", "status", "itm", "clip", "kept", "language", "repetition"];

/// The leaf columns that are read; keys are read for truths alone.
pub fn projection(stored: &SchemaDescriptor, with_keys: bool) -> ProjectionMask {
    let is_read = |parts: &[String]| match parts {
        [column] => OF_ROWS.contains(&column.as_str()) || with_keys && column == "key",
        [list, .., field] => list == "texts" && OF_TEXTS.contains(&field.as_str()),
        [] => false,
    };
    let leaves = stored.columns().iter().enumerate();
    ProjectionMask::leaves(stored, leaves.filter(|(_, leaf)| is_read(leaf.path().parts())).map(|(at, _)| at))
}

/// A batch of a ledger of version 1, in the columns of this version.
///
/// # Errors
/// A sentence about a cell with an unknown status or a malformed digest.
pub fn upgraded(batch: &RecordBatch) -> Result<RecordBatch, String> {
    let rows = ledger::rows(batch)?;
    ledger::batch(&rows).map_err(|error| error.to_string())
}

/// Columns of a batch.
pub struct Rows<'a> {
    /// Keys of the rows, if they are read.
    pub keys: Option<&'a StringArray>,
    /// Numbers of the rows in the input file.
    pub numbers: &'a UInt64Array,
    /// Digests of the images, in hexadecimal digits.
    pub digests: &'a StringArray,
    /// Perceptual hashes of the images.
    pub hashes: &'a UInt64Array,
    /// Names of the rows' status.
    pub statuses: &'a StringArray,
    /// P(match) of the negative control.
    pub controls: &'a Float32Array,
    /// CLIP scores of the negative control, of a job that has them.
    clip_controls: Option<&'a Float32Array>,
    /// The texts.
    pub texts: Texts<'a>,
    lists: &'a ListArray,
}

/// Fields of the texts of a batch.
pub struct Texts<'a> {
    /// Names of the sources.
    pub sources: &'a StringArray,
    /// The texts.
    pub texts: &'a StringArray,
    /// Names of the texts' status.
    pub statuses: &'a StringArray,
    /// P(match).
    pub itms: &'a Float32Array,
    /// CLIP scores, of a job that has them.
    clips: Option<&'a Float32Array>,
    /// Verdicts.
    pub kept: &'a BooleanArray,
    /// Languages.
    pub languages: &'a StringArray,
    /// Shares of repeated word pairs.
    pub repetitions: &'a Float32Array,
}

impl<'a> Rows<'a> {
    /// The columns of a batch; `None` if the batch lacks one, or has it with another type.
    pub fn of(batch: &'a RecordBatch) -> Option<Self> {
        let lists = batch.column_by_name("texts")?.as_list_opt::<i32>()?;
        let column = |name| batch.column_by_name(name);
        Some(Self {
            keys: column("key").and_then(|keys| keys.as_string_opt()),
            numbers: column("row")?.as_primitive_opt::<UInt64Type>()?,
            digests: column("image_sha256")?.as_string_opt()?,
            hashes: column("image_hash")?.as_primitive_opt::<UInt64Type>()?,
            statuses: column("status")?.as_string_opt()?,
            controls: column("control_itm")?.as_primitive_opt::<Float32Type>()?,
            clip_controls: column(CONTROL_CLIP).and_then(|clip| clip.as_primitive_opt()),
            texts: Texts::of(lists.values().as_struct_opt()?)?,
            lists,
        })
    }

    /// CLIP score of the negative control of a row.
    pub fn clip_control(&self, row: usize) -> Option<f32> {
        value(self.clip_controls, row)
    }

    /// The texts of a row, as a range of the batch's texts.
    pub fn texts_of(&self, row: usize) -> Range<usize> {
        let offsets = self.lists.value_offsets();
        offsets[row] as usize..offsets[row + 1] as usize
    }
}

impl<'a> Texts<'a> {
    fn of(items: &'a StructArray) -> Option<Self> {
        let field = |name| items.column_by_name(name);
        Some(Self {
            sources: field("source")?.as_string_opt()?,
            texts: field("text")?.as_string_opt()?,
            statuses: field("status")?.as_string_opt()?,
            itms: field("itm")?.as_primitive_opt::<Float32Type>()?,
            clips: field("clip").and_then(|clip| clip.as_primitive_opt()),
            kept: field("kept")?.as_boolean_opt()?,
            languages: field("language")?.as_string_opt()?,
            repetitions: field("repetition")?.as_primitive_opt::<Float32Type>()?,
        })
    }

    /// P(match) of a text; `None` if the text was not judged.
    pub fn itm(&self, text: usize) -> Option<f32> {
        self.itms.is_valid(text).then(|| self.itms.value(text))
    }

    /// CLIP score of a text.
    pub fn clip(&self, text: usize) -> Option<f32> {
        value(self.clips, text)
    }

    /// Whether a text is kept.
    pub fn is_kept(&self, text: usize) -> bool {
        self.itms.is_valid(text) && self.kept.is_valid(text) && self.kept.value(text)
    }

    /// The text; `None` for null.
    pub fn text(&self, text: usize) -> Option<&'a str> {
        self.texts.is_valid(text).then(|| self.texts.value(text))
    }
}

/// A cell of a column that not every ledger has.
fn value(column: Option<&Float32Array>, at: usize) -> Option<f32> {
    column.filter(|column| column.is_valid(at)).map(|column| column.value(at))
}
