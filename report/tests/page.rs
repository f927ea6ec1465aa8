//! The page: its rows, pictures, names and size.

use crate::support::{Row, World, judged};
use bytes::Bytes;
use capfilt_pipeline::image::{RgbImage, encode_png};
use capfilt_report::{Gallery, Options, Page, Statistics, gallery, gallery::NoPicture, statistics};
use capfilt_schemas::status::RowStatus;

fn row(number: u64) -> Row {
    let itm = (number * 37 % 100) as f32 / 100.0;
    let mut row = judged(number, &[("caption", "a red dog", itm), ("synthetic", "a dog", 1.0 - itm)]);
    if number % 10 == 9 {
        row.status = RowStatus::ImageTooSmall;
    }
    if number == 19 {
        row.status = RowStatus::Crashed;
    }
    row
}

async fn job(settings: &[&str]) -> World {
    let world = World::new(&[settings, &["shards.rows=50"]].concat());
    let rows: Vec<Row> = (0..200).map(row).collect();
    world.write_input("a.parquet", &rows, 50);
    world.finish(|_, number| row(number), |_| ()).await;
    world
}

async fn read(world: &World, seed: u64) -> (Statistics, Gallery) {
    let statistics = statistics::read(&world.bucket(), &Options { seed, truth: None }).await.unwrap();
    let gallery = gallery::read(&world.bucket(), &statistics).await.unwrap();
    (statistics, gallery)
}

#[tokio::test]
async fn every_sampled_row_has_its_picture_texts_and_verdicts() {
    for settings in [&[][..], &["output.images=reference"], &["output.format=webdataset"]] {
        let world = job(settings).await;
        let (statistics, gallery) = read(&world, 0).await;
        assert_eq!(gallery.cards.len(), statistics.places().len());
        for card in &gallery.cards {
            assert_eq!(
                (card.row.row, card.row.key.clone().unwrap()),
                (card.place.row, format!("k{}", card.place.row))
            );
            match (&card.picture, card.row.status) {
                (Ok(thumbnail), _) => assert_eq!((thumbnail.width, thumbnail.height), (24, 16)),
                (Err(why), RowStatus::Crashed) => assert_eq!(*why, NoPicture::Crashed),
                (Err(why), status) => panic!("{settings:?}: row {} is {status}: {why:?}", card.row.row),
            }
            assert_eq!(card.place.pair.is_some(), card.row.keeps_a_text());
        }
        let page = Page { statistics: &statistics, gallery: &gallery }.render();
        let first = &gallery.cards[0];
        assert!(page.contains(&format!("id=\"{}\"", first.id)) && page.contains("capfilt explain --job"));
        assert!(page.contains("filter ") && page.contains(&first.row.texts[0].text.clone().unwrap()));
    }
}

#[tokio::test]
async fn a_seed_gives_the_same_page_and_another_seed_other_rows() {
    let world = job(&[]).await;
    let (statistics, gallery) = read(&world, 1).await;
    let (again, gallery_again) = read(&world, 1).await;
    let render = |statistics, gallery| Page { statistics, gallery }.render();
    // The time since the last commit is not on the page.
    assert_eq!(render(&statistics, &gallery), render(&again, &gallery_again));
    let (other, _) = read(&world, 2).await;
    assert_ne!(statistics.places(), other.places());
    assert_eq!(statistics.sources[0].kept_at, other.sources[0].kept_at);
}

#[tokio::test]
async fn without_its_input_the_report_has_reasons_instead_of_pictures() {
    let world = job(&[]).await;
    std::fs::remove_dir_all(world.folder.path().join("web")).unwrap();
    let (_, gallery) = read(&world, 0).await;
    let (with, without): (Vec<_>, Vec<_>) = gallery.cards.iter().partition(|card| card.picture.is_ok());
    assert!(with.iter().all(|card| card.row.keeps_a_text()) && !with.is_empty(), "the pairs have pictures");
    assert!(without.iter().all(|card| !card.row.keeps_a_text()) && !without.is_empty());
}

#[tokio::test]
async fn the_name_of_a_row_depends_on_file_and_row_alone() {
    assert_eq!(gallery::anchor("a.parquet", 5), gallery::anchor("a.parquet", 5));
    assert_ne!(gallery::anchor("a.parquet", 5), gallery::anchor("a.parquet", 6));
    let name = gallery::anchor("\"><script>", 0);
    assert!(name.starts_with("row-") && name[4..].bytes().all(|b| b.is_ascii_hexdigit()), "{name}");
}

#[tokio::test]
async fn the_file_is_written_whole_or_not_at_all() {
    let world = job(&[]).await;
    let file = world.folder.path().join("report.html");
    let written = capfilt_report::write(&world.bucket(), &Options::default(), Some(&file)).await.unwrap();
    assert_eq!(std::fs::metadata(&file).unwrap().len(), written.page_bytes as u64);
    let nowhere = world.folder.path().join("no folder/report.html");
    let error =
        capfilt_report::write(&world.bucket(), &Options::default(), Some(&nowhere)).await.unwrap_err();
    assert!(error.to_string().contains("report.html"), "{error}");
}

/// A picture that no format compresses well.
fn noise(seed: u32) -> Bytes {
    let byte = |at: u32| ((at + 7919 * seed).wrapping_mul(2_654_435_761) >> 23) as u8;
    let pixels_u8 = (0..120 * 120 * 3).map(byte).collect();
    encode_png(&RgbImage { width: 120, height: 120, pixels_u8, reduced_from: None }).into()
}

#[tokio::test]
async fn a_page_of_long_texts_and_large_pictures_is_bounded() {
    let world = World::new(&["shards.rows=2000"]);
    let blank: Vec<Row> = (0..2000).map(|number| judged(number, &[])).collect();
    world.write_input("a.parquet", &blank, 500);
    let noise: Vec<Bytes> = (0..50).map(noise).collect();
    let long = "<".repeat(16_000);
    let of = |number: u64| {
        let itm = (number * 37 % 1000) as f32 / 1000.0;
        let texts: Vec<_> = (0..24).map(|at| ("synthetic", long.as_str(), itm * at as f32 / 24.0)).collect();
        let row = judged(number, &[&[("caption", long.as_str(), itm)][..], &texts].concat());
        Row { image: noise[number as usize % 50].clone(), ..row }
    };
    world.finish(|_, number| of(number), |_| ()).await;
    let (statistics, gallery) = read(&world, 0).await;
    let page = Page { statistics: &statistics, gallery: &gallery }.render();
    assert!(gallery.cards.len() > 300, "{} rows", gallery.cards.len());
    // The bytes of a thumbnail are a share of those of all.
    let pairs = gallery.cards.iter().filter(|card| card.row.keeps_a_text());
    let thumbnails: Vec<usize> = pairs.map(|card| card.picture.as_ref().unwrap().jpeg.len()).collect();
    assert!(thumbnails.iter().sum::<usize>() <= 3_300_000 && thumbnails.iter().all(|bytes| *bytes > 500));
    println!("{} bytes of {} rows", page.len(), gallery.cards.len());
    assert!(page.len() <= 8 << 20, "{} bytes of {} rows", page.len(), gallery.cards.len());
}
