//! Training of the reasoner about pairs of images: six steps against a plain PyTorch version
//! (reference_nlvr.py) in f64, and the loss of a batch of statements.

use crate::support::{
    alone_with_the_generator, config,
    golden::{Golden, TOLERANCE, all_close},
    tokens,
};
use capfilt_blip::{config::MedConfig, preprocess::Normalisation};
use capfilt_pipeline::model::PixelBatch;
use capfilt_schemas::settings::train::{Loss, Objective, Optimizer, Schedule, Sharing};
use capfilt_train::{
    AdamW, Layout, Learner, Parameters, Parts, Place, Prepared, StepShape, TextRows,
    data::{Batch, Cursor},
    learning_rate,
};
use tch::{Device, Kind, Tensor};

const STEPS_PER_EPOCH: u64 = 3;
const SHAPE: StepShape = StepShape { seed: 7, alpha: 0.0, weight: 1.0, first_of_step: true, ahead: 1.0 };

/// A model whose image encoder is narrower than its text encoder, as in the reference.
fn wide() -> MedConfig {
    let mut config = config();
    (config.text.hidden_size, config.text.intermediate_size) = (12, 48);
    config
}

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

fn learner(vector: &Tensor) -> Learner {
    let parts = parts();
    let parameters = Parameters::new(Layout::new(&parts, Sharing::None), vector, Device::Cpu).unwrap();
    let objective = Objective {
        losses: vec![Loss::Itm],
        momentum: 0.995,
        queue: 12,
        alpha: 0.4,
        alpha_epochs: 1.0,
        min_temperature: 0.001,
        contrast_weight: 1.0,
        causal_steps: 0,
        random_words: 0.0,
        image_ids: false,
        label_smoothing: 0.1,
        prompt: String::new(),
        max_tokens: 12,
    };
    Learner {
        tokens: tokens(&parts.config),
        parts,
        objective,
        sharing: Sharing::None,
        parameters,
        memory: None,
        normalisation: Normalisation::default(),
        device: Device::Cpu,
        kind: Kind::Double,
        checkpoint_blocks: false,
    }
}

fn optimizer() -> Optimizer {
    Optimizer {
        learning_rate: 1e-2,
        min_learning_rate: 0.0,
        warmup_learning_rate: 0.0,
        warmup_steps: 0,
        schedule: Schedule::Cosine,
        decay: 0.9,
        weight_decay: 0.05,
        betas: [0.9, 0.999],
        epsilon: 1e-8,
        clip_norm: 0.0,
    }
}

/// The weights of the reference before its first step. The vector begins with a temperature, which NLVR2 does
/// not use.
fn initial(golden: &mut Golden) -> Tensor {
    let mut numbers = vec![Tensor::from_slice(&[0.07f64])];
    numbers.extend(Layout::new(&parts(), Sharing::None).entries().iter().map(|entry| {
        let tensor = golden.get(&format!("weights.{}", entry.name));
        assert_eq!(tensor.size(), entry.shape, "{}", entry.name);
        tensor.reshape([-1])
    }));
    Tensor::cat(&numbers, 0)
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
    let mut learner = learner(&initial(&mut golden));
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
    let vector = initial(&mut Golden::open("nlvr.safetensors"));
    let loss = |rows: &[usize], checkpoint_blocks: bool| {
        let mut learner = Learner { checkpoint_blocks, ..learner(&vector) };
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
