use super::*;
use crate::{parse::parse, table::known};
use arrow::array::{AsArray as _, RecordBatch};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

fn order() -> Order {
    let (file_rows, group_rows) = (20_000, 2000);
    Order {
        scenes: 60,
        captions: 1,
        side: 64,
        seed: 11,
        source: Pairs::Web,
        family_size: 1,
        vary: Vary::Anything,
        objects: 2,
        frames: 8,
        file_rows,
        group_rows,
    }
}

fn made(order: &Order) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path(), order, |_| {}).unwrap();
    fs::read(folder.path().join(name(order, 0))).unwrap()
}

#[test]
fn equal_seeds_make_equal_files_and_any_other_seed_another() {
    let first = made(&order());
    assert_eq!(first, made(&order()));
    let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    assert_eq!(first, alone.install(|| made(&order())), "the number of cores changes nothing");
    assert_ne!(first, made(&Order { seed: 12, ..order() }));
}

#[test]
fn pictures_differ_between_seeds_sources_and_numbers() {
    let order = order();
    let mut pixels: Vec<Vec<Vec<u8>>> = (0..50).map(|number| picture(number, &order).1).collect();
    pixels.extend((0..50).map(|number| picture(number, &Order { seed: 12, ..order.clone() }).1));
    pixels.extend((0..50).map(|number| picture(number, &Order { source: Pairs::Human, ..order.clone() }).1));
    pixels.sort();
    pixels.dedup();
    assert_eq!(pixels.len(), 150);
}

#[test]
fn another_side_changes_nothing_but_the_size() {
    for number in 0..20 {
        let row = |side| rows_of(number, &Order { side, ..order() }).unwrap().remove(0);
        let (small, large) = (row(32), row(96));
        assert_eq!((small.key, small.caption, small.scene), (large.key, large.caption, large.scene));
    }
}

#[test]
fn kinds_are_counted_and_known_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let mut rows_made = 0;
    let counts = make(folder.path(), &order(), |rows| rows_made = rows).unwrap();
    assert_eq!(rows_made, 60);
    assert_eq!(counts, Kind::ALL.map(|kind| (kind, 3 * kind.of_twenty() as u64)).into());
    let known = known(&folder.path().join("web-00000.parquet")).unwrap();
    assert_eq!(known.len(), 60);
    for (number, (key, known)) in (0..).zip(known) {
        assert_eq!((key, known.scene), (format!("{number:09}00"), picture(number, &order()).0));
    }
}

#[test]
fn texts_of_one_scene_share_its_picture_and_differ() {
    let folder = tempfile::tempdir().unwrap();
    let order = Order { scenes: 40, captions: 3, source: Pairs::Human, ..order() };
    let counts = make(folder.path(), &order, |_| {}).unwrap();
    assert_eq!(counts, [(Kind::True, 120)].into());
    let file = File::open(folder.path().join("human-00000.parquet")).unwrap();
    let batches =
        ParquetRecordBatchReaderBuilder::try_new(file).unwrap().with_batch_size(120).build().unwrap();
    let batch: RecordBatch = batches.map(Result::unwrap).next().unwrap();
    let texts = |name: &str| batch.column_by_name(name).unwrap().as_string::<i32>();
    let jpg = batch.column_by_name("jpg").unwrap().as_binary::<i32>();
    let mut equal = 0;
    for first in (0..120).step_by(3) {
        for i in first + 1..first + 3 {
            assert_eq!((texts("url").value(i), jpg.value(i)), (texts("url").value(first), jpg.value(first)));
            assert_ne!(texts("key").value(i), texts("key").value(first));
            equal += u32::from(texts("caption").value(i) == texts("caption").value(first));
        }
    }
    assert!(equal < 20, "{equal} of 80 second captions are the first one again");
}

#[test]
fn many_rows_are_split_into_files_and_row_groups() {
    let folder = tempfile::tempdir().unwrap();
    let order = Order { scenes: 500, captions: 50, side: 16, ..order() };
    make(folder.path(), &order, |_| {}).unwrap();
    let groups = |number| {
        let file = File::open(folder.path().join(name(&order, number))).unwrap();
        let metadata = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().metadata().clone();
        metadata.row_groups().iter().map(|group| group.num_rows()).collect::<Vec<_>>()
    };
    assert_eq!((groups(0), groups(1)), (vec![2000; 10], vec![2000, 2000, 1000]));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn a_smaller_order_is_not_mixed_with_existing_files_and_an_equal_one_replaces_them() {
    let folder = tempfile::tempdir().unwrap();
    make(folder.path(), &order(), |_| {}).unwrap();
    make(folder.path(), &order(), |_| {}).unwrap();
    fs::copy(folder.path().join("web-00000.parquet"), folder.path().join("web-00001.parquet")).unwrap();
    let error = make(folder.path(), &order(), |_| {}).unwrap_err();
    assert!(error.to_string().contains("web-00001.parquet"), "{error}");
    make(folder.path(), &Order { source: Pairs::Human, ..order() }, |_| {}).unwrap();
}

#[test]
fn the_error_for_a_foreign_file_names_the_missing_column() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.parquet");
    fs::write(&path, b"PAR1 no").unwrap();
    assert!(known(&path).unwrap_err().to_string().contains("x.parquet"));
    let schema = arrow::datatypes::Schema::new(vec![arrow::datatypes::Field::new(
        "key",
        arrow::datatypes::DataType::Utf8,
        true,
    )]);
    let writer = ArrowWriter::try_new(File::create(&path).unwrap(), Arc::new(schema), None).unwrap();
    writer.close().unwrap();
    assert!(known(&path).unwrap_err().to_string().contains("no column `truth`"));
}

