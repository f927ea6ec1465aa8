use super::*;
use capfilt_pipeline::{
    input::{ImageInput, Sample},
    prepare::{PreparedImage, Skip},
};
use capfilt_schemas::status::RowStatus;

fn row(row: u64, has_image: bool) -> Prepared {
    let sample = Sample {
        row,
        key: None,
        member: None,
        image: ImageInput::Missing,
        texts: Vec::new(),
        selected: true,
        control: None,
        note: None,
    };
    let pixels = bytes::Bytes::new();
    let image = PreparedImage {
        width: 1,
        height: 1,
        hash: None,
        captioner_u8: pixels.clone(),
        filter_u8: pixels,
        clip_u8: bytes::Bytes::new(),
        note: None,
    };
    let missing = Skip::For { status: RowStatus::ImageMissing, detail: None };
    let image = if has_image { Ok(image) } else { Err(missing) };
    Prepared { sample, image_sha256: None, image, texts: Vec::new() }
}

/// Row numbers of a shard's batches if its rows arrive in chunks of `chunk` rows.
fn batches(rows: &[(bool, u64)], chunk: usize, batch: usize) -> Vec<Vec<u64>> {
    let mut batcher = Batcher::default();
    let mut cut = Vec::new();
    let numbered: Vec<_> =
        rows.iter().zip(0..).map(|((has_image, bytes), i)| (row(i, *has_image), *bytes)).collect();
    for chunk in numbered.chunks(chunk) {
        let passthrough =
            arrow::array::UInt64Array::from_iter_values(chunk.iter().map(|(row, _)| row.sample.row));
        let passthrough =
            RecordBatch::try_from_iter([("row", std::sync::Arc::new(passthrough) as _)]).unwrap();
        let (rows, bytes) = chunk.iter().cloned().unzip();
        batcher.push(PreparedRows { rows, bytes, passthrough, held: Vec::new() });
        cut.extend(std::iter::from_fn(|| batcher.full(batch).unwrap()));
    }
    cut.extend(batcher.rest().unwrap());
    let numbers = |batch: PreparedRows| {
        let passed = batch.passthrough.column(0);
        let passed = arrow::array::AsArray::as_primitive::<arrow::datatypes::UInt64Type>(passed);
        let rows: Vec<u64> = batch.rows.iter().map(|row| row.sample.row).collect();
        assert_eq!(passed.values(), &rows[..], "the pass-through columns belong to the rows");
        assert_eq!(batch.bytes.len(), rows.len());
        rows
    };
    cut.into_iter().map(numbers).collect()
}

#[test]
fn a_batch_is_full_by_images_or_by_bytes_however_its_rows_arrive() {
    let few = BATCH_BYTES / 4;
    let rows = [
        (true, 1),
        (false, 1),
        (true, 1), // two images
        (true, 3 * few),
        (true, few + 1),  // too large together with the row before
        (false, 5 * few), // too large alone
        (false, few),
        (false, few),
    ];
    let expected = [vec![0, 1, 2], vec![3], vec![4], vec![5], vec![6, 7]];
    for chunk in 1..=rows.len() {
        assert_eq!(batches(&rows, chunk, 2), expected, "chunks of {chunk}");
    }
}
