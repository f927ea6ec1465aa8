//! Description of an export in Croissant 1.0 (MLCommons, JSON-LD), which dataset search engines and
//! `mlcroissant` read. Like the card it follows from the record alone.

use super::{card::description, kinds::Kinds};
use arrow::datatypes::DataType;
use capfilt_schemas::export::{DATA, ExportRecord, File, Format};
use serde_json::{Value, json};

/// Name of the description.
pub(crate) const CROISSANT: &str = "croissant.json";

/// Id of all files of samples.
const FILES: &str = "files";

/// Id of the samples.
const SAMPLES: &str = "samples";

/// Text of the description. Parquet files have their columns described.
pub(crate) fn croissant(made: &ExportRecord, kinds: &Kinds) -> String {
    let format = made.request.format;
    let mut distribution: Vec<Value> = made.files.iter().map(|file| file_object(format, file)).collect();
    distribution.push(json!({
        "@type": "cr:FileSet",
        "@id": FILES,
        "name": FILES,
        "encodingFormat": media_type(format),
        "includes": format!("{DATA}/*.{}", format.extension()),
    }));
    let mut about = json!({
        "@context": context(),
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": "image-text-pairs",
        "description": description(made),
        "version": "1.0.0",
        "distribution": distribution,
    });
    let licences: Vec<&String> = made.licences.keys().filter(|licence| !licence.is_empty()).collect();
    if !licences.is_empty() {
        about["license"] = json!(licences);
    }
    if matches!(format, Format::Parquet | Format::Captions) {
        about["recordSet"] = json!([record_set(format, kinds)]);
    }
    serde_json::to_string_pretty(&about).expect("the description is plain data")
}

fn file_object(format: Format, file: &File) -> Value {
    json!({
        "@type": "cr:FileObject",
        "@id": file.path,
        "name": file.path,
        "contentUrl": file.path,
        "contentSize": format!("{} B", file.bytes),
        "encodingFormat": media_type(format),
        "sha256": file.sha256,
    })
}

fn media_type(format: Format) -> &'static str {
    match format {
        Format::Parquet | Format::Captions => "application/x-parquet",
        Format::Webdataset | Format::Energon => "application/x-tar",
        Format::Json | Format::Llava => "application/json",
        Format::Imagefolder => "application/jsonlines",
        Format::Mds => "application/octet-stream",
    }
}

/// Columns of the Parquet files; lists have no type in Croissant 1.0 and are left out.
fn record_set(format: Format, kinds: &Kinds) -> Value {
    let schema = crate::files::schema_of(format, kinds);
    let fields: Vec<Value> = schema
        .fields()
        .iter()
        .filter_map(|field| {
            let name = field.name();
            let extract = json!({"column": name});
            let source = match field.data_type() {
                // The image is a struct of bytes and path.
                DataType::Struct(_) => {
                    json!({"fileSet": {"@id": FILES}, "extract": extract, "transform": {"jsonPath": "bytes"}})
                }
                _ => json!({"fileSet": {"@id": FILES}, "extract": extract}),
            };
            Some(json!({
                "@type": "cr:Field",
                "@id": format!("{SAMPLES}/{name}"),
                "name": name,
                "dataType": data_type(field.data_type())?,
                "source": source,
            }))
        })
        .collect();
    json!({"@type": "cr:RecordSet", "@id": SAMPLES, "name": SAMPLES, "field": fields})
}

fn data_type(arrow: &DataType) -> Option<&'static str> {
    Some(match arrow {
        DataType::Utf8 => "sc:Text",
        DataType::Boolean => "sc:Boolean",
        DataType::Int64 | DataType::UInt32 | DataType::UInt64 => "sc:Integer",
        DataType::Float32 | DataType::Float64 => "sc:Float",
        DataType::Struct(_) => "sc:ImageObject",
        _ => return None,
    })
}

/// Vocabulary of Croissant 1.0, which its readers expect to be complete.
fn context() -> Value {
    let terms = [
        "citeAs",
        "column",
        "extract",
        "field",
        "fileProperty",
        "fileObject",
        "fileSet",
        "format",
        "includes",
        "isLiveDataset",
        "jsonPath",
        "key",
        "md5",
        "parentField",
        "path",
        "recordSet",
        "references",
        "regex",
        "repeated",
        "replace",
        "samplingRate",
        "separator",
        "source",
        "subField",
        "transform",
        "equivalentProperty",
    ];
    let mut context = json!({
        "@language": "en",
        "@vocab": "https://schema.org/",
        "cr": "http://mlcommons.org/croissant/",
        "rai": "http://mlcommons.org/croissant/RAI/",
        "dct": "http://purl.org/dc/terms/",
        "sc": "https://schema.org/",
        "conformsTo": "dct:conformsTo",
        "data": {"@id": "cr:data", "@type": "@json"},
        "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
        "examples": {"@id": "cr:examples", "@type": "@json"},
    });
    for term in terms {
        context[term] = json!(format!("cr:{term}"));
    }
    context
}
