//! A Parquet file of samples.

use super::sidecar;
use crate::{
    ExportError,
    arrange::Sample,
    kinds::{Kind, Kinds},
};
use arrow::{
    array::{
        ArrayRef, BinaryArray, BooleanArray, Float32Array, Float32Builder, Float64Array, Int64Array,
        ListBuilder, RecordBatch, StringArray, StringBuilder, StructArray, StructBuilder, UInt32Array,
        UInt64Array, new_null_array,
    },
    datatypes::{DataType, Field, SchemaRef},
    error::ArrowError,
};
use capfilt_pipeline::output::huggingface;
use capfilt_schemas::{
    export::{Format, caption_fields, caption_item, captions_schema, schema},
    pairs::image_fields,
};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    file::properties::{EnabledStatistics, WriterProperties},
    schema::types::ColumnPath,
};
use serde_json::Value;
use std::sync::Arc;

/// Number of samples, or bytes of images, at which a row group is closed. Readers hold a whole row group in
/// memory.
const GROUP_SAMPLES: usize = 1000;
const GROUP_BYTES: usize = 64 << 20;

/// Encoder of a file.
pub(super) struct Encoder<'a> {
    kinds: &'a Kinds,
    format: Format,
    path: String,
    writer: ArrowWriter<Vec<u8>>,
    schema: SchemaRef,
    group: Vec<(Sample, Vec<u8>)>,
    bytes: usize,
}

impl<'a> Encoder<'a> {
    pub fn new(kinds: &'a Kinds, format: Format, path: &str) -> Result<Self, ExportError> {
        let schema = schema_of(format, kinds);
        let mut metadata = schema.metadata().clone();
        metadata.extend(huggingface(&schema).map(|features| ("huggingface".to_owned(), features)));
        let schema = Arc::new(schema.as_ref().clone().with_metadata(metadata));
        let writer = ArrowWriter::try_new(Vec::new(), Arc::clone(&schema), Some(properties()));
        let writer = writer.map_err(|source| ExportError::parquet(path, source))?;
        Ok(Self { kinds, format, path: path.to_owned(), writer, schema, group: Vec::new(), bytes: 0 })
    }

    pub fn add(&mut self, sample: Sample, image: Vec<u8>) -> Result<Vec<u8>, ExportError> {
        self.bytes += image.len();
        self.group.push((sample, image));
        let is_whole = self.group.len() >= GROUP_SAMPLES || self.bytes >= GROUP_BYTES;
        if is_whole { self.write_group() } else { Ok(Vec::new()) }
    }

    pub fn finish(mut self) -> Result<Vec<u8>, ExportError> {
        let mut bytes = if self.group.is_empty() { Vec::new() } else { self.write_group()? };
        let rest = self.writer.into_inner().map_err(|source| ExportError::parquet(&self.path, source))?;
        bytes.extend(rest);
        Ok(bytes)
    }

    fn write_group(&mut self) -> Result<Vec<u8>, ExportError> {
        let group = std::mem::take(&mut self.group);
        self.bytes = 0;
        let batch = self.batch(&group).map_err(|source| ExportError::arrow(&self.path, source))?;
        let written = self.writer.write(&batch).and_then(|()| self.writer.flush());
        written.map_err(|source| ExportError::parquet(&self.path, source))?;
        // The writer counts its bytes itself, so its buffer may be emptied.
        Ok(std::mem::take(self.writer.inner_mut()))
    }

    fn batch(&self, group: &[(Sample, Vec<u8>)]) -> Result<RecordBatch, ArrowError> {
        let samples = || group.iter().map(|(sample, _)| sample);
        let mut columns: Vec<ArrayRef> =
            vec![Arc::new(samples().map(|sample| sample.key.as_deref()).collect::<StringArray>())];
        columns.extend(match self.format {
            Format::Captions => origins(group),
            _ => vec![images(group)?],
        });
        let captions: [ArrayRef; 8] = [
            Arc::new(StringArray::from_iter_values(samples().map(|sample| &sample.caption.text))),
            Arc::new(StringArray::from_iter_values(samples().map(|sample| &sample.caption.source))),
            Arc::new(samples().map(|sample| sample.caption.itm).collect::<Float32Array>()),
            Arc::new(samples().map(|sample| sample.caption.cosine).collect::<Float32Array>()),
            captions(samples()),
            Arc::new(samples().map(sidecar::url).collect::<StringArray>()),
            Arc::new(samples().map(|sample| Some(sample.image.width)).collect::<UInt32Array>()),
            Arc::new(samples().map(|sample| Some(sample.image.height)).collect::<UInt32Array>()),
        ];
        columns.extend(captions);
        columns
            .extend(passed(self.kinds).map(|(name, kind)| column(kind, samples().map(|s| s.more.get(name)))));
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
    }
}

