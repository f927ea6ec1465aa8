//! Choice of the columns that a job needs, by name and type.

use crate::plan::formats::columns::{Column, Kind};
use capfilt_schemas::plan::InputFormat;

/// Usual names of image columns; an earlier name is preferred.
const IMAGES: [&str; 8] = ["jpg", "image", "img", "image_bytes", "bytes", "jpeg", "png", "webp"];
const PATHS: [&str; 5] = ["file_name", "image_path", "path", "file", "filename"];
const LINKS: [&str; 5] = ["url", "image_url", "URL", "link", "img_url"];
const TEXTS: [&str; 12] = [
    "caption",
    "text",
    "txt",
    "TEXT",
    "alt_text",
    "alt",
    "captions",
    "texts",
    "top_caption",
    "title",
    "description",
    "prompt",
];
/// Parts of the names of columns with captions by a model.
const FURTHER_TEXTS: [&str; 2] = ["caption", "description"];
const KEYS: [&str; 8] = ["key", "uid", "id", "__key__", "image_id", "sample_id", "SAMPLE_ID", "hash"];
const DIGESTS: [&str; 3] = ["sha256", "md5", "sha512"];

/// Settings of `[input]` and `[links]` that fit an input. An empty image or text means that no column fits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guess {
    /// `input.image`.
    pub image: String,
    /// Whether the images are links that the job fetches.
    pub fetches: bool,
    /// `links.digest`.
    pub digest: Option<String>,
    /// `input.text`.
    pub texts: Vec<String>,
    /// `input.key`; `None` for the default.
    pub key: Option<String>,
    /// `input.passthrough`.
    pub passthrough: Vec<String>,
}

impl Guess {
    /// Chooses among the columns of a file.
    pub fn of(format: InputFormat, columns: &[Column]) -> Self {
        let named = |kind: Kind, names: &[&str]| {
            let of_name = |name: &&str| columns.iter().find(|c| c.kind == kind && c.name == **name);
            names.iter().find_map(of_name).map(|column| column.name.clone())
        };
        let first = |kind: Kind| columns.iter().find(|column| column.kind == kind).map(|c| c.name.clone());
        let embedded = named(Kind::Image, &IMAGES).or_else(|| first(Kind::Image));
        let path = named(Kind::Text, &PATHS);
        let link = named(Kind::Link, &LINKS).or_else(|| first(Kind::Link));
        let fetches = embedded.is_none() && path.is_none() && link.is_some();
        let digest = named(Kind::Text, &DIGESTS).filter(|_| fetches);
        let image = match format {
            // The default finds every usual suffix.
            InputFormat::Tar | InputFormat::TarGz if embedded.is_some() => Some("jpg".to_owned()),
            InputFormat::ImageFolder => Some("jpg".to_owned()),
            _ => embedded.or(path).or(link.clone()),
        };
        let image = image.unwrap_or_default();
        let key = KEYS.iter().find_map(|name| {
            let is_key = |column: &&Column| column.name == *name && column.kind != Kind::Image;
            columns.iter().find(is_key).map(|column| column.name.clone())
        });
        Self {
            texts: texts(columns, &image),
            passthrough: link.filter(|link| *link != image).into_iter().collect(),
            key: key.filter(|key| key != "key"),
            image,
            fetches,
            digest,
        }
    }
}

/// The usual text column, and further ones with captions. A member `.txt` that the default already finds, or
/// that repeats the caption of `.json`, is not a further text.
fn texts(columns: &[Column], image: &str) -> Vec<String> {
    let is_text = |column: &&Column| column.kind == Kind::Text && column.name != image;
    let all: Vec<&Column> = columns.iter().filter(is_text).collect();
    let usual = TEXTS.iter().find_map(|name| all.iter().find(|column| column.name == **name));
    let Some(usual) = usual else {
        return all.iter().filter(|column| is_further(column)).map(|column| column.name.clone()).collect();
    };
    let further = all.iter().filter(|column| column.name != usual.name && is_further(column));
    [usual].into_iter().chain(further).map(|column| column.name.clone()).collect()
}

fn is_further(column: &Column) -> bool {
    let name = column.name.to_lowercase();
    FURTHER_TEXTS.iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guess(format: InputFormat, columns: &[(&str, Kind)]) -> Guess {
        let column = |(name, kind): &(&str, Kind)| Column { name: (*name).to_owned(), kind: *kind };
        Guess::of(format, &columns.iter().map(column).collect::<Vec<_>>())
    }

    #[test]
    fn usual_columns_are_recognized() {
        let found = guess(
            InputFormat::Parquet,
            &[
                ("uid", Kind::Text),
                ("image", Kind::Image),
                ("text", Kind::Text),
                ("re_caption", Kind::Text),
                ("url", Kind::Link),
                ("width", Kind::Number),
            ],
        );
        assert_eq!(found.image, "image");
        assert_eq!(found.texts, ["text", "re_caption"]);
        assert_eq!((found.key.as_deref(), found.fetches), (Some("uid"), false));
        assert_eq!(found.passthrough, ["url"]);
    }

    #[test]
    fn a_list_of_links_is_fetched_and_its_digests_are_checked() {
        let columns = [("URL", Kind::Link), ("TEXT", Kind::Text), ("sha256", Kind::Text)];
        let found = guess(InputFormat::Parquet, &columns);
        assert_eq!((found.image.as_str(), found.fetches), ("URL", true));
        assert_eq!((found.digest.as_deref(), found.texts), (Some("sha256"), vec!["TEXT".to_owned()]));
        assert!(found.passthrough.is_empty());
    }

    #[test]
    fn a_tar_of_any_image_suffix_keeps_the_default() {
        let columns = [("png", Kind::Image), ("txt", Kind::Text), ("json", Kind::Other)];
        let found = guess(InputFormat::Tar, &columns);
        assert_eq!((found.image.as_str(), found.texts), ("jpg", vec!["txt".to_owned()]));
    }

    #[test]
    fn without_a_fitting_column_nothing_is_invented() {
        let found = guess(InputFormat::Parquet, &[("a", Kind::Number), ("b", Kind::Other)]);
        assert_eq!((found.image.as_str(), found.texts.len()), ("", 0));
    }
}
