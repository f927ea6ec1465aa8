//! Ten steps of pre-training and of the filter's fine-tuning against a plain PyTorch version (reference.py),
//! all in f64: losses, gradients, weights, momentum towers, queue, learning rate and soft targets.

use crate::support::{
    alone_with_the_generator, config,
    golden::{Golden, TOLERANCE, all_close, close},
    tokens,
};
use capfilt_blip::preprocess::Normalisation;
use capfilt_schemas::settings::train::{Loss, Objective, Optimizer, Schedule, Sharing};
use capfilt_train::{
    AdamW, Attends, FeatureQueue, Layout, Learner, Memory, MomentumTowers, Negatives, Parameters, Parts,
    Place, Prepared, StepShape, TextRows, alpha, learning_rate,
};
use tch::{Device, Kind, Tensor};

const STEPS_PER_EPOCH: u64 = 5;

fn learner(golden: &mut Golden, is_filter: bool) -> Learner {
    let config = config();
    let parts = Parts {
        config: config.clone(),
        encoder: true,
        contrast: true,
        matching: true,
        reasoner: false,
        decoder: (!is_filter).then_some(Attends::ToImage),
        dropout: 0.0,
        drop_path: 0.0,
    };
    let layout = Layout::new(&parts, Sharing::AllButSa);
    let mut numbers = vec![golden.get("weights.temp").reshape([1])];
    numbers.extend(layout.entries().iter().map(|entry| {
        let tensor = golden.get(&format!("weights.{}", entry.name));
        assert_eq!(tensor.size(), entry.shape, "{}", entry.name);
        tensor.reshape([-1])
    }));
    let parameters = Parameters::new(layout, &Tensor::cat(&numbers, 0), Device::Cpu).unwrap();
    let queue = FeatureQueue {
        image: golden.get("queue.image"),
        text: golden.get("queue.text"),
        ids: golden.get("queue.ids"),
        at: 0,
    };
    let memory = Memory { towers: MomentumTowers::new(&parameters).unwrap(), queue };
    let objective = Objective {
        losses: vec![Loss::Itc, Loss::Itm, Loss::Lm],
        momentum: 0.995,
        queue: 12,
        alpha: 0.4,
        alpha_epochs: if is_filter { 1.0 } else { 2.0 },
        min_temperature: 0.001,
        contrast_weight: 1.0,
        causal_steps: 0,
        random_words: 0.0,
        image_ids: is_filter,
        label_smoothing: 0.1,
        prompt: String::new(),
        max_tokens: 12,
    };
    Learner {
        tokens: tokens(&config),
        parts,
        objective,
        sharing: Sharing::AllButSa,
        parameters,
        memory: Some(memory),
        normalisation: Normalisation::default(),
        device: Device::Cpu,
        kind: Kind::Double,
        checkpoint_blocks: false,
    }
}

fn optimizer(is_filter: bool) -> Optimizer {
    Optimizer {
        learning_rate: 1e-2,
        min_learning_rate: if is_filter { 0.0 } else { 1e-6 },
        warmup_learning_rate: 1e-4,
        warmup_steps: if is_filter { 0 } else { 3 },
        schedule: if is_filter { Schedule::Cosine } else { Schedule::Decay },
        decay: 0.9,
        weight_decay: 0.05,
        betas: [0.9, 0.999],
        epsilon: 1e-8,
        clip_norm: 0.0,
    }
}

/// Compares every tensor of the model's vector, whose first number is the temperature.
fn with_temperature_close(prefix: &str, learner: &Learner, vector: &Tensor, golden: &mut Golden) {
    close("temp", &vector.narrow(0, 0, 1).squeeze(), &golden.get(&format!("{prefix}temp")));
    all_close(prefix, learner, vector, golden);
}

fn steps_are_the_reference_s(file: &str, is_filter: bool) {
    let mut golden = Golden::open(file);
    let mut learner = learner(&mut golden, is_filter);
    let settings = optimizer(is_filter);
    let mut optimizer = AdamW::new(learner.parameters.vector()).unwrap();
    let table = Vec::<Vec<f64>>::try_from(golden.get("steps")).unwrap();
    for (i, expected) in table.iter().enumerate() {
        let place = Place {
            epoch: i as u64 / STEPS_PER_EPOCH,
            step: i as u64 % STEPS_PER_EPOCH,
            steps_per_epoch: STEPS_PER_EPOCH,
            epochs: 2,
        };
        let share = alpha(learner.objective.alpha, learner.objective.alpha_epochs, place);
        assert!((share - expected[3]).abs() < 1e-15, "alpha of step {i}");
        learner.parameters.clamp_temperature(0.001).unwrap();
        let mut get = |name: &str| golden.get(&format!("{i}.{name}"));
        let texts = TextRows { ids: get("ids"), mask: get("mask") };
        let prepared = Prepared {
            pixels_norm: get("pixels"),
            prompted: (!is_filter).then(|| (texts.starting_with(learner.tokens.dec()).unwrap(), 1)),
            texts,
            answers: None,
            labels: None,
            ids: is_filter.then(|| get("image_ids")),
        };
        let negatives = Negatives { image: get("negative_image"), text: get("negative_text") };
        let towers = learner.parameters.towers(&learner.parts, Kind::Double).unwrap();
        let states = towers.vision.forward(&prepared.pixels_norm).unwrap();
        let shape = StepShape { seed: 0, alpha: share, weight: 1.0, first_of_step: true, ahead: 1.0 };
        let losses = learner.losses(&towers, &states, &prepared, shape, Some(negatives)).unwrap();
        let found = [&losses.itc, &losses.itm, &losses.lm]
            .map(|loss| loss.as_ref().map_or(0.0, |l| l.double_value(&[])));
        for (name, (ours, theirs)) in ["itc", "itm", "lm"].iter().zip(found.iter().zip(expected)) {
            assert!(
                (ours - theirs).abs() <= TOLERANCE * theirs.abs().max(1.0),
                "{name} of step {i}: {ours} {theirs}"
            );
        }
        losses.total(1.0).unwrap().backward();
        if i == 0 {
            with_temperature_close("grad.", &learner, &learner.parameters.vector().grad(), &mut golden);
        }
        let rate = learning_rate(&settings, place);
        assert!((rate - expected[4]).abs() < 1e-15, "learning rate of step {i}");
        let _ = learner.parameters.step(&mut optimizer, &settings, rate).unwrap();
        let memory = learner.memory.as_ref().unwrap();
        assert_eq!(memory.queue.at as f64, expected[6], "the queue's place after step {i}");
    }
    with_temperature_close("after.", &learner, &learner.parameters.vector().detach(), &mut golden);
    let memory = learner.memory.as_ref().unwrap();
    for (name, ours) in learner.parameters.layout.named_momentum(&memory.towers.vector).unwrap() {
        close(&name, &ours, &golden.get(&format!("momentum.{name}")));
    }
    close("queue.image", &memory.queue.image, &golden.get("queue_after.image"));
    close("queue.text", &memory.queue.text, &golden.get("queue_after.text"));
    assert_eq!(memory.queue.ids, golden.get("queue_after.ids"));
}

#[test]
fn pre_training_takes_the_reference_s_steps() {
    let _alone = alone_with_the_generator();
    steps_are_the_reference_s("pretrain.safetensors", false);
}

#[test]
fn fine_tuning_the_filter_takes_the_reference_s_steps() {
    let _alone = alone_with_the_generator();
    steps_are_the_reference_s("filter.safetensors", true);
}
