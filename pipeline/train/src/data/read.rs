//! Encoded pairs of one group.

use super::{
    DataError,
    dataset::{Choice, Group, GroupContent, RowKind},
    draws::Draws,
    questions::{Answer, asked},
};
use bytes::Bytes;
use capfilt_pipeline::{
    cleaned::{CleanedReader, ShardTables, Wanted},
    input::{
        CleanedRow, ImageInput, InputColumns, KeptText, ReadError, Rows, Sample, SecondImage, ShardReader,
    },
    text::pre_caption,
};
use capfilt_schemas::{plan::Shard, settings::training_data::Texts};
use capfilt_store::Location;
use sha2::{Digest as _, Sha256};

/// Rows that are decoded from Parquet at once.
const ROWS_AT_ONCE: usize = 256;

/// Words of a text that a model is trained on, as in BLIP.
pub const MAX_WORDS: usize = 30;

/// An encoded image and its text, its question with answers, or a statement about it and a second image.
pub struct Pair {
    pub image: Bytes,
    pub image_id: i64,
    pub text: Text,
    /// Empty for a text that is not a question.
    pub answers: Vec<Answer>,
    /// The second image, and the truth of the statement about both.
    pub second: Option<SecondImage>,
}

/// A cleaned text, or several texts of which one is sampled each time.
pub enum Text {
    One(String),
    /// Texts of the input and synthetic ones, with the probability of a synthetic one.
    Drawn {
        inputs: Vec<String>,
        synthetic: Vec<String>,
        synthetic_share: f64,
    },
}

impl Text {
    pub fn draw(&self, draws: &mut Draws) -> &str {
        match self {
            Self::One(text) => text,
            Self::Drawn { inputs, synthetic, synthetic_share } => {
                let texts = if draws.unit() < *synthetic_share { synthetic } else { inputs };
                &texts[draws.below(texts.len() as u64) as usize]
            }
        }
    }
}

/// Pairs of a group, in order; `None` where image or text is missing.
pub async fn read(group: &Group) -> Result<Vec<Option<Pair>>, DataError> {
    let pairs = match &group.content {
        GroupContent::Rows { shard, columns, kind } => read_rows(&group.place, shard, columns, kind).await?,
        GroupContent::Table { tables, choice, referenced } => {
            let wanted = Wanted { referenced: referenced.clone(), cosines: false };
            read_table(&group.place, tables, &wanted, *choice).await?
        }
    };
    if pairs.len() as u64 != group.pairs {
        let (file, planned, found) = (group.name(), group.pairs, pairs.len() as u64);
        return Err(ReadError::Rows { file, planned, found }.into());
    }
    Ok(pairs)
}

async fn read_rows(
    place: &Location,
    shard: &Shard,
    columns: &InputColumns,
    kind: &RowKind,
) -> Result<Vec<Option<Pair>>, ReadError> {
    let mut reader = ShardReader::open(place, shard, columns.clone(), ROWS_AT_ONCE).await?;
    let mut pairs = Vec::with_capacity(shard.rows as usize);
    while let Some(rows) = reader.next().await? {
        let seconds = seconds(&rows, kind, &shard.file.path)?;
        let pair = |(sample, second)| pair(sample, second, columns.max_words, kind);
        pairs.extend(rows.samples.into_iter().zip(seconds).map(pair));
    }
    Ok(pairs)
}

/// Second images and labels of rows with statements; `None` for each row of another kind.
fn seconds(rows: &Rows, kind: &RowKind, file: &str) -> Result<Vec<Option<SecondImage>>, ReadError> {
    let RowKind::Statements(columns) = kind else { return Ok(vec![None; rows.samples.len()]) };
    columns.cells(&rows.passthrough).map_err(|source| ReadError::Column { file: file.to_owned(), source })
}

/// The pair of a row; `None` if a part of it is missing.
fn pair(sample: Sample, second: Option<SecondImage>, max_words: usize, kind: &RowKind) -> Option<Pair> {
    let (text, answers) = match kind {
        RowKind::Questions(answers) => {
            let (question, answers) = asked(&sample, answers)?;
            (Text::One(question), answers)
        }
        RowKind::Statements(_) if second.is_none() => return None,
        RowKind::Captions | RowKind::Statements(_) => (text_of(&sample, max_words)?, Vec::new()),
    };
    match sample.image {
        ImageInput::Bytes { bytes, .. } if sample.selected && !bytes.is_empty() => {
            Some(Pair { image_id: id_of(&bytes), image: bytes, text, answers, second })
        }
        _ => None,
    }
}

