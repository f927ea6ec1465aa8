//! RandAugment's operations, compared with OpenCV and Pillow.

use capfilt_train::data::randaugment::Operation;
use serde_json::Value;

#[test]
fn operations_change_pixels_as_opencv_and_pillow_do_to_the_last_bit() {
    let golden: Value = serde_json::from_str(include_str!("golden/randaugment.json")).unwrap();
    let pixels = |value: &Value| hex::decode(value.as_str().unwrap()).unwrap();
    let (image, side) = (pixels(&golden["image"]), golden["side"].as_u64().unwrap() as usize);
    let cases = golden["cases"].as_array().unwrap();
    assert!(cases.len() > 30);
    for case in cases {
        let (name, by) = (case["operation"].as_str().unwrap(), case["by"].as_f64().unwrap());
        let operation = match name {
            "autocontrast" => Operation::AutoContrast,
            "equalize" => Operation::Equalize,
            "brightness" => Operation::Brightness(by),
            "sharpness" => Operation::Sharpness(by),
            "shear_x" => Operation::ShearX(by),
            "shear_y" => Operation::ShearY(by),
            "translate_x" => Operation::TranslateX(by),
            "translate_y" => Operation::TranslateY(by),
            "rotate" => Operation::Rotate(by),
            other => panic!("{other}"),
        };
        let (made, wanted) = (operation.apply(&image, side), pixels(&case["image"]));
        let furthest = made.iter().zip(&wanted).map(|(a, b)| a.abs_diff(*b)).max();
        assert_eq!(furthest, Some(0), "{name} {by}: integers all the way, so equal to the last bit");
        assert!(by == 1.0 || made != image, "{name} {by} changes nothing");
    }
}