/// Columns of a format's files.
pub(crate) fn schema_of(format: Format, kinds: &Kinds) -> SchemaRef {
    let (is_captions, ours) = (format == Format::Captions, captions_schema(&[]));
    let field = |(name, kind): (&String, Kind)| {
        let is_ours = is_captions && ours.field_with_name(name).is_ok();
        let name = if is_ours { format!("input_{name}") } else { name.clone() };
        Field::new(name, kind.arrow(), true)
    };
    let passed: Vec<Field> = passed(kinds).map(field).collect();
    if is_captions { captions_schema(&passed) } else { schema(&passed) }
}

fn images(group: &[(Sample, Vec<u8>)]) -> Result<ArrayRef, ArrowError> {
    let bytes: ArrayRef = Arc::new(BinaryArray::from_iter_values(group.iter().map(|(_, image)| image)));
    let paths = new_null_array(&DataType::Utf8, group.len());
    Ok(Arc::new(StructArray::try_new(image_fields(), vec![bytes, paths], None)?))
}

/// Input file, number in it, and member of each sample's row.
fn origins(group: &[(Sample, Vec<u8>)]) -> Vec<ArrayRef> {
    let origins = || group.iter().map(|(sample, _)| sample.origin.as_ref());
    vec![
        Arc::new(origins().map(|origin| Some(&*origin?.file)).collect::<StringArray>()),
        Arc::new(origins().map(|origin| Some(origin?.row)).collect::<UInt64Array>()),
        Arc::new(origins().map(|origin| origin?.member.as_deref()).collect::<StringArray>()),
    ]
}

/// Pass-through columns; `url` has a column of the export.
fn passed(kinds: &Kinds) -> impl Iterator<Item = (&String, Kind)> {
    kinds.iter().filter(|(name, _)| *name != "url").map(|(name, kind)| (name, *kind))
}

/// A pass-through column; a sample without a value has null.
fn column<'a>(kind: Kind, values: impl Iterator<Item = Option<&'a Value>>) -> ArrayRef {
    let values = values.map(|value| value.map(|value| kind.value(Some(value))));
    match kind {
        Kind::Bool => Arc::new(values.map(|value| value?.as_bool()).collect::<BooleanArray>()),
        Kind::Whole => Arc::new(values.map(|value| value?.as_i64()).collect::<Int64Array>()),
        Kind::Number => Arc::new(values.map(|value| value?.as_f64()).collect::<Float64Array>()),
        Kind::Text | Kind::Nothing => {
            Arc::new(values.map(|value| value?.as_str().map(str::to_owned)).collect::<StringArray>())
        }
    }
}

fn captions<'a>(samples: impl Iterator<Item = &'a Sample>) -> ArrayRef {
    const BUILT: &str = "the builder was made of the captions' fields";
    let mut list =
        ListBuilder::new(StructBuilder::from_fields(caption_fields(), 0)).with_field(caption_item());
    for sample in samples {
        for caption in &sample.captions {
            let item = list.values();
            item.field_builder::<StringBuilder>(0).expect(BUILT).append_value(&caption.text);
            item.field_builder::<StringBuilder>(1).expect(BUILT).append_value(&caption.source);
            item.field_builder::<Float32Builder>(2).expect(BUILT).append_option(caption.itm);
            item.field_builder::<Float32Builder>(3).expect(BUILT).append_option(caption.cosine);
            item.append(true);
        }
        list.append(true);
    }
    Arc::new(list.finish())
}

fn properties() -> WriterProperties {
    let image = ColumnPath::from(vec!["image".to_owned(), "bytes".to_owned()]);
    // Images are already compressed, and statistics of their first bytes are useless.
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_column_compression(image.clone(), Compression::UNCOMPRESSED)
        .set_column_dictionary_enabled(image.clone(), false)
        .set_column_statistics_enabled(image, EnabledStatistics::None)
        .build()
}
