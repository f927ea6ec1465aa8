//! Search for pictures by a text: the cosines of the images' vectors with the text's vector.

use crate::samples::RowView;
use capfilt_coordinator::CommitName;
use capfilt_schemas::{ledger::LedgerRow, texts::Embedding};
use std::sync::Arc;

/// Computes the unit vector of a text in the space of a job's images; blocks while it computes.
pub type TextVector = Arc<dyn Fn(&str) -> Result<Vec<f32>, String> + Send + Sync>;

/// The rows whose images have the greatest cosines with a text. Memory: at most `most` rows.
pub(crate) struct Likeness {
    text: Vec<f32>,
    most: usize,
    /// Cosine and row, greatest cosine first.
    best: Vec<(f32, RowView)>,
    /// Rows without a vector of the text's width.
    pub without_vector: usize,
}

impl Likeness {
    pub fn to(text: Vec<f32>, most: usize) -> Self {
        Self { text, most, best: Vec::new(), without_vector: 0 }
    }

    pub fn take(&mut self, row: &LedgerRow, commit: &CommitName) {
        let image = row.image_embedding.as_ref().filter(|image| image.len() == self.text.len());
        let product = |image: &Embedding| -> f32 {
            image.iter().zip(&self.text).map(|(image, text)| image.to_f32() * text).sum()
        };
        // A vector of another program may have NaN, which has no place in the order.
        let Some(cosine) = image.map(product).filter(|cosine| cosine.is_finite()) else {
            self.without_vector += 1;
            return;
        };
        // Of equal cosines, the row that was read first stays first.
        let at = self.best.partition_point(|(other, _)| *other >= cosine);
        if at < self.most {
            self.best.truncate(self.most - 1);
            self.best.insert(at, (cosine, RowView::of(row, commit)));
        }
    }

    pub fn into_rows(self) -> Vec<(RowView, Option<f32>)> {
        self.best.into_iter().map(|(cosine, row)| (row, Some(cosine))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use capfilt_schemas::{plan::ShardId, texts::embedding};

    #[test]
    fn the_images_with_the_greatest_cosines_are_found_in_their_order() {
        let commit = CommitName { shard: ShardId::of("a.parquet", "etag", 0..1), n: 0, written_ms: 0 };
        let mut likeness = Likeness::to(vec![0.6, 0.8], 2);
        let vectors = [
            Some([1.0, 0.0]),
            None,
            Some([0.0, 1.0]),
            Some([0.6, 0.8]),
            Some([-1.0, 0.0]),
            Some([f32::NAN; 2]),
        ];
        for (number, vector) in (0..).zip(vectors) {
            let mut row = LedgerRow::missing("a.parquet", number);
            row.image_embedding = vector.map(|vector| embedding(&vector));
            likeness.take(&row, &commit);
        }
        assert_eq!(likeness.without_vector, 2);
        let found = likeness.into_rows();
        let numbers: Vec<u64> = found.iter().map(|(row, _)| row.row).collect();
        assert_eq!(numbers, [3, 2]);
        // Half precision keeps 11 bits.
        assert!((found[0].1.unwrap() - 1.0).abs() < 1e-3 && (found[1].1.unwrap() - 0.8).abs() < 1e-3);
    }
}
