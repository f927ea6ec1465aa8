//! Vectors of images and texts in half precision, as columns of fixed-size lists.

use arrow::{
    array::{
        Array as _, ArrayRef, AsArray as _, FixedSizeListArray, FixedSizeListBuilder, Float16Builder,
        RecordBatch, StructArray,
    },
    datatypes::{ArrowPrimitiveType, DataType, Field, Float16Type},
};
use std::sync::Arc;

/// A number in half precision.
type Half = <Float16Type as ArrowPrimitiveType>::Native;

/// A unit vector in half precision: a product of two differs from the cosine by about 0.0005.
pub type Embedding = Vec<Half>;

/// The column of an image's vector.
pub(super) const IMAGE: &str = "image_embedding";

/// The field of a text's vector.
pub(super) const TEXT: &str = "embedding";

/// Rounds a vector to half precision.
pub fn embedding(vector: &[f32]) -> Embedding {
    vector.iter().map(|number| Half::from_f32(*number)).collect()
}

/// A nullable column of vectors of `width` numbers.
pub(super) fn field(name: &str, width: usize) -> Field {
    Field::new(name, DataType::FixedSizeList(item(), length(width)), true)
}

fn length(width: usize) -> i32 {
    i32::try_from(width).expect("a model's vectors have a few hundred numbers")
}

fn item() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Float16, false))
}

/// Encodes vectors of `width` numbers; a vector of another width is an invariant's violation.
pub(super) fn column<'a>(vectors: impl Iterator<Item = Option<&'a Embedding>>, width: usize) -> ArrayRef {
    let mut list = FixedSizeListBuilder::new(Float16Builder::new(), length(width)).with_field(item());
    for vector in vectors {
        match vector {
            Some(vector) => list.values().append_slice(vector),
            None => list.values().append_slice(&vec![Half::ZERO; width]),
        }
        list.append(vector.is_some());
    }
    Arc::new(list.finish())
}

/// Vector of a cell; `None` for null.
pub(super) fn vector(lists: &FixedSizeListArray, i: usize) -> Option<Embedding> {
    lists.is_valid(i).then(|| lists.value(i).as_primitive::<Float16Type>().values().to_vec())
}

/// The column of images' vectors of a batch, if it has one.
pub(super) fn images(batch: &RecordBatch) -> Option<&FixedSizeListArray> {
    batch.column_by_name(IMAGE).and_then(|column| column.as_fixed_size_list_opt())
}

/// The field of texts' vectors of a batch's texts, if they have one.
pub(super) fn texts(items: &StructArray) -> Option<&FixedSizeListArray> {
    items.column_by_name(TEXT).and_then(|column| column.as_fixed_size_list_opt())
}
