//! `capfilt score` and `capfilt caption` give transformers' numbers: the golden models, their pictures as
//! files.

use crate::support::{capfilt, expect, repo, stdout};
use capfilt_blip::tensor_file::TensorFile;
use serde_json::Value;
use std::{collections::BTreeMap, path::PathBuf};
use tch::Tensor;

/// Two f32 implementations of one model differ by 1e-6 to 1e-5.
const TOLERANCE: f64 = 1e-4;

struct Golden {
    folder: PathBuf,
    facts: Value,
    pictures: tempfile::TempDir,
    images: usize,
}

impl Golden {
    fn open(case: &str) -> Self {
        let folder = repo().join("pipeline/blip/tests/golden").join(case);
        let facts =
            serde_json::from_str(&std::fs::read_to_string(folder.join("expected.json")).unwrap()).unwrap();
        let mut golden = Self { folder, facts, pictures: tempfile::tempdir().unwrap(), images: 0 };
        let pixels = golden.expected("pixels_u8"); // (images, side, side, 3)
        let side = pixels.size()[1] as u32;
        let bytes: Vec<u8> = Vec::try_from(pixels.contiguous().view([-1])).unwrap();
        for (i, picture) in bytes.chunks((side * side * 3) as usize).enumerate() {
            image::RgbImage::from_raw(side, side, picture.to_vec()).unwrap().save(golden.picture(i)).unwrap();
            golden.images += 1;
        }
        golden
    }

    fn picture(&self, i: usize) -> PathBuf {
        self.pictures.path().join(format!("{i}.png"))
    }

    fn expected(&self, name: &str) -> Tensor {
        TensorFile::open(&self.folder.join("expected.safetensors")).unwrap().read(name).unwrap()
    }

    /// The program's answer, one object per picture.
    fn ask(&self, command: &str, model: &str, pictures: &[usize], arguments: &[&str]) -> Vec<Value> {
        let mut program = capfilt();
        program.args([command, "--json", "--device", "cpu", "--precision", "f32"]).args(arguments);
        program.arg("--model").arg(self.folder.join(model));
        pictures.iter().for_each(|i| {
            program.arg("--image").arg(self.picture(*i));
        });
        stdout(&expect(&mut program, 0)).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[test]
fn score_gives_transformers_probabilities_and_cosines() {
    for case in ["patch16", "patch8"] {
        let golden = Golden::open(case);
        let (matches, cosines) = (golden.expected("itm.hf.softmax"), golden.expected("itc.hf.cosine"));
        let texts = golden.facts["texts"].as_array().unwrap();
        // The fixture cuts texts at 35 ids, `hf` does not.
        let whole: Vec<usize> =
            (0..texts.len()).filter(|i| texts[*i]["ids"].as_array().unwrap().len() < 35).collect();
        assert!(whole.len() >= 4);
        let arguments: Vec<&str> =
            whole.iter().flat_map(|i| ["--text", texts[*i]["text"].as_str().unwrap()]).collect();
        let all: Vec<usize> = (0..golden.images).collect();
        let answers = golden.ask("score", "filter", &all, &[&["--preset", "hf"], &arguments[..]].concat());
        for (i, answer) in answers.iter().enumerate() {
            for (found, text) in answer["texts"].as_array().unwrap().iter().zip(&whole) {
                assert_eq!(found["text"], texts[*text]["text"]);
                let at = [i as i64, *text as i64];
                let gap = |name: &str, expected: f64| (found[name].as_f64().unwrap() - expected).abs();
                let gaps = (
                    gap("match", matches.double_value(&[at[0], at[1], 1])),
                    gap("cosine", cosines.double_value(&at)),
                );
                assert!(
                    gaps.0 <= TOLERANCE && gaps.1 <= TOLERANCE,
                    "{case}, image {i}: {found}: off by {gaps:?}"
                );
            }
        }
        assert_eq!(answers.len(), golden.images);
    }
}

#[test]
fn caption_gives_transformers_ids_and_texts() {
    for case in ["patch16", "patch8"] {
        let golden = Golden::open(case);
        let bos = golden.facts["dec_id"].as_i64().unwrap();
        let is_plain =
            |record: &&Value| record["vision"] == "hf" && record["start"].as_array().unwrap().len() == 1;
        // Pictures that are asked for in the same way are asked for at once: starting the program is most of
        // the work.
        let mut asked: BTreeMap<Vec<String>, Vec<&Value>> = BTreeMap::new();
        for record in golden.facts["captions"].as_array().unwrap().iter().filter(is_plain) {
            let number = |name: &str| record[name].to_string();
            let penalty = record["repetition_penalty"].as_f64().unwrap_or(1.0).to_string();
            let (low, high) = (number("min_length"), number("max_length"));
            let method = record["method"].as_str().unwrap();
            let arguments =
                ["--preset", "hf", "--method", method, "--min-length", &low, "--max-length", &high];
            let arguments = [&arguments[..], &["--repetition-penalty", &penalty]].concat();
            asked.entry(arguments.into_iter().map(str::to_owned).collect()).or_default().push(record);
        }
        let mut compared = 0;
        for (arguments, records) in asked {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            let images: Vec<usize> =
                records.iter().map(|record| record["image"].as_u64().unwrap() as usize).collect();
            for (answer, record) in
                golden.ask("caption", "captioner", &images, &arguments).iter().zip(records)
            {
                let answer = &answer["captions"][0];
                assert_eq!(answer["ids"], record["ids"], "{case} {record}");
                assert_eq!(answer["ids"][0].as_i64(), Some(bos));
                assert_eq!(answer["text"], record["text"], "{case} {record}");
                compared += 1;
            }
        }
        assert!(compared >= 4, "{case}: {compared}");
    }
}
