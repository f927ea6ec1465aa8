//! Pairs as Parquet files in img2dataset's layout, with two extra columns for checks only: `truth` and
//! `scene`.

mod error;
mod stated;

pub use crate::source::Pairs;
use crate::{
    clip::frames,
    draw::draw,
    jpeg::encode,
    noise::{About, Kind, Subject, text},
    parse::{Verdict, truth},
    questions::Query,
    random::{self, Purpose, Random},
    scene::{MOST_OBJECTS, Scene},
    table::{self, Row},
};
pub use error::MakeError;
use parquet::arrow::ArrowWriter;
use rayon::prelude::*;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Order of a data set. Pictures of different seeds, or kinds, have different random numbers. A row group is
/// in memory: about 5 kB per picture or frame at 96 pixels per side.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "arguments", derive(clap::Args), command(next_help_heading = "Data"))]
#[cfg_attr(
    feature = "arguments",
    group(requires = "make_data", conflicts_with_all = ["make_vocabulary", "truth"])
)]
pub struct Order {
    /// Kind of the texts
    #[cfg_attr(feature = "arguments", arg(long = "kind", default_value = "web"))]
    pub source: Pairs,
    /// Number of pictures; of statements, of pairs of pictures
    #[cfg_attr(
        feature = "arguments",
        arg(long, value_name = "N", default_value_t = 2400),
        arg(value_parser = clap::value_parser!(u64).range(1..1_000_000_000))
    )]
    pub scenes: u64,
    /// Texts per picture, one row per text
    #[cfg_attr(
        feature = "arguments",
        arg(long = "captions-per-scene", value_name = "N", default_value_t = 1),
        arg(value_parser = clap::value_parser!(u64).range(1..=MOST_CAPTIONS))
    )]
    pub captions: u64,
    /// Number of consecutive pictures that show one scene with one difference: the text of one picture is
    /// false for the other pictures of the scene (hard negatives)
    #[cfg_attr(
        feature = "arguments",
        arg(long = "alike", value_name = "N", default_value_t = 1),
        arg(value_parser = clap::value_parser!(u64).range(1..=1000))
    )]
    pub family_size: u64,
    /// Difference between the pictures of one scene
    #[cfg_attr(feature = "arguments", arg(long, default_value = "anything"))]
    pub vary: Vary,
    /// Largest number of shapes in a picture; with 1 the data has no left and right to learn
    #[cfg_attr(
        feature = "arguments",
        arg(long, value_name = "N", default_value_t = MOST_OBJECTS),
        arg(value_parser = clap::value_parser!(u8).range(1..=i64::from(MOST_OBJECTS)))
    )]
    pub objects: u8,
    /// Frames of a clip; with fewer than 8, some events are hardly seen
    #[cfg_attr(
        feature = "arguments",
        arg(long = "clip-frames", value_name = "N", default_value_t = 16),
        arg(value_parser = clap::value_parser!(u16).range(2..=1000))
    )]
    pub frames: u16,
    /// Side of the pictures, in pixels
    #[cfg_attr(
        feature = "arguments",
        arg(long, value_name = "PIXELS", default_value_t = 96),
        arg(value_parser = clap::value_parser!(u16).range(16..=1024))
    )]
    pub side: u16,
    /// Rows per file
    #[cfg_attr(
        feature = "arguments",
        arg(long, value_name = "N", default_value_t = 20_000),
        arg(value_parser = clap::value_parser!(u64).range(1..))
    )]
    pub file_rows: u64,
    /// Rows per row group
    #[cfg_attr(
        feature = "arguments",
        arg(long, value_name = "N", default_value_t = 2000),
        arg(value_parser = clap::value_parser!(u64).range(1..=100_000))
    )]
    pub group_rows: u64,
    /// Seed of the data: the same seed gives the same files
    #[cfg_attr(feature = "arguments", arg(long, default_value_t = 0))]
    pub seed: u64,
}

/// The text's number has two digits in the key.
pub const MOST_CAPTIONS: u64 = 100;

/// Property in which the scenes of a family differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "arguments", derive(clap::ValueEnum))]
pub enum Vary {
    /// Any part of the scene.
    Anything,
    /// Positions of two shapes, in at most four arrangements, the hardest property to recognise; every scene
    /// has two shapes.
    Places,
}

