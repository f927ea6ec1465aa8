//! A file's column types: as they are promised, and as they are stored.
//!
//! A column of strings promises UTF-8, and the Parquet reader gives up a whole batch for one value that is
//! not. Read as it is stored, as bytes, such a value costs only itself. The same goes for INT96 timestamps,
//! which the Parquet reader turns into nanoseconds of 64 bits whether these can hold them or not.

use arrow::datatypes::Schema;
use parquet::{
    arrow::parquet_to_arrow_schema,
    basic::{ConvertedType, LogicalType, TimeUnit, Type as Physical},
    errors::Result,
    schema::types::{SchemaDescPtr, SchemaDescriptor, Type, TypePtr},
};
use std::sync::Arc;

/// Bytes of an INT96 value.
const INT96_BYTES: i32 = 12;

/// The Arrow types of a file's columns, from its Parquet types alone: that a writer's Arrow library had a
/// dictionary or a view is its own business. INT96 is a timestamp in microseconds, which reaches every year
/// that people write.
pub fn promised(schema: &SchemaDescriptor) -> Result<Schema> {
    parquet_to_arrow_schema(&rewritten(schema, &promised_leaf)?, None)
}

/// The file's schema with strings as bytes and INT96 values as 12 bytes; the same columns in the same tree.
pub fn stored(schema: &SchemaDescriptor) -> Result<SchemaDescPtr> {
    rewritten(schema, &stored_leaf).map(Arc::new)
}

/// The changed type of a leaf, or `None` where it stays.
type Leaf = dyn Fn(&Type) -> Result<Option<Type>>;

fn rewritten(schema: &SchemaDescriptor, leaf: &Leaf) -> Result<SchemaDescriptor> {
    Ok(SchemaDescriptor::new(rewrite(&schema.root_schema_ptr(), leaf)?))
}

/// Recursion is bounded by [`super::scan::SCHEMA_LEVELS`].
fn rewrite(node: &TypePtr, leaf: &Leaf) -> Result<TypePtr> {
    if node.is_primitive() {
        return Ok(leaf(node)?.map_or_else(|| Arc::clone(node), Arc::new));
    }
    let info = node.get_basic_info();
    let fields = node.get_fields().iter().map(|field| rewrite(field, leaf)).collect::<Result<_>>()?;
    let group = Type::group_type_builder(node.name())
        .with_converted_type(info.converted_type())
        .with_logical_type(info.logical_type_ref().cloned())
        .with_fields(fields)
        .with_id(info.has_id().then(|| info.id()));
    let group = if info.has_repetition() { group.with_repetition(info.repetition()) } else { group };
    group.build().map(Arc::new)
}

/// What a leaf's annotation makes of its bytes.
enum Meaning {
    Text,
    Enum,
    Other,
}

fn meaning(leaf: &Type) -> Meaning {
    let info = leaf.get_basic_info();
    match (leaf.get_physical_type(), info.logical_type_ref(), info.converted_type()) {
        (Physical::BYTE_ARRAY, Some(LogicalType::String | LogicalType::Json), _)
        | (Physical::BYTE_ARRAY, None, ConvertedType::UTF8 | ConvertedType::JSON) => Meaning::Text,
        (Physical::BYTE_ARRAY, Some(LogicalType::Enum), _)
        | (Physical::BYTE_ARRAY, None, ConvertedType::ENUM) => Meaning::Enum,
        _ => Meaning::Other,
    }
}

fn promised_leaf(leaf: &Type) -> Result<Option<Type>> {
    let changed = |kind, logical| -> Result<Option<Type>> {
        like(leaf, Type::primitive_type_builder(leaf.name(), kind))
            .with_logical_type(Some(logical))
            .build()
            .map(Some)
    };
    match (meaning(leaf), leaf.get_physical_type()) {
        (Meaning::Enum, kind) => changed(kind, LogicalType::String),
        (_, Physical::INT96) => changed(Physical::INT64, LogicalType::timestamp(false, TimeUnit::MICROS)),
        _ => Ok(None),
    }
}

fn stored_leaf(leaf: &Type) -> Result<Option<Type>> {
    let plain = |kind| like(leaf, Type::primitive_type_builder(leaf.name(), kind));
    match (meaning(leaf), leaf.get_physical_type()) {
        (Meaning::Text | Meaning::Enum, kind) => plain(kind).build().map(Some),
        (_, Physical::INT96) => {
            plain(Physical::FIXED_LEN_BYTE_ARRAY).with_length(INT96_BYTES).build().map(Some)
        }
        _ => Ok(None),
    }
}

type Builder<'a> = parquet::schema::types::PrimitiveTypeBuilder<'a>;

fn like<'a>(leaf: &Type, builder: Builder<'a>) -> Builder<'a> {
    let info = leaf.get_basic_info();
    builder.with_repetition(info.repetition()).with_id(info.has_id().then(|| info.id()))
}
