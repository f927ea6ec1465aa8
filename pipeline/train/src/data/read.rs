//! Encoded pairs of one group.

use super::{
    DataError,
    dataset::{Choice, Group, GroupContent},
    draws::Draws,
};
use bytes::Bytes;
use capfilt_pipeline::{
    cleaned::{CleanedReader, ShardTables, Wanted},
    input::{CleanedRow, ImageInput, InputColumns, KeptText, ReadError, ShardReader},
    text::pre_caption,
};
use capfilt_schemas::{pairs::Source, plan::Shard, settings::training_data::Texts};
use capfilt_store::Location;
use sha2::{Digest as _, Sha256};

/// Rows that are decoded from Parquet at once.
const ROWS_AT_ONCE: usize = 256;

/// Words of a text that a model is trained on, as in BLIP.
pub const MAX_WORDS: usize = 30;

/// An encoded image and its text.
pub struct Pair {
    pub image: Bytes,
    pub image_id: i64,
    pub text: Text,
}

/// A cleaned text, or several texts of which one is sampled each time.
pub enum Text {
    One(String),
    /// A web text and one or more synthetic ones, with the probability of a synthetic one.
    Drawn {
        web: String,
        synthetic: Vec<String>,
        synthetic_share: f64,
    },
}

impl Text {
    pub fn draw(&self, draws: &mut Draws) -> &str {
        match self {
            Self::One(text) => text,
            Self::Drawn { web, synthetic, synthetic_share } => {
                if draws.unit() < *synthetic_share {
                    &synthetic[draws.below(synthetic.len() as u64) as usize]
                } else {
                    web
                }
            }
        }
    }
}

/// Pairs of a group, in order; `None` where image or text is missing.
pub async fn read(group: &Group) -> Result<Vec<Option<Pair>>, DataError> {
    let pairs = match &group.content {
        GroupContent::Rows { shard, columns } => read_rows(&group.place, shard, columns).await?,
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
) -> Result<Vec<Option<Pair>>, ReadError> {
    let mut reader = ShardReader::open(place, shard, columns.clone(), ROWS_AT_ONCE).await?;
    let mut pairs = Vec::with_capacity(shard.rows as usize);
    while let Some(rows) = reader.next().await? {
        pairs.extend(rows.samples.into_iter().map(|sample| {
            let text = pre_caption(sample.text.as_text()?, columns.max_words);
            match sample.image {
                ImageInput::Bytes { bytes, .. }
                    if sample.selected && !text.is_empty() && !bytes.is_empty() =>
                {
                    Some(Pair { image_id: id_of(&bytes), image: bytes, text: Text::One(text) })
                }
                _ => None,
            }
        }));
    }
    Ok(pairs)
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
                pairs.push(is_usable.then(|| Pair { image: row.image.clone(), image_id, text }));
            }
        }
    }
    Ok(pairs)
}

/// Pairs of a row under a rule.
fn texts_of(row: &CleanedRow, choice: Choice) -> Vec<Text> {
    let clean = |text: &&KeptText| pre_caption(&text.text, MAX_WORDS);
    let all = row.texts(choice.texts);
    if choice.texts != Texts::Random {
        return all.iter().map(|text| Text::One(clean(text))).collect();
    }
    let (web, synthetic): (Vec<_>, Vec<_>) = all.into_iter().partition(|text| text.source == Source::Web);
    let synthetic: Vec<String> = synthetic.iter().map(clean).collect();
    vec![match web.first() {
        Some(web) if synthetic.is_empty() => Text::One(clean(web)),
        Some(web) => Text::Drawn { web: clean(web), synthetic, synthetic_share: choice.synthetic_share },
        None => Text::Drawn { web: String::new(), synthetic, synthetic_share: 1.0 },
    }]
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

    fn row(captions: &[(&str, Source, f32)]) -> CleanedRow {
        let text = |(text, source, itm): &(&str, Source, f32)| KeptText {
            text: (*text).into(),
            source: *source,
            itm: *itm,
            itc: None,
        };
        let (image, captions) = (Bytes::from_static(b"x"), captions.iter().map(text).collect());
        CleanedRow { key: None, image, path: None, width: 1, height: 1, captions }
    }

    fn texts(row: &CleanedRow, texts: Texts) -> Vec<String> {
        let made = texts_of(row, Choice { texts, synthetic_share: 0.5 });
        made.iter().map(|text| text.draw(&mut Draws::of("test", &[1])).to_owned()).collect()
    }

    #[test]
    fn a_rule_selects_exactly_its_texts() {
        let all = row(&[
            ("Web!", Source::Web, 0.7),
            ("one", Source::Synthetic, 0.9),
            ("two", Source::Synthetic, 0.6),
        ]);
        assert_eq!(texts(&all, Texts::Both), ["web", "one", "two"]);
        assert_eq!(texts(&all, Texts::Web), ["web"]);
        assert_eq!(texts(&all, Texts::Synthetic), ["one", "two"]);
        assert_eq!(texts(&all, Texts::Score), ["one"]);
        assert_eq!(
            texts(&row(&[("a", Source::Web, 0.5), ("b", Source::Synthetic, 0.5)]), Texts::Score),
            ["a"]
        );
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
        assert_eq!(texts(&row(&[("only", Source::Synthetic, 0.9)]), Texts::Random), ["only"]);
        assert_eq!(texts(&row(&[("only", Source::Web, 0.9)]), Texts::Random), ["only"]);
    }
}