/// Writes an order's files into a folder, one after the other, and counts the texts by kind. `made` receives
/// the number of rows. A file gets its name when it is complete, and replaces an existing file.
///
/// # Errors
/// A file cannot be written, or the folder has files of this source that the order would not replace.
pub fn make(
    folder: &Path,
    order: &Order,
    mut made: impl FnMut(u64),
) -> Result<BTreeMap<Kind, u64>, MakeError> {
    if order.vary == Vary::Places && order.objects < MOST_OBJECTS {
        return Err(MakeError::OnePlace);
    }
    if order.vary == Vary::Places && order.source.is_clips() {
        return Err(MakeError::ClipPlaces);
    }
    let is_varied = order.vary == Vary::Places || order.family_size > 1;
    if order.source == Pairs::Statements && is_varied {
        return Err(MakeError::OwnPairs);
    }
    fs::create_dir_all(folder).map_err(|source| MakeError::Io { path: folder.into(), source })?;
    let per_file = (order.file_rows / order.captions).max(1);
    let files: Vec<(PathBuf, Range<u64>)> = (0..order.scenes)
        .step_by(per_file as usize)
        .enumerate()
        .map(|(i, first)| (folder.join(name(order, i)), first..(first + per_file).min(order.scenes)))
        .collect();
    no_leftover(folder, order, files.len())?;
    let (mut counts, mut rows) = (BTreeMap::new(), 0);
    for (path, scenes) in files {
        let partial = path.with_extension("parquet.partial");
        write(&partial, scenes, order, |group| {
            group.iter().for_each(|row| *counts.entry(row.kind).or_default() += 1);
            rows += group.len() as u64;
            made(rows);
        })?;
        fs::rename(&partial, &path).map_err(|source| MakeError::Io { path, source })?;
    }
    Ok(counts)
}

fn name(order: &Order, number: usize) -> String {
    format!("{}-{number:05}.parquet", order.source.name())
}

fn no_leftover(folder: &Path, order: &Order, files: usize) -> Result<(), MakeError> {
    // File names are numbered without gaps, so the next one exists if any later one does.
    let next = folder.join(name(order, files));
    if next.exists() { Err(MakeError::Leftover { path: next }) } else { Ok(()) }
}

fn write(
    path: &Path,
    scenes: Range<u64>,
    order: &Order,
    mut made: impl FnMut(&[Row]),
) -> Result<(), MakeError> {
    let failed = |source| MakeError::Parquet { path: path.into(), source };
    let file = File::create(path).map_err(|source| MakeError::Io { path: path.into(), source })?;
    let mut writer =
        ArrowWriter::try_new(file, table::schema(order.source), Some(table::properties())).map_err(failed)?;
    let per_group = (order.group_rows / order.captions).max(1);
    for first in scenes.clone().step_by(per_group as usize) {
        let group = first..(first + per_group).min(scenes.end);
        let rows: Vec<Vec<Row>> =
            group.into_par_iter().map(|number| rows(number, order)).collect::<Result<_, _>>()?;
        let rows: Vec<Row> = rows.into_iter().flatten().collect();
        let batch = table::batch(&rows, order.source, order.side).map_err(|error| failed(error.into()))?;
        writer.write(&batch).and_then(|()| writer.flush()).map_err(failed)?;
        made(&rows);
    }
    writer.close().map(drop).map_err(failed)
}

/// A picture of an order: its scene and its pixels, `side × side × 3`; of a clip, one per frame.
pub fn picture(number: u64, order: &Order) -> (Scene, Vec<Vec<u8>>) {
    let (scene, frames, _) = drawn(number, order);
    (scene, frames)
}

/// Random generator of a picture.
fn numbers(number: u64, order: &Order) -> Random {
    let purpose = match order.source {
        Pairs::Human => Purpose::Human,
        Pairs::Web => Purpose::Web,
        Pairs::Questions => Purpose::Questions,
        Pairs::ClipObjects | Pairs::ClipScenes | Pairs::ClipEvents => Purpose::Clips,
        Pairs::ClipQuestions => Purpose::ClipQuestions,
        Pairs::Statements => Purpose::Statements,
    };
    random::of(order.seed, purpose, number)
}

