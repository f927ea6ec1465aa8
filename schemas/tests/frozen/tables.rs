//! Columns of the tables.

use arrow::datatypes::{DataType, Field, Schema};
use capfilt_schemas::{export, ledger, pairs, plan, quarantine, texts::OptionalColumns};
use std::fmt::Write as _;

/// Columns of jobs that have all of them.
const ALL_COLUMNS: OptionalColumns = OptionalColumns { embeddings: Some(2), clip: true };

pub fn columns_of_tables(out: &mut String) {
    let passed = [Field::new("url", DataType::Utf8, true)];
    for (name, schema) in [
        ("ledger", ledger::schema()),
        ("pairs", pairs::schema(&passed, OptionalColumns::default())),
        ("ledger with CLIP and vectors", ledger::schema_with(ALL_COLUMNS)),
        ("pairs with CLIP", pairs::schema(&[], ALL_COLUMNS)),
        ("quarantine", quarantine::schema()),
        ("plan", plan::schema()),
        ("export", export::schema(&[])),
        ("captions", export::captions_schema(&[])),
    ] {
        columns(out, name, &schema);
    }
}

fn columns(out: &mut String, name: &str, schema: &Schema) {
    writeln!(out, "{name} {:?}", schema.metadata()).unwrap();
    for field in schema.fields() {
        let null = if field.is_nullable() { "null" } else { "not null" };
        writeln!(out, "  {} {} {null}", field.name(), field.data_type()).unwrap();
    }
}
