//! Description of the pairs table for Hugging Face's `datasets`, so that `image` is shown as an image.
//!
//! The description is the value of `huggingface` in the Parquet schema's metadata, and must name every
//! column.

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};

/// The description, or `None` when `datasets` has no name for the type of a pass-through column. `datasets`
/// then reads the table with `image` as a struct.
pub fn huggingface(schema: &Schema) -> Option<String> {
    let features: Option<Vec<String>> = schema.fields().iter().map(|field| feature(field)).collect();
    Some(format!("{{\"info\": {{\"features\": {{{}}}}}}}", features?.join(", ")))
}

fn feature(field: &Field) -> Option<String> {
    let description = match field.name().as_str() {
        "image" => "{\"_type\": \"Image\"}".to_owned(),
        _ => of_type(field.data_type())?,
    };
    Some(format!("{}: {description}", quoted(field.name())))
}

/// A JSON string; column names are the user's.
fn quoted(text: &str) -> String {
    let escaped = text.chars().map(|c| match c {
        '"' | '\\' => format!("\\{c}"),
        c if c.is_ascii_control() => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    });
    format!("\"{}\"", escaped.collect::<String>())
}

fn of_type(kind: &DataType) -> Option<String> {
    let value = |name: &str| Some(format!("{{\"dtype\": \"{name}\", \"_type\": \"Value\"}}"));
    match kind {
        DataType::Utf8 => value("string"),
        DataType::Binary => value("binary"),
        DataType::Boolean => value("bool"),
        DataType::Int8 => value("int8"),
        DataType::Int16 => value("int16"),
        DataType::Int32 => value("int32"),
        DataType::Int64 => value("int64"),
        DataType::UInt8 => value("uint8"),
        DataType::UInt16 => value("uint16"),
        DataType::UInt32 => value("uint32"),
        DataType::UInt64 => value("uint64"),
        DataType::Null => value("null"),
        DataType::Float16 => value("float16"),
        DataType::Float32 => value("float32"),
        DataType::Float64 => value("float64"),
        DataType::Date32 => value("date32"),
        DataType::Time32(in_unit) => value(&format!("time32[{}]", unit(*in_unit))),
        DataType::Time64(in_unit) => value(&format!("time64[{}]", unit(*in_unit))),
        DataType::Timestamp(in_unit, None) => value(&format!("timestamp[{}]", unit(*in_unit))),
        DataType::Timestamp(in_unit, Some(zone)) => {
            value(&format!("timestamp[{}, tz={zone}]", unit(*in_unit)))
        }
        DataType::Decimal128(precision, scale) => value(&format!("decimal128({precision}, {scale})")),
        DataType::List(item) => {
            Some(format!("{{\"feature\": {}, \"_type\": \"List\"}}", of_type(item.data_type())?))
        }
        DataType::Struct(fields) => {
            let fields: Option<Vec<String>> = fields.iter().map(|field| feature(field)).collect();
            Some(format!("{{{}}}", fields?.join(", ")))
        }
        _ => None,
    }
}

fn unit(unit: TimeUnit) -> &'static str {
    match unit {
        TimeUnit::Second => "s",
        TimeUnit::Millisecond => "ms",
        TimeUnit::Microsecond => "us",
        TimeUnit::Nanosecond => "ns",
    }
}
