//! Column types of a file: as announced, and as stored.
//!
//! A column of strings announces UTF-8, and for one value that is not UTF-8 the Parquet reader rejects a
//! whole batch. If the column is read as it is stored, as bytes, only that value is lost. The same holds for
//! INT96 timestamps, which the Parquet reader converts into nanoseconds of 64 bits without a check of the
//! range.

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

/// Arrow types of a file's columns, from the Parquet types alone: a dictionary or a view of the writer's
/// Arrow library is ignored. INT96 becomes a timestamp in microseconds, whose range includes every realistic
/// year.
pub fn promised(schema: &SchemaDescriptor) -> Result<Schema> {
    parquet_to_arrow_schema(&rewritten(schema, &promised_leaf)?, None)
}

/// Schema of the file with strings as bytes and INT96 values as 12 bytes: equal columns in an equal tree.
pub fn stored(schema: &SchemaDescriptor) -> Result<SchemaDescPtr> {
    rewritten(schema, &stored_leaf).map(Arc::new)
}

/// Returns the changed type of a leaf; `None` if the type does not change.
type Leaf = dyn Fn(&Type) -> Result<Option<Type>>;

fn rewritten(schema: &SchemaDescriptor, leaf: &Leaf) -> Result<SchemaDescriptor> {
    Ok(SchemaDescriptor::new(rewrite(&schema.root_schema_ptr(), leaf)?))
}

/// [`super::scan::SCHEMA_LEVELS`] bounds the recursion.
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

/// Meaning of a leaf's bytes, according to its annotation.
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
