//! Training of the reasoner about pairs of images: six steps against a plain PyTorch version
//! (reference_nlvr.py) in f64, and the loss of a batch of statements.

use crate::support::{
    alone_with_the_generator,
    fine_tuning::{SHAPE, STEPS_PER_EPOCH, initial, learner, optimizer, wide},
    golden::{Golden, TOLERANCE, all_close},
};
use capfilt_pipeline::model::PixelBatch;
use capfilt_schemas::settings::train::Loss;
use capfilt_train::{
    AdamW, Learner, Parts, Place, Prepared, TextRows,
    data::{Batch, Cursor},
    learning_rate,
};
use tch::Kind;

fn parts() -> Parts {
    Parts {
        config: wide(),
        encoder: false,
        contrast: false,
        matching: false,
        reasoner: true,
        decoder: None,
        dropout: 0.0,
        drop_path: 0.0,
    }
}

fn prepared(golden: &mut Golden, step: usize) -> Prepared {
    let mut get = |name: &str| golden.get(&format!("{step}.{name}"));
    Prepared {
        pixels_norm: get("pixels"),
        texts: TextRows { ids: get("ids"), mask: get("mask") },
        prompted: None,
        answers: None,
        labels: Some(get("labels")),
        ids: None,
    }
}

#[test]
fn fine_tuning_the_reasoner_takes_the_reference_s_steps() {
    let _alone = alone_with_the_generator();
    let mut golden = Golden::open("nlvr.safetensors");
    let mut learner = learner(parts(), &[Loss::Itm], &initial(&parts(), &mut golden));
    let names: Vec<&str> =
        learner.parameters.layout.entries().iter().map(|entry| entry.name.as_str()).collect();
    let merged =
        |layer: &str| names.iter().any(|name| name.contains(&format!("{layer}.crossattention.output.merge")));
    assert!(!merged("layer.0") && merged("layer.1"), "the upper half of the layers merges: {names:?}");
    let settings = optimizer();
    let mut optimizer = AdamW::new(learner.parameters.vector()).unwrap();
    let table = Vec::<Vec<f64>>::try_from(golden.get("steps")).unwrap();
    assert_eq!(table.len(), 6);
    for (i, expected) in table.iter().enumerate() {
        let (epoch, step) = (i as u64 / STEPS_PER_EPOCH, i as u64 % STEPS_PER_EPOCH);
        let rate =
            learning_rate(&settings, Place { epoch, step, steps_per_epoch: STEPS_PER_EPOCH, epochs: 2 });
        assert!((rate - expected[1]).abs() < 1e-15, "learning rate of step {i}");
        let prepared = prepared(&mut golden, i);
        let towers = learner.parameters.towers(&learner.parts, Kind::Double).unwrap();
        let states = towers.vision.forward(&prepared.pixels_norm).unwrap();
        let losses = learner.losses(&towers, &states, &prepared, SHAPE, None).unwrap();
        assert!(losses.itc.is_none() && losses.lm.is_none());
        let loss = losses.itm.as_ref().unwrap().double_value(&[]);
        assert!((loss - expected[0]).abs() <= TOLERANCE * expected[0], "step {i}: {loss} {}", expected[0]);
        losses.total(1.0).unwrap().backward();
        if i == 0 {
            all_close("grad.", &learner, &learner.parameters.vector().grad(), &mut golden);
        }
        let _ = learner.parameters.step(&mut optimizer, &settings, rate).unwrap();
    }
    all_close("after.", &learner, &learner.parameters.vector().detach(), &mut golden);
}

/// Two pictures, a statement and its truth of each of these rows of three: all first pictures, then all
/// second ones.
fn batch(rows: &[usize]) -> Batch {
    let mut pixels = PixelBatch::with_capacity(16, 2 * rows.len());
    for (second, row) in [0, 1].into_iter().flat_map(|second| rows.iter().map(move |row| (second, row))) {
        let picture = (0..16 * 16 * 3).map(|i| ((i * (7 + 3 * row + second) + row * 31) % 256) as u8);
        pixels.push(&picture.collect::<Vec<_>>());
    }
    let all = [("w5 w6 w7 w8", 1), ("w8", 0), ("w14 w6", 1)];
    let (texts, labels) = rows.iter().map(|row| (all[*row].0.to_owned(), all[*row].1)).unzip();
    let (answers, image_ids) = (vec![Vec::new(); rows.len()], vec![1; rows.len()]);
    Batch { pixels, texts, answers, labels, image_ids, cursor: Cursor { epoch: 0, step: 1 } }
}

#[test]
fn the_loss_of_statements_is_the_mean_of_each_one_s_loss_whatever_their_lengths() {
    let _alone = alone_with_the_generator();
    let vector = initial(&parts(), &mut Golden::open("nlvr.safetensors"));
    let loss = |rows: &[usize], checkpoint_blocks: bool| {
        let mut learner = Learner { checkpoint_blocks, ..learner(parts(), &[Loss::Itm], &vector) };
        let loss = learner.learn(&batch(rows), SHAPE).unwrap().itm.unwrap().double_value(&[]);
        (loss, learner.parameters.vector().grad())
    };
    let each: Vec<f64> = (0..3).map(|row| loss(&[row], false).0).collect();
    let (mean, (all, gradient)) = (each.iter().sum::<f64>() / 3.0, loss(&[0, 1, 2], false));
    // The same f64 numbers; padding of statements adds masked terms only.
    assert!((mean - all).abs() < 1e-12 * all, "{each:?} {all}");
    assert!(each.iter().all(|one| (one - all).abs() > 1e-3), "{each:?}");
    let (recomputed, again) = loss(&[0, 1, 2], true);
    assert_eq!(recomputed, all);
    assert!((gradient - again).abs().max().double_value(&[]) < 1e-12, "blocks that are computed again");
}
