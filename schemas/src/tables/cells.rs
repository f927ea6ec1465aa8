//! Columns and cells of a batch whose columns were compared with the table's schema.

use super::texts::Score;
use arrow::{
    array::{
        Array as _, ArrayBuilder, ArrayRef, AsArray as _, BooleanArray, Float32Array, ListArray,
        PrimitiveArray, RecordBatch, StringArray, StructArray, StructBuilder,
    },
    datatypes::{ArrowPrimitiveType, Float32Type},
};

const COMPARED: &str = "the reader compared the columns with the table's schema";

/// Columns of a batch, or fields of a struct column.
pub(super) trait Columns {
    /// The column with a name.
    fn column_of(&self, name: &str) -> &ArrayRef;

    /// A column of texts.
    fn texts(&self, name: &str) -> &StringArray {
        self.column_of(name).as_string()
    }

    /// A column of numbers.
    fn numbers<T: ArrowPrimitiveType>(&self, name: &str) -> &PrimitiveArray<T> {
        self.column_of(name).as_primitive()
    }

    /// A column of scores.
    fn scores(&self, name: &str) -> &Float32Array {
        self.numbers::<Float32Type>(name)
    }

    /// A column of verdicts.
    fn verdicts(&self, name: &str) -> &BooleanArray {
        self.column_of(name).as_boolean()
    }

    /// A column of lists of structs.
    fn lists(&self, name: &str) -> &ListArray {
        self.column_of(name).as_list()
    }
}

impl Columns for RecordBatch {
    fn column_of(&self, name: &str) -> &ArrayRef {
        self.column_by_name(name).expect(COMPARED)
    }
}

impl Columns for StructArray {
    fn column_of(&self, name: &str) -> &ArrayRef {
        self.column_by_name(name).expect(COMPARED)
    }
}

/// The optional field `clip` of texts; `None` if the job does not have it. A field of another type is not a
/// CLIP score.
pub(super) fn clip_scores(items: &StructArray) -> Option<&Float32Array> {
    items.column_by_name(Score::Clip.as_str()).and_then(|clip| clip.as_primitive_opt::<Float32Type>())
}

/// Text of a cell; `None` for null.
pub(super) fn text(array: &StringArray, i: usize) -> Option<&str> {
    array.is_valid(i).then(|| array.value(i))
}

/// Number of a cell; `None` for null.
pub(super) fn number<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>, i: usize) -> Option<T::Native> {
    array.is_valid(i).then(|| array.value(i))
}

/// Items of a cell with a list, as a range of the list's values.
pub(super) fn items(lists: &ListArray, i: usize) -> std::ops::Range<usize> {
    let offsets = lists.value_offsets();
    offsets[i] as usize..offsets[i + 1] as usize
}

/// Builder of a struct's field, whose type the schema fixes.
pub(super) fn field<B: ArrayBuilder>(item: &mut StructBuilder, index: usize) -> &mut B {
    item.field_builder(index).expect("the schema's field has this type")
}