fn drawn(number: u64, order: &Order) -> (Scene, Vec<Vec<u8>>, Random) {
    let (mut random, side) = (numbers(number, order), usize::from(order.side));
    let scene = scene(number, order, &mut random);
    let pictures = match order.source.is_clips() {
        true => frames(&scene, side, usize::from(order.frames), &mut random),
        false => vec![draw(&scene, side, &mut random)],
    };
    (scene, pictures, random)
}

/// A scene of the kind of the order, without a family.
fn any_scene(order: &Order, random: &mut Random) -> Scene {
    match order.source.is_clips() {
        true => Scene::clip(order.objects, random),
        false => Scene::of_at_most(order.objects, random),
    }
}

/// An independent scene, or a variant of the first scene of its family.
fn scene(number: u64, order: &Order, random: &mut Random) -> Scene {
    let behind = number % order.family_size.max(1);
    let mut head = numbers(number - behind, order);
    match (order.vary, behind) {
        (Vary::Anything, 0) => any_scene(order, random),
        (Vary::Anything, _) => any_scene(order, &mut head).varied(random),
        (Vary::Places, 0) => Scene::pair(random),
        (Vary::Places, _) => Scene::pair(&mut head).turned(behind),
    }
}

/// The other scenes of the family.
fn family(number: u64, order: &Order) -> Vec<Scene> {
    let first = number - number % order.family_size.max(1);
    let others = (first..first + order.family_size.max(1)).filter(|other| *other != number);
    let scenes = others.map(|other| scene(other, order, &mut numbers(other, order)));
    let own = scene(number, order, &mut numbers(number, order));
    scenes.filter(|other| *other != own).collect()
}

fn url(number: u64, order: &Order) -> String {
    format!("https://scenes.example/{}/{}/{number}.jpg", order.source.name(), order.seed)
}

fn rows(number: u64, order: &Order) -> Result<Vec<Row>, MakeError> {
    match order.source {
        Pairs::Statements => stated::rows(number, order),
        _ => rows_of(number, order),
    }
}

/// Rows of one scene. Its random numbers are separate, so scenes can be made in any order.
fn rows_of(number: u64, order: &Order) -> Result<Vec<Row>, MakeError> {
    let (scene, pictures, mut random) = drawn(number, order);
    let side = usize::from(order.side);
    let jpgs = pictures.iter().map(|pixels| encode(pixels, side)).collect::<Result<Vec<_>, _>>();
    let jpgs: Arc<[Vec<u8>]> = jpgs.map_err(|source| MakeError::Jpeg { number, source })?.into();
    let json = scene.to_json();
    let family = family(number, order);
    // A text that omits the distinguishing property would also be true of other pictures of the family.
    let distinguishes = |text: &str| family.iter().all(|other| truth(text, other) != Verdict::True);
    let subject = Subject { objects: order.objects, about: About::of(order.source) };
    let caption_of = |kind, random: &mut Random| loop {
        let text = text(kind, &scene, subject, random);
        if kind != Kind::True || distinguishes(&text) {
            break text;
        }
    };
    let mut earlier = Vec::new();
    let row = |caption: u64| {
        let kind = match order.source {
            Pairs::Human | Pairs::Questions | Pairs::ClipQuestions | Pairs::Statements => Kind::True,
            _ => Kind::dealt(order.seed, number * order.captions + caption),
        };
        let (caption_text, answer) = match order.source.is_questions() {
            true => asked(&scene, &mut earlier, &mut random),
            false => (caption_of(kind, &mut random), None),
        };
        Row {
            key: format!("{number:09}{caption:02}"),
            jpgs: Arc::clone(&jpgs),
            caption: caption_text,
            answer,
            url: url(number, order),
            kind,
            scene: json.clone(),
            second: None,
        }
    };
    Ok((0..order.captions).map(row).collect())
}

/// Tries to find a question that the picture does not have yet. A scene of one object has about twenty.
const TRIES: usize = 16;

/// A question and its answer.
fn asked(scene: &Scene, earlier: &mut Vec<Query>, random: &mut Random) -> (String, Option<String>) {
    let mut query = Query::any(scene, random);
    for _ in 0..TRIES {
        if !earlier.contains(&query) {
            break;
        }
        query = Query::any(scene, random);
    }
    earlier.push(query);
    (query.say(random), query.answer(scene))
}

#[cfg(test)]
mod tests;
