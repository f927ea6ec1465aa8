use super::*;
use arrow::datatypes::Field;

fn wanted() -> RequiredColumns {
    let filter = Predicate::parse("width >= 256").unwrap();
    let settings = "[job]\nurl='/j'\n[input]\nurl='/i'\n[models]\ncaptioner='/c'\nfilter='/f'\n";
    RequiredColumns::of(&capfilt_schemas::settings::parse(settings, &[]).unwrap().input, Some(&filter))
}

fn schema(columns: &[(&str, DataType)]) -> Schema {
    Schema::new(columns.iter().map(|(name, kind)| Field::new(*name, kind.clone(), true)).collect::<Vec<_>>())
}

#[test]
fn a_missing_column_is_named_with_those_there_are_and_the_nearest() {
    let error =
        wanted().check(&schema(&[("jpg", DataType::Binary), ("captoin", DataType::Utf8)]), &[]).unwrap_err();
    assert!(
        error.contains("`caption`") && error.contains("jpg, captoin") && error.contains("= \"captoin\""),
        "{error}"
    );
}

#[test]
fn a_column_of_a_type_no_worker_reads_is_refused() {
    let base = [("jpg", DataType::Binary), ("caption", DataType::Utf8View), ("width", DataType::Int32)];
    assert_eq!(wanted().check(&schema(&base), &[]), Ok(Fit { has_key: false }));
    for (at, kind) in [(0, DataType::Int32), (1, DataType::Float64), (2, DataType::Utf8)] {
        let mut columns = base.clone();
        columns[at].1 = kind;
        let error = wanted().check(&schema(&columns), &[]).unwrap_err();
        assert!(error.contains("expected") || error.contains("compares it with 256"), "{error}");
    }
    let image = DataType::Struct(
        vec![Field::new("bytes", DataType::Binary, true), Field::new("path", DataType::Utf8, true)].into(),
    );
    assert!(
        wanted()
            .check(
                &schema(&[("jpg", image), base[1].clone(), base[2].clone(), ("key", DataType::Int64)]),
                &[]
            )
            .is_ok()
    );
    let no_image = DataType::Struct(vec![Field::new("x", DataType::Binary, true)].into());
    assert!(wanted().check(&schema(&[("jpg", no_image), base[1].clone(), base[2].clone()]), &[]).is_err());
}

#[test]
fn a_column_of_type_null_fits_every_setting() {
    let base = [
        ("key", DataType::Utf8),
        ("jpg", DataType::Binary),
        ("caption", DataType::Utf8),
        ("width", DataType::Int32),
    ];
    for at in 0..base.len() {
        let mut columns = base.clone();
        columns[at].1 = DataType::Null;
        assert_eq!(wanted().check(&schema(&columns), &[]), Ok(Fit { has_key: true }), "{}", base[at].0);
    }
    for (bytes, path) in [(DataType::Binary, DataType::Null), (DataType::Null, DataType::Utf8)] {
        let fields = vec![Field::new("bytes", bytes, true), Field::new("path", path, true)];
        let mut columns = base.clone();
        columns[1].1 = DataType::Struct(fields.into());
        assert!(wanted().check(&schema(&columns), &[]).is_ok());
    }
}

#[test]
fn columns_twice_or_encrypted_are_refused_where_a_setting_names_them() {
    let base = [("jpg", DataType::Binary), ("caption", DataType::Utf8), ("width", DataType::Int32)];
    let with = |name: &'static str, kind: DataType| schema(&[&base[..], &[(name, kind)]].concat());
    for name in ["jpg", "caption", "width"] {
        let error = wanted().check(&with(name, DataType::Utf8), &[]).unwrap_err();
        assert!(error.contains(&format!("there are 2 columns called `{name}` (input.")), "{error}");
        let error = wanted().check(&schema(&base), &[name.to_owned()]).unwrap_err();
        assert!(
            error.contains(&format!("column `{name}` (input.")) && error.contains("is encrypted"),
            "{error}"
        );
    }
    let other = schema(&[&base[..], &[("x", DataType::Utf8), ("x", DataType::Utf8)]].concat());
    assert!(wanted().check(&other, &["x".to_owned()]).is_ok());
    let bytes = || Field::new("bytes", DataType::Binary, true);
    let twice = DataType::Struct(vec![bytes(), bytes()].into());
    let error =
        wanted().check(&schema(&[("jpg", twice), base[1].clone(), base[2].clone()]), &[]).unwrap_err();
    assert!(error.contains("several fields called `bytes`"), "{error}");
}

#[test]
fn clips_and_images_are_not_taken_for_each_other() {
    let settings = "[job]\nurl='/j'\n[input]\nurl='/i'\nframes=8\n[models]\ncaptioner='/c'\nfilter='/f'\n\
                    [output]\nimages='reference'\n";
    let clips = capfilt_schemas::settings::parse(settings, &[]).unwrap().input;
    let (clips, images) = (RequiredColumns::of(&clips, None), wanted());
    let check = |columns: &RequiredColumns, kind: DataType| {
        let all = [("jpg", kind), ("caption", DataType::Utf8), ("width", DataType::Int32)];
        columns.check(&schema(&all), &[])
    };
    let of = |fields: Vec<Field>| DataType::new_list(DataType::Struct(fields.into()), true);
    let frames = of(vec![Field::new("bytes", DataType::Binary, true)]);
    for kind in [frames, DataType::new_list(DataType::Binary, true)] {
        assert!(check(&clips, kind.clone()).is_ok(), "{kind}");
        assert!(check(&images, kind).unwrap_err().contains("set input.frames"));
    }
    let without = of(vec![Field::new("path", DataType::Utf8, true)]);
    for kind in [without, DataType::Binary, DataType::Utf8, DataType::new_list(DataType::Int32, true)] {
        assert!(check(&clips, kind.clone()).unwrap_err().contains("a list of image bytes"), "{kind}");
    }
    assert!(check(&images, DataType::Binary).is_ok());
}
