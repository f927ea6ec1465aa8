//! Values that are accepted, and values that are refused with the name of their key.

use super::*;

fn parsed(text: &str) -> Result<Normalisation, String> {
    let keys: Map<String, Value> = serde_json::from_str(text).unwrap();
    Keys(&keys).normalisation()
}

#[test]
fn every_published_form_of_the_size_is_read() {
    for size in ["384", "[384, 384]", r#"{"height": 384, "width": 384}"#] {
        assert_eq!(parsed(&format!(r#"{{"size": {size}}}"#)).unwrap().side, Some(384), "{size}");
    }
    assert_eq!(parsed("{}").unwrap(), Normalisation::default());
    let of_the_hub = r#"{"do_normalize": true, "do_resize": true, "do_pad": true,
        "size_divisor": 32, "resample": 3,
        "image_processor_type": "BlipImageProcessorFast", "processor_class": "BlipProcessor", "size": 384,
        "crop_size": null, "data_format": "channels_first", "rescale_factor": 0.00392156862745098}"#;
    assert_eq!(parsed(of_the_hub).unwrap(), Normalisation { side: Some(384), ..Normalisation::default() });
}

#[test]
fn steps_that_are_switched_off_are_left_out() {
    let off = parsed(r#"{"do_normalize": false, "do_rescale": false, "image_std": [0, 0, 0]}"#).unwrap();
    assert_eq!(off, Normalisation { factor: 1.0, mean: [0.0; 3], std: [1.0; 3], side: None });
    let null = r#"{"do_normalize": null, "do_rescale": null,
        "do_center_crop": null, "do_pad": null, "image_mean": null}"#;
    assert_eq!(parsed(null).unwrap(), off);
    let one = parsed(r#"{"image_mean": 0.5, "image_std": 0.25, "rescale_factor": 0.5}"#).unwrap();
    assert_eq!(one, Normalisation { factor: 0.5, mean: [0.5; 3], std: [0.25; 3], side: None });
}

#[test]
fn a_value_that_is_not_implemented_is_refused_by_its_key() {
    for (text, key) in [
        (r#"{"do_resize": false}"#, "do_resize"),
        (r#"{"do_convert_rgb": false}"#, "do_convert_rgb"),
        (r#"{"do_resize": null}"#, "do_resize"),
        (r#"{"resample": null}"#, "resample"),
        (r#"{"size": null}"#, "size"),
        (r#"{"image_mean": null}"#, "image_mean"),
        (r#"{"rescale_factor": null}"#, "rescale_factor"),
        (r#"{"size": 384, "default_to_square": null}"#, "default_to_square"),
        (r#"{"do_normalize": "no"}"#, "do_normalize"),
        (r#"{"resample": 2}"#, "resample"),
        (r#"{"resample": "bicubic"}"#, "resample"),
        (r#"{"size": {"shortest_edge": 384}}"#, "size"),
        (r#"{"size": {"height": 384, "width": 224}}"#, "384x224"),
        (r#"{"size": {"height": 384, "width": 384, "longest_edge": 500}}"#, "size"),
        (r#"{"size": 384, "default_to_square": false}"#, "default_to_square"),
        (r#"{"size": 0}"#, "size"),
        (r#"{"size": 1e9}"#, "size"),
        (r#"{"size": 384, "do_center_crop": true}"#, "do_center_crop"),
        (r#"{"size": 384, "do_center_crop": true, "crop_size": 224}"#, "crop_size"),
        (r#"{"size": 384, "do_pad": true, "pad_size": {"height": 400, "width": 400}}"#, "pad_size"),
        (r#"{"rescale_factor": 0}"#, "rescale_factor"),
        (r#"{"rescale_factor": 1e-60}"#, "rescale_factor"),
        (r#"{"image_mean": [0, 0]}"#, "image_mean"),
        (r#"{"image_mean": [0, 0, 1e300]}"#, "image_mean"),
        (r#"{"image_std": [0.5, 0, 0.5]}"#, "image_std"),
        (r#"{"image_std": "0.5"}"#, "image_std"),
        (r#"{"image_processor_type": "CLIPImageProcessor"}"#, "CLIPImageProcessor"),
        (r#"{"feature_extractor_type": "ViTFeatureExtractor"}"#, "ViTFeatureExtractor"),
    ] {
        let error = parsed(text).expect_err(text);
        assert!(error.contains(key), "{text}: {error}");
    }
}

#[test]
fn a_crop_or_border_that_changes_nothing_is_accepted() {
    for text in [
        r#"{"size": 384, "do_center_crop": true, "crop_size": {"height": 384, "width": 384}}"#,
        r#"{"size": 384, "do_pad": true, "pad_size": 384}"#,
        r#"{"do_pad": true}"#,
        r#"{"do_center_crop": false, "crop_size": 224}"#,
    ] {
        assert!(parsed(text).is_ok(), "{text}");
    }
}

#[test]
fn the_processor_s_file_wins_when_an_image_processor_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let side = || {
        read(folder.path())
            .map(|(found, from)| (found.side, from.map(|path| path.file_name().unwrap().to_owned())))
    };
    assert_eq!(side().unwrap(), (None, None));
    write("preprocessor_config.json", r#"{"size": 224}"#);
    assert_eq!(side().unwrap(), (Some(224), Some("preprocessor_config.json".into())));
    for without in [r#"{"processor_class": "BlipProcessor"}"#, r#"{"image_processor": null}"#] {
        write("processor_config.json", without);
        assert_eq!(side().unwrap(), (Some(224), Some("preprocessor_config.json".into())), "{without}");
    }
    write("processor_config.json", r#"{"image_processor": {"size": 384}}"#);
    assert_eq!(side().unwrap(), (Some(384), Some("processor_config.json".into())));
    write("processor_config.json", r#"{"image_processor": {}}"#);
    assert_eq!(
        side().unwrap(),
        (None, Some("processor_config.json".into())),
        "the other file does not fill it up"
    );
    for broken in ["{", "[]", r#"{"image_processor": 5}"#, r#"{"image_processor": {"do_resize": false}}"#] {
        write("processor_config.json", broken);
        let error = side().unwrap_err().to_string();
        assert!(error.contains("processor_config.json"), "{broken}: {error}");
    }
}