/// The text of a row, or all texts of its list; `None` if every text is empty after cleaning.
fn text_of(sample: &Sample, max_words: usize) -> Option<Text> {
    let texts = sample.texts.iter().filter_map(|text| text.text.as_text());
    let cleaned = texts.map(|text| pre_caption(text, max_words)).filter(|text| !text.is_empty());
    let mut inputs: Vec<String> = cleaned.collect();
    match inputs.len() {
        0 => None,
        1 => inputs.pop().map(Text::One),
        _ => Some(Text::Drawn { inputs, synthetic: Vec::new(), synthetic_share: 0.0 }),
    }
}

async fn read_table(
    job: &Location,
    tables: &ShardTables,
    wanted: &Wanted,
    choice: Choice,
) -> Result<Vec<Option<Pair>>, ReadError> {
    let mut reader = CleanedReader::open(job, tables, wanted).await?;
    let mut pairs = Vec::with_capacity(tables.pairs.rows as usize);
    while let Some(rows) = reader.next().await? {
        for row in rows.rows {
            let image_id = id_of(&row.image);
            for text in texts_of(&row, choice) {
                let is_usable = !row.image.is_empty();
                let (image, answers, second) = (row.image.clone(), Vec::new(), None);
                pairs.push(is_usable.then_some(Pair { image, image_id, text, answers, second }));
            }
        }
    }
    Ok(pairs)
}

/// Pairs of a row under a rule.
fn texts_of(row: &CleanedRow, choice: Choice) -> Vec<Text> {
    let clean = |text: &&KeptText| pre_caption(&text.text, MAX_WORDS);
    let all = row.selected(choice.texts);
    if choice.texts != Texts::Random {
        return all.iter().map(|text| Text::One(clean(text))).collect();
    }
    let (synthetic, inputs): (Vec<_>, Vec<_>) = all.into_iter().partition(|text| text.is_synthetic());
    let synthetic_share = match (inputs.is_empty(), synthetic.is_empty()) {
        (true, _) => 1.0,
        (_, true) => 0.0,
        _ => choice.synthetic_share,
    };
    let [inputs, synthetic] = [inputs, synthetic].map(|texts| texts.iter().map(clean).collect());
    vec![Text::Drawn { inputs, synthetic, synthetic_share }]
}

/// Equal for equal images, never negative: negative ids mark the queue's empty entries.
fn id_of(image: &[u8]) -> i64 {
    let digest: [u8; 32] = Sha256::digest(image).into();
    let first = digest[..8].iter().fold(0_u64, |all, byte| all << 8 | u64::from(*byte));
    (first >> 1) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use capfilt_schemas::texts::SYNTHETIC;

    const CAPTION: &str = "caption";

    fn row(texts: &[(&str, &str, f32)]) -> CleanedRow {
        let text = |(text, source, itm): &(&str, &str, f32)| KeptText {
            text: (*text).into(),
            source: (*source).into(),
            itm: *itm,
            itc: None,
        };
        let (image, texts) = (Bytes::from_static(b"x"), texts.iter().map(text).collect());
        CleanedRow { key: None, image, path: None, width: 1, height: 1, texts, judged: None }
    }

    fn texts(row: &CleanedRow, texts: Texts) -> Vec<String> {
        let made = texts_of(row, Choice { texts, synthetic_share: 0.5 });
        made.iter().map(|text| text.draw(&mut Draws::of("test", &[1])).to_owned()).collect()
    }

    #[test]
    fn a_rule_selects_exactly_its_texts() {
        let all = row(&[("Web!", CAPTION, 0.7), ("one", SYNTHETIC, 0.9), ("two", SYNTHETIC, 0.6)]);
        assert_eq!(texts(&all, Texts::Both), ["web", "one", "two"]);
        assert_eq!(texts(&all, Texts::Web), ["web"]);
        assert_eq!(texts(&all, Texts::Synthetic), ["one", "two"]);
        assert_eq!(texts(&all, Texts::Score), ["one"]);
        assert_eq!(texts(&row(&[("a", CAPTION, 0.5), ("b", SYNTHETIC, 0.5)]), Texts::Score), ["a"]);
        let drawn = &texts_of(&all, Choice { texts: Texts::Random, synthetic_share: 0.25 })[0];
        let mut counts = [0; 3];
        for index in 0..10_000 {
            let text = drawn.draw(&mut Draws::of("text", &[7, 0, index]));
            counts[["web", "one", "two"].iter().position(|known| *known == text).unwrap()] += 1;
        }
        // Five standard deviations of 10,000 samples are 2.2 %.
        assert!(
            counts.iter().zip([7500, 1250, 1250]).all(|(count, expected)| i32::abs(count - expected) < 220),
            "{counts:?}"
        );
        assert_eq!(texts(&row(&[("only", SYNTHETIC, 0.9)]), Texts::Random), ["only"]);
        assert_eq!(texts(&row(&[("only", CAPTION, 0.9)]), Texts::Random), ["only"]);
    }
}
