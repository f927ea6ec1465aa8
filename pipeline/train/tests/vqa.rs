//! Training of the answerer: six steps against a plain PyTorch version (reference_vqa.py) in f64, and the
//! loss of a batch of questions.

use crate::support::{
    alone_with_the_generator,
    fine_tuning::{SHAPE, STEPS_PER_EPOCH, initial, learner, optimizer, wide},
    golden::{Golden, TOLERANCE, all_close},
};
use capfilt_pipeline::model::PixelBatch;
use capfilt_schemas::settings::train::Loss;
use capfilt_train::{
    AdamW, AnswerRows, Attends, Learner, Parts, Place, Prepared, TextRows,
    data::{Answer, Batch, Cursor},
    learning_rate,
};
use tch::Kind;

fn parts() -> Parts {
    Parts {
        config: wide(),
        encoder: true,
        contrast: false,
        matching: false,
        reasoner: false,
        decoder: Some(Attends::ToQuestion),
        dropout: 0.0,
        drop_path: 0.0,
    }
}

fn prepared(golden: &mut Golden, step: usize, learner: &Learner) -> Prepared {
    let mut get = |name: &str| golden.get(&format!("{step}.{name}"));
    let answers = TextRows { ids: get("answer_ids"), mask: get("answer_mask") };
    Prepared {
        pixels_norm: get("pixels"),
        texts: TextRows { ids: get("question_ids"), mask: get("question_mask") },
        prompted: None,
        answers: Some(AnswerRows {
            texts: answers.starting_with(learner.tokens.dec()).unwrap(),
            question: get("question"),
            weight: get("weight"),
        }),
        labels: None,
        ids: None,
    }
}

#[test]
fn fine_tuning_the_answerer_takes_the_reference_s_steps() {
    let _alone = alone_with_the_generator();
    let mut golden = Golden::open("vqa.safetensors");
    let mut learner = learner(parts(), &[Loss::Lm], &initial(&parts(), &mut golden));
    let settings = optimizer();
    let mut optimizer = AdamW::new(learner.parameters.vector()).unwrap();
    let table = Vec::<Vec<f64>>::try_from(golden.get("steps")).unwrap();
    assert_eq!(table.len(), 6);
    for (i, expected) in table.iter().enumerate() {
        let (epoch, step) = (i as u64 / STEPS_PER_EPOCH, i as u64 % STEPS_PER_EPOCH);
        let rate =
            learning_rate(&settings, Place { epoch, step, steps_per_epoch: STEPS_PER_EPOCH, epochs: 2 });
        assert!((rate - expected[1]).abs() < 1e-15, "learning rate of step {i}");
        let prepared = prepared(&mut golden, i, &learner);
        let towers = learner.parameters.towers(&learner.parts, Kind::Double).unwrap();
        let states = towers.vision.forward(&prepared.pixels_norm).unwrap();
        let losses = learner.losses(&towers, &states, &prepared, SHAPE, None).unwrap();
        assert!(losses.itc.is_none() && losses.itm.is_none());
        let loss = losses.lm.as_ref().unwrap().double_value(&[]);
        assert!((loss - expected[0]).abs() <= TOLERANCE * expected[0], "step {i}: {loss} {}", expected[0]);
        losses.total(1.0).unwrap().backward();
        if i == 0 {
            all_close("grad.", &learner, &learner.parameters.vector().grad(), &mut golden);
        }
        let _ = learner.parameters.step(&mut optimizer, &settings, rate).unwrap();
    }
    all_close("after.", &learner, &learner.parameters.vector().detach(), &mut golden);
}

/// Pictures, questions and answers of these rows of three.
fn batch(rows: &[usize]) -> Batch {
    let mut pixels = PixelBatch::with_capacity(16, rows.len());
    for row in rows {
        let picture = (0..16 * 16 * 3).map(|i| ((i * (7 + 3 * row) + row * 31) % 256) as u8);
        pixels.push(&picture.collect::<Vec<_>>());
    }
    let answer = |text: &str, weight| Answer { text: text.to_owned(), weight };
    let all = [
        ("w5 w6 w7 w8", vec![answer("w9", 0.7), answer("w10 w11 w12", 0.3)]),
        ("w8", vec![answer("w13", 1.0)]),
        ("w14 w6", vec![answer("w9 w9", 0.2), answer("w15", 0.1), answer("w16", 0.7)]),
    ];
    let of = |row: &usize| (all[*row].0.to_owned(), all[*row].1.clone());
    let (texts, answers) = rows.iter().map(of).unzip();
    let image_ids = vec![1; rows.len()];
    let labels = Vec::new();
    Batch { pixels, texts, answers, labels, image_ids, cursor: Cursor { epoch: 0, step: 1 } }
}

#[test]
fn the_loss_of_questions_is_the_mean_of_each_one_s_loss_whatever_their_lengths() {
    let _alone = alone_with_the_generator();
    let vector = initial(&parts(), &mut Golden::open("vqa.safetensors"));
    let loss = |rows: &[usize]| {
        learner(parts(), &[Loss::Lm], &vector)
            .learn(&batch(rows), SHAPE)
            .unwrap()
            .lm
            .unwrap()
            .double_value(&[])
    };
    let each: Vec<f64> = (0..3).map(|row| loss(&[row])).collect();
    let (mean, all) = (each.iter().sum::<f64>() / 3.0, loss(&[0, 1, 2]));
    // The same f64 numbers; padding of questions and answers adds masked terms only.
    assert!((mean - all).abs() < 1e-12 * all, "{each:?} {all}");
    assert!(each.iter().all(|one| (one - all).abs() > 1e-3), "{each:?}");
}
