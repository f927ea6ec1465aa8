//! Second images and labels of statements about pairs of images: pass-through columns of the input.

use super::ColumnError;
use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    compute::cast,
    datatypes::DataType,
};
use bytes::Bytes;

/// Names of the two columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairColumns {
    /// Column with the second image: bytes, or a struct with `bytes`.
    pub second_image: String,
    /// Column with the truth of the statement: a boolean, 0 and 1, or "True" and "False".
    pub label: String,
}

/// Second image and label of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecondImage {
    /// The encoded image.
    pub bytes: Bytes,
    /// Whether the statement is true.
    pub is_true: bool,
}

impl PairColumns {
    /// Names of the pass-through columns that [`Self::cells`] reads.
    pub fn names(&self) -> Vec<String> {
        vec![self.second_image.clone(), self.label.clone()]
    }

    /// Cells of consecutive rows; `None` where the image or the label is missing.
    ///
    /// # Errors
    /// A column is missing, or has another type than required.
    pub fn cells(&self, passthrough: &RecordBatch) -> Result<Vec<Option<SecondImage>>, ColumnError> {
        let images = images(&self.second_image, found(passthrough, &self.second_image)?)?;
        let labels = labels(&self.label, found(passthrough, &self.label)?)?;
        let second = |(image, label): (Option<Bytes>, Option<bool>)| {
            Some(SecondImage { bytes: image.filter(|bytes| !bytes.is_empty())?, is_true: label? })
        };
        Ok(images.into_iter().zip(labels).map(second).collect())
    }
}

fn found<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, ColumnError> {
    let missing = || ColumnError { column: name.to_owned(), problem: "is missing".to_owned() };
    batch.column_by_name(name).ok_or_else(missing)
}

fn wrong_type(column: &str, found: &DataType, expected: &str) -> ColumnError {
    ColumnError { column: column.to_owned(), problem: format!("is {found}, expected {expected}") }
}

/// Bytes of each image. A path is refused: the reader of pass-through columns fetches no objects.
fn images(column: &str, stored: &ArrayRef) -> Result<Vec<Option<Bytes>>, ColumnError> {
    let fail = || wrong_type(column, stored.data_type(), "image bytes, or a struct with `bytes`");
    if let DataType::Struct(_) = stored.data_type() {
        let bytes = stored.as_struct().column_by_name("bytes").ok_or_else(fail)?;
        let cells = images(&format!("{column}.bytes"), bytes)?;
        return Ok(cells
            .into_iter()
            .enumerate()
            .map(|(i, cell)| cell.filter(|_| stored.is_valid(i)))
            .collect());
    }
    let is_bytes = matches!(
        stored.data_type(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::Null
    );
    let bytes = is_bytes.then(|| cast(stored, &DataType::LargeBinary)).ok_or_else(fail)?;
    let bytes = bytes.map_err(|_| fail())?;
    Ok(bytes.as_binary::<i64>().iter().map(|cell| cell.map(Bytes::copy_from_slice)).collect())
}

/// Truth of each row; `None` for a null or another word.
fn labels(column: &str, stored: &ArrayRef) -> Result<Vec<Option<bool>>, ColumnError> {
    let fail = || wrong_type(column, stored.data_type(), "a boolean, a whole number or a text");
    let kind = stored.data_type();
    let is_text = matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    if !(is_text || kind.is_integer() || matches!(kind, DataType::Boolean | DataType::Null)) {
        return Err(fail());
    }
    let texts = cast(stored, &DataType::Utf8).map_err(|_| fail())?;
    let truth = |text: &str| match text.trim().to_lowercase().as_str() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    };
    Ok(texts.as_string::<i32>().iter().map(|text| text.and_then(truth)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::{
        array::{BinaryArray, BooleanArray, Float64Array, Int64Array, StringArray, StructArray},
        datatypes::Field,
    };
    use std::sync::Arc;

    fn columns() -> PairColumns {
        PairColumns { second_image: "right".into(), label: "label".into() }
    }

    fn cells(right: ArrayRef, label: ArrayRef) -> Result<Vec<Option<SecondImage>>, ColumnError> {
        columns().cells(
            &RecordBatch::try_from_iter_with_nullable([("right", right, true), ("label", label, true)])
                .unwrap(),
        )
    }

    fn bytes() -> ArrayRef {
        Arc::new(BinaryArray::from(vec![Some(b"a".as_slice()), Some(b""), None, Some(b"b")]))
    }

    #[test]
    fn labels_of_every_type_are_read_and_incomplete_rows_are_not() {
        let labels: [ArrayRef; 3] = [
            Arc::new(BooleanArray::from(vec![Some(true), Some(true), Some(true), Some(false)])),
            Arc::new(Int64Array::from(vec![1, 1, 1, 0])),
            Arc::new(StringArray::from(vec!["True", "True", "True", "False"])),
        ];
        let second =
            |text: &'static [u8], is_true| Some(SecondImage { bytes: Bytes::from_static(text), is_true });
        for label in labels {
            assert_eq!(cells(bytes(), label).unwrap(), [second(b"a", true), None, None, second(b"b", false)]);
        }
        let unknown: ArrayRef = Arc::new(StringArray::from(vec![Some("maybe"), None, None, Some("TRUE ")]));
        assert_eq!(cells(bytes(), unknown).unwrap(), [None, None, None, second(b"b", true)]);
        let field = Arc::new(Field::new("bytes", DataType::Binary, true));
        let both: ArrayRef = Arc::new(StructArray::from(vec![(field, bytes())]));
        let label: ArrayRef = Arc::new(BooleanArray::from(vec![true; 4]));
        assert_eq!(cells(both, label).unwrap()[0], second(b"a", true));
    }

    #[test]
    fn columns_that_are_missing_or_of_another_type_are_named() {
        let paths: ArrayRef = Arc::new(StringArray::from(vec!["a.jpg"]));
        let (truth, share): (ArrayRef, ArrayRef) =
            (Arc::new(BooleanArray::from(vec![true])), Arc::new(Float64Array::from(vec![0.5])));
        let error = cells(paths, truth.clone()).unwrap_err().to_string();
        assert!(error.contains("`right` is Utf8, expected image bytes"), "{error}");
        let image: ArrayRef = Arc::new(BinaryArray::from(vec![b"a".as_slice()]));
        let error = cells(image, share).unwrap_err().to_string();
        assert!(error.contains("`label` is Float64"), "{error}");
        let batch = RecordBatch::try_from_iter([("label", truth)]).unwrap();
        let error = columns().cells(&batch).unwrap_err().to_string();
        assert_eq!(error, "column `right` is missing");
    }
}
