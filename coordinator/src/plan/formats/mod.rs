//! Contents of an input file for a plan, and its columns before a job has settings, by format. Each format is
//! one file or folder.

pub(crate) mod columns;
mod folder;
pub(super) mod footer;
mod records;
mod tar;

use super::{
    PlanError,
    contents::{Contents, Rows},
};
use arrow::datatypes::Schema;
use capfilt_schemas::plan::{InputFile, InputFormat};
use capfilt_store::Location;
use columns::Column;

/// Contents of a file. `schema` has the columns that the job reads, for the formats whose files do not name
/// them. The inner error is the reason why the file is refused.
pub(super) async fn contents(
    input: &Location,
    file: &InputFile,
    schema: Schema,
    rows: Rows,
) -> Result<Result<Contents, String>, PlanError> {
    match InputFormat::of(&file.path) {
        InputFormat::Parquet => footer::read(input, file).await,
        InputFormat::Tar => tar::read(input, file, false, schema, rows).await,
        InputFormat::TarGz => tar::read(input, file, true, schema, rows).await,
        InputFormat::Records(format) => records::read(input, file, format, schema, rows.wanted).await,
        InputFormat::ImageFolder => folder::read(input, file, schema, rows.wanted).await,
    }
}

/// Columns of a file. The inner error is the reason why the file cannot be read.
pub(crate) async fn columns(
    input: &Location,
    file: &InputFile,
) -> Result<Result<Vec<Column>, String>, PlanError> {
    match InputFormat::of(&file.path) {
        InputFormat::Parquet => footer::columns(input, file).await,
        InputFormat::Tar => tar::columns(input, file, false).await,
        InputFormat::TarGz => tar::columns(input, file, true).await,
        InputFormat::Records(format) => records::columns(input, file, format).await,
        InputFormat::ImageFolder => folder::columns(input, file).await,
    }
}