/// Another version of the random numbers, the grammar or the order of sampling would silently change the data
/// of a seed that models were trained on. An intended change is recorded here.
#[test]
fn the_texts_of_a_seed_do_not_change() {
    let order = Order { scenes: 6, seed: 0, ..order() };
    let texts: Vec<(String, String)> = (0..6)
        .flat_map(|number| rows_of(number, &order).unwrap())
        .map(|row| (row.kind.name().to_owned(), row.caption))
        .collect();
    let texts: Vec<(&str, &str)> = texts.iter().map(|(kind, text)| (kind.as_str(), text.as_str())).collect();
    let expected = [
        ("true", "we see a small purple heart"),
        ("unrelated", "a white diamond with a brown background"),
        ("true", "we see a little purple square above a purple disc on a beige background"),
        ("junk", "photo taken on 2010-01-01"),
        ("true", "a huge black cross"),
        ("swapped", "there is a little black plus and a tiny orange star against a turquoise background"),
    ];
    assert_eq!(texts, expected);
}

#[test]
fn a_family_has_different_pictures_of_similar_scenes() {
    let order = Order { family_size: 4, source: Pairs::Human, ..order() };
    let mut heads = Vec::new();
    for family in 0..15 {
        let scenes: Vec<Scene> = (0..4).map(|member| picture(4 * family + member, &order).0).collect();
        assert!(scenes[1..].iter().all(|scene| *scene != scenes[0]), "{scenes:?}");
        assert_eq!(scenes[0], picture(4 * family, &Order { family_size: 1, ..order.clone() }).0);
        heads.push(scenes[0].to_json());
    }
    heads.sort();
    heads.dedup();
    assert!(heads.len() > 12);
    assert_ne!(picture(0, &order).1, picture(1, &order).1);
}

#[test]
fn families_that_vary_in_places_show_two_things_in_all_their_places() {
    let order = Order { family_size: 4, vary: Vary::Places, source: Pairs::Human, ..order() };
    for family in 0..15 {
        let scenes: Vec<Scene> = (0..4).map(|member| picture(4 * family + member, &order).0).collect();
        let turns: Vec<Scene> = (0..4).map(|turn| scenes[0].turned(turn)).collect();
        assert_eq!(scenes, turns);
        for row in (0..4).flat_map(|member| rows_of(4 * family + member, &order).unwrap()) {
            let true_of = scenes.iter().filter(|scene| truth(&row.caption, scene) == Verdict::True).count();
            assert_eq!(true_of, 1, "{:?}", row.caption);
        }
    }
}

#[test]
fn with_one_object_per_scene_no_picture_and_no_text_has_two() {
    let order = Order { objects: 1, ..order() };
    for number in 0..order.scenes {
        assert_eq!(picture(number, &order).0.objects.len(), 1);
        let rows = rows_of(number, &order).unwrap();
        assert!(rows.iter().all(|row| parse(&row.caption).is_none_or(|claims| claims.second.is_none())));
    }
    assert!(
        (0..order.scenes).any(|number| picture(number, &Order { objects: 2, ..order.clone() })
            .0
            .objects
            .len()
            == 2)
    );
}

#[test]
fn a_text_of_one_scene_is_false_for_its_family() {
    let order = Order { family_size: 4, captions: 3, source: Pairs::Human, scenes: 400, ..order() };
    for number in 0..order.scenes {
        let own = picture(number, &order).0;
        let first = number - number % 4;
        for row in rows_of(number, &order).unwrap() {
            assert_eq!(truth(&row.caption, &own), Verdict::True, "{number}");
            for other in
                (first..first + 4).map(|other| picture(other, &order).0).filter(|other| *other != own)
            {
                assert_eq!(
                    truth(&row.caption, &other),
                    Verdict::False,
                    "{number}: {:?} of {other:?}",
                    row.caption
                );
            }
        }
    }
}

