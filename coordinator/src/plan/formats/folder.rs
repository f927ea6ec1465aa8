//! Plans a folder of images: one listing gives its rows; no image is read.

use super::columns::{Column, Columns, Kind, SAMPLES, of_suffix};
use crate::plan::{
    PlanError,
    contents::{Contents, Unit, of_file},
};
use arrow::datatypes::Schema;
use capfilt_schemas::plan::{InputFile, Part};
use capfilt_store::{
    Location,
    image_folder::{ImageFile, ImageFolder},
};

/// Lists the folder and cuts its images into units of as many rows as a shard. The inner error is the reason
/// why the folder is refused.
pub async fn read(
    input: &Location,
    file: &InputFile,
    schema: Schema,
    rows_wanted: u64,
) -> Result<Result<Contents, String>, PlanError> {
    let listed = ImageFolder::planned(input, file).await;
    let folder = match of_file(file, listed.map(Ok))? {
        Ok(folder) => folder,
        Err(why) => return Ok(Err(why)),
    };
    let units = units(&folder.images, usize::try_from(rows_wanted).unwrap_or(usize::MAX).max(1));
    Ok(Ok(Contents { schema, encrypted: Vec::new(), units, rows_exact: true, warnings: Vec::new() }))
}

fn units(images: &[ImageFile], rows_wanted: usize) -> Vec<Unit> {
    let mut first_row = 0;
    let unit = |images: &[ImageFile]| {
        let (start, rows) = (first_row, images.len() as u64);
        first_row += rows;
        Unit { part: Part::Rows(start..start + rows), rows, bytes: images.iter().map(ImageFile::bytes).sum() }
    };
    images.chunks(rows_wanted).map(unit).collect()
}

/// Columns of the first images. The inner error is the reason why the folder cannot be read.
pub async fn columns(input: &Location, file: &InputFile) -> Result<Result<Vec<Column>, String>, PlanError> {
    let listed = ImageFolder::planned(input, file).await;
    of_file(file, listed.map(|folder| Ok(columns_of(&folder))))
}

fn columns_of(folder: &ImageFolder) -> Vec<Column> {
    let mut columns = Columns::default();
    columns.add("jpg", Kind::Image);
    for (suffix, _) in folder.images.iter().take(SAMPLES).flat_map(|image| &image.beside) {
        columns.add(suffix, of_suffix(suffix));
    }
    columns.0
}
