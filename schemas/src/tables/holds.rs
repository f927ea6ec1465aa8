//! Comparison of a stored table's columns with the expected ones.

use arrow::datatypes::{DataType, Field, Fields, Schema};

/// The first expected column that a table lacks or has with another type. Further columns, and further fields
/// of structs, are allowed.
pub fn first_lacking<'a>(expected: &'a Schema, found: &Schema) -> Option<&'a Field> {
    lacking(expected.fields(), found.fields())
}

fn lacking<'a>(expected: &'a Fields, found: &Fields) -> Option<&'a Field> {
    let holds = |field: &Field| {
        let stored = found.find(field.name()).map(|(_, stored)| stored);
        stored.is_some_and(|stored| holds_type(stored.data_type(), field.data_type()))
    };
    expected.iter().map(AsRef::as_ref).find(|field| !holds(field))
}

fn holds_type(found: &DataType, expected: &DataType) -> bool {
    match (found, expected) {
        (DataType::List(found), DataType::List(expected)) => {
            holds_type(found.data_type(), expected.data_type())
        }
        (DataType::Struct(found), DataType::Struct(expected)) => lacking(expected, found).is_none(),
        (found, expected) => found == expected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn schema(fields: Vec<Field>) -> Schema {
        let item = Field::new("item", DataType::Struct(fields.into()), false);
        Schema::new(vec![Field::new("texts", DataType::List(Arc::new(item)), false)])
    }

    #[test]
    fn a_table_with_further_fields_holds_the_expected_ones_and_one_of_another_type_does_not() {
        let (text, number) = (DataType::Utf8, DataType::Float32);
        let expected = schema(vec![Field::new("text", text.clone(), true)]);
        let further = [Field::new("itm", number.clone(), true), Field::new("text", text, true)];
        assert!(first_lacking(&expected, &schema(further.into())).is_none());
        let other = schema(vec![Field::new("text", number, true)]);
        assert_eq!(first_lacking(&expected, &other).unwrap().name(), "texts");
        assert!(first_lacking(&expected, &Schema::empty()).is_some());
    }
}