#[test]
fn questions_have_one_true_answer_and_pictures_of_no_pair() {
    let order = Order { source: Pairs::Questions, captions: 4, ..order() };
    assert_eq!(made(&order), made(&order));
    let folder = tempfile::tempdir().unwrap();
    make(folder.path(), &order, |_| {}).unwrap();
    let file = File::open(folder.path().join("questions-00000.parquet")).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let mut rows = 0;
    for batch in reader.map(Result::unwrap) {
        let text = |name: &str, i: usize| batch[name].as_string::<i32>().value(i).to_owned();
        for i in 0..batch.num_rows() {
            let answers = batch["answers"].as_list::<i32>().value(i);
            assert_eq!(answers.len(), 1);
            let answer = answers.as_string::<i32>().value(0).to_owned();
            assert!(crate::questions::answers().contains(&answer), "{answer}");
            assert!(text("question", i).ends_with('?'));
            assert!(Scene::parse(&text("scene", i)).is_ok());
            rows += 1;
        }
    }
    assert_eq!(rows, 240);
    let web = picture(0, &Order { source: Pairs::Web, ..order.clone() }).1;
    assert_ne!(picture(0, &order).1, web);
}

#[test]
fn a_clip_is_a_row_with_its_frames_and_its_texts_have_their_kinds() {
    for source in [Pairs::ClipObjects, Pairs::ClipScenes, Pairs::ClipEvents] {
        let folder = tempfile::tempdir().unwrap();
        let order = Order { source, side: 24, ..order() };
        let counts = make(folder.path(), &order, |_| {}).unwrap();
        assert_eq!(counts, Kind::ALL.map(|kind| (kind, 3 * kind.of_twenty() as u64)).into());
        let path = folder.path().join(name(&order, 0));
        let known = known(&path).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap()).unwrap();
        let batch = reader.build().unwrap().next().unwrap().unwrap();
        for (number, (_, known)) in known.into_iter().enumerate() {
            let (scene, frames) = picture(number as u64, &order);
            let stored = batch["frames"].as_list::<i32>().value(number);
            let encoded: Vec<Vec<u8>> = frames.iter().map(|pixels| encode(pixels, 24).unwrap()).collect();
            assert!(stored.as_binary::<i32>().iter().flatten().eq(encoded.iter().map(Vec::as_slice)));
            let text = batch["caption"].as_string::<i32>().value(number);
            let expected = match known.kind {
                Kind::True => Verdict::True,
                Kind::Swapped | Kind::Unrelated => Verdict::False,
                Kind::Junk => Verdict::Unparsable,
            };
            assert_eq!((truth(text, &scene), &known.scene), (expected, &scene), "{text}");
        }
    }
    let places = Order { source: Pairs::ClipScenes, vary: Vary::Places, ..order() };
    assert!(make(Path::new("."), &places, |_| {}).unwrap_err().is_of_order());
}

#[test]
fn questions_about_clips_have_an_answer_and_no_positions() {
    let order = Order { source: Pairs::ClipQuestions, captions: 4, side: 16, ..order() };
    for number in 0..order.scenes {
        for row in rows_of(number, &order).unwrap() {
            assert!(row.answer.is_some() && !row.caption.starts_with("where"), "{}", row.caption);
            assert_eq!(row.jpgs.len(), 8);
        }
    }
}

#[test]
fn statements_have_two_pictures_and_a_label_that_the_scenes_confirm() {
    let order = Order { source: Pairs::Statements, captions: 2, scenes: 100, ..order() };
    assert_eq!(made(&order), made(&order));
    let folder = tempfile::tempdir().unwrap();
    let counts = make(folder.path(), &order, |_| {}).unwrap();
    let file = File::open(folder.path().join("statements-00000.parquet")).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let (mut rows, mut right) = (0, 0);
    for batch in reader.map(Result::unwrap) {
        let text = |name: &str, i: usize| batch[name].as_string::<i32>().value(i).to_owned();
        for i in 0..batch.num_rows() {
            let scenes = ["scene", "scene2"].map(|name| Scene::parse(&text(name, i)).unwrap());
            let label = batch["label"].as_boolean().value(i);
            let same = scenes[0].background == scenes[1].background;
            if text("form", i) == "same background" {
                assert_eq!(label, same, "{scenes:?}");
            }
            assert!(crate::statements::FORMS.contains(&text("form", i).as_str()));
            let pictures = ["jpg", "jpg2"].map(|name| batch[name].as_binary::<i32>().value(i));
            assert!(pictures[0] != pictures[1] && pictures.iter().all(|jpg| jpg.starts_with(&[0xff, 0xd8])));
            (rows, right) = (rows + 1, right + u64::from(label));
        }
    }
    assert_eq!((rows, counts[&Kind::True]), (200, right));
    let refused = |order: Order| make(folder.path(), &order, |_| {}).unwrap_err().to_string();
    assert!(refused(Order { family_size: 4, ..order.clone() }).contains("--alike"));
    assert!(refused(Order { vary: Vary::Places, ..order }).contains("--vary"));
}
