//! Variants of training: recomputed blocks, shared towers, causal masks, random words.

use crate::support::{alone_with_the_generator, config, fine_tuning::objective, tokens};
use capfilt_blip::{preprocess::Normalisation, text::TextCache};
use capfilt_pipeline::model::PixelBatch;
use capfilt_schemas::settings::train::{Loss, Sharing};
use capfilt_train::{
    Attends, FeatureQueue, Layout, Learner, Memory, MomentumTowers, Parameters, Parts, RandomWords,
    StepShape, TextRows,
    data::{Batch, Cursor},
};
use std::collections::HashMap;
use tch::{Device, Kind, Tensor};

const PAIRS: usize = 4;
const SHAPE: StepShape = StepShape { seed: 7, alpha: 0.2, weight: 1.0, first_of_step: true, ahead: 1.0 };

fn parts(drop_path: f64) -> Parts {
    Parts {
        config: config(),
        encoder: true,
        contrast: true,
        matching: true,
        reasoner: false,
        decoder: Some(Attends::ToImage),
        dropout: 0.0,
        drop_path,
    }
}

/// Random weights of a layout, the temperature first.
fn drawn(layout: &Layout) -> Tensor {
    tch::manual_seed(3);
    let vector = Tensor::randn([layout.total()], (Kind::Double, Device::Cpu)) * 0.3;
    let _ = vector.narrow(0, 0, 1).fill_(0.07);
    vector
}

fn learner(parts: Parts, sharing: Sharing, vector: &Tensor) -> Learner {
    let parameters = Parameters::new(Layout::new(&parts, sharing), vector, Device::Cpu).unwrap();
    tch::manual_seed(4);
    let queue = FeatureQueue::new(4, 12, Kind::Double, Device::Cpu).unwrap();
    let memory = parts.contrast.then(|| Memory { towers: MomentumTowers::new(&parameters).unwrap(), queue });
    Learner {
        tokens: tokens(&parts.config),
        objective: objective(&[Loss::Itc, Loss::Itm, Loss::Lm]),
        sharing,
        parameters,
        memory,
        normalisation: Normalisation::default(),
        device: Device::Cpu,
        kind: Kind::Double,
        checkpoint_blocks: false,
        parts,
    }
}

fn batch() -> Batch {
    let mut pixels = PixelBatch::with_capacity(16, PAIRS);
    for image in 0..PAIRS {
        pixels.push(
            &(0..16 * 16 * 3).map(|i| ((i * (7 + 3 * image) + image * 31) % 256) as u8).collect::<Vec<_>>(),
        );
    }
    let texts = ["w5 w6 w7", "w8 w9", "w10 w11 w12 w13 w14", "w15 w6"].map(str::to_owned).to_vec();
    let (answers, image_ids) = (Vec::new(), vec![1, 2, 3, 4]);
    let labels = Vec::new();
    Batch { pixels, texts, answers, labels, image_ids, cursor: Cursor { epoch: 0, step: 1 } }
}

/// Loss and gradient of a step.
fn step(learner: &mut Learner) -> (f64, Tensor) {
    let losses = learner.learn(&batch(), SHAPE).unwrap();
    (losses.total(1.0).unwrap().double_value(&[]), learner.parameters.vector().grad())
}

#[test]
fn recomputed_blocks_give_the_gradient_that_kept_ones_give() {
    let _alone = alone_with_the_generator();
    let vector = drawn(&Layout::new(&parts(0.0), Sharing::AllButSa));
    let mut kept = learner(parts(0.0), Sharing::AllButSa, &vector);
    let mut recomputed = learner(parts(0.0), Sharing::AllButSa, &vector);
    recomputed.checkpoint_blocks = true;
    let ((loss, gradient), (other_loss, other)) = (step(&mut kept), step(&mut recomputed));
    // The same f64 numbers, in the same order except for the sums over blocks.
    assert!((loss - other_loss).abs() < 1e-12, "{loss} {other_loss}");
    let off = (&gradient - &other).abs().max().double_value(&[]);
    assert!(off < 1e-12 * gradient.abs().max().double_value(&[]).max(1.0), "off by {off:e}");
}

/// Stochastic depth must drop the same blocks in the backward pass: otherwise the gradient is that of another
/// loss.
#[test]
fn recomputed_blocks_drop_the_same_branches_as_the_first_pass() {
    let _alone = alone_with_the_generator();
    // Language model alone: the momentum towers of the contrastive loss would follow the weights without a
    // gradient.
    let alone = || Parts { encoder: false, contrast: false, matching: false, ..parts(0.5) };
    let layout = Layout::new(&alone(), Sharing::AllButSa);
    let vector = drawn(&layout);
    let at = |vector: &Tensor| {
        let mut learner = learner(alone(), Sharing::AllButSa, vector);
        learner.checkpoint_blocks = true;
        step(&mut learner)
    };
    let (_, gradient) = at(&vector);
    let vision = Tensor::zeros_like(&gradient);
    for entry in layout.entries().iter().filter(|entry| entry.name.starts_with("vision_model.encoder")) {
        vision.narrow(0, entry.start, entry.len()).copy_(&gradient.narrow(0, entry.start, entry.len()));
    }
    let direction = &vision / vision.norm();
    let (far, near) = (at(&(&vector + &direction * 1e-5)).0, at(&(&vector - &direction * 1e-5)).0);
    let (slope, expected) = ((far - near) / 2e-5, vision.norm().double_value(&[]));
    assert!(
        (slope - expected).abs() < 1e-4 * expected,
        "the loss rises by {slope}, its gradient says {expected}"
    );
}

/// Towers with equal weights give the same results with and without sharing; the gradient of a shared tensor
/// is the sum of its copies' gradients.
#[test]
fn shared_towers_get_the_gradients_of_both() {
    let _alone = alone_with_the_generator();
    let mut totals = HashMap::new();
    for sharing in [Sharing::All, Sharing::AllButCa, Sharing::AllButSa, Sharing::None] {
        let layout = Layout::new(&parts(0.0), sharing);
        totals.insert(format!("{sharing:?}"), layout.total());
        let vector = drawn(&layout);
        let own = Layout::new(&parts(0.0), Sharing::None);
        let named = layout.named(&vector).unwrap();
        let copies: Vec<Tensor> = std::iter::once(vector.narrow(0, 0, 1))
            .chain(own.entries().iter().map(|entry| named[&entry.name].reshape([-1])))
            .collect();
        let (loss, gradient) = step(&mut learner(parts(0.0), sharing, &vector));
        let (other_loss, other) = step(&mut learner(parts(0.0), Sharing::None, &Tensor::cat(&copies, 0)));
        assert!((loss - other_loss).abs() < 1e-12, "{sharing:?}: {loss} {other_loss}");
        // Each number of the vector is its position, so that the copies show which numbers they share.
        let places = layout.named(&Tensor::arange(layout.total(), (Kind::Double, Device::Cpu))).unwrap();
        let sum = Tensor::zeros_like(&gradient);
        sum.narrow(0, 0, 1).copy_(&other.narrow(0, 0, 1));
        for entry in own.entries() {
            let place = places[&entry.name].reshape([-1]).to_kind(Kind::Int64);
            let _ = sum.shallow_clone().index_add_(0, &place, &other.narrow(0, entry.start, entry.len()));
        }
        let off = (&gradient - &sum).abs().max().double_value(&[]);
        assert!(off < 1e-12 * gradient.abs().max().double_value(&[]).max(1.0), "{sharing:?}: off by {off:e}");
    }
    let of = |name: &str| totals[name];
    assert!(of("All") < of("AllButCa") && of("All") < of("AllButSa"), "{totals:?}");
    assert!(of("AllButCa") < of("None") && of("AllButSa") < of("None"), "{totals:?}");
}

/// A filter that starts from a captioner computes the same token states as the decoder only with the same
/// mask.
#[test]
fn causal_text_states_equal_the_decoder_s() {
    let _alone = alone_with_the_generator();
    let vector = drawn(&Layout::new(&parts(0.0), Sharing::All));
    let mut learner = learner(parts(0.0), Sharing::All, &vector);
    let towers = learner.parameters.towers(&learner.parts, Kind::Double).unwrap();
    let (encoder, (decoder, _)) = (towers.encoder.unwrap(), towers.decoder.unwrap());
    let prepared = learner.prepare(&batch()).unwrap();
    let keys = encoder.projected_keys(&towers.vision.forward(&prepared.pixels_norm).unwrap()).unwrap();
    let TextRows { ids, mask } = &prepared.texts;
    let width = ids.size()[1];
    let before = Tensor::ones([PAIRS as i64, width, width], (Kind::Int64, Device::Cpu)).tril(0);
    let read = encoder.encode_with_image(ids, &before, &keys).unwrap();
    let written = decoder.decode_step(ids, &mut TextCache::default(), &keys).unwrap();
    // The same f64 arithmetic.
    assert!((read - written).abs().max().double_value(&[]) < 1e-12);

    let causal = prepared.texts.causal(0.0).unwrap().mask.to_kind(Kind::Int64);
    let (first, words) = (causal.select(1, 0), causal.narrow(1, 1, width - 1));
    assert!(first.equal(mask), "the first token sees all of its text");
    assert!(
        words.equal(&(before.narrow(1, 1, width - 1) * mask.unsqueeze(1))),
        "words see back, and no padding"
    );

    let mut loss = |ahead| {
        let shape = StepShape { ahead, first_of_step: false, ..SHAPE };
        learner.learn(&batch(), shape).unwrap().itm.unwrap().double_value(&[])
    };
    let (open, nearly, closed) = (loss(1.0), loss(1.0 - 1e-9), loss(0.0));
    // A weight of almost 1 for later tokens equals full attention; a weight of 0 does not.
    assert!((open - nearly).abs() < 1e-12 && (open - closed).abs() > 1e-9, "{open} {nearly} {closed}");
}

/// From human texts alone, a filter learns nothing about the words of junk.
#[test]
fn random_words_in_negatives_train_the_embeddings_of_unseen_words() {
    let _alone = alone_with_the_generator();
    let filter = || Parts { decoder: None, ..parts(0.0) };
    let layout = Layout::new(&filter(), Sharing::AllButSa);
    let vector = drawn(&layout);
    let whole = learner(filter(), Sharing::AllButSa, &vector);
    let texts = whole.prepare(&batch()).unwrap().texts;
    let vocabulary = whole.parts.config.text.vocab_size;

    let open = texts.with_random_words(1, &RandomWords { share: 1.0, vocabulary }).unwrap().ids;
    let (length, place) = (
        texts.mask.sum_dim_intlist([1].as_slice(), true, Kind::Int64),
        Tensor::arange(7, (Kind::Int64, Device::Cpu)),
    );
    let is_word = place.ge(1).logical_and(&place.unsqueeze(0).lt_tensor(&(length - 1)));
    let changed = open.ne_tensor(&texts.ids);
    assert!(!bool::try_from(changed.logical_and(&is_word.logical_not()).any()).unwrap(), "only words change");
    assert!(!bool::try_from(changed.narrow(0, 0, 1).any()).unwrap(), "the rows before the first stay");
    assert!(changed.sum(Kind::Int64).int64_value(&[]) > 4, "of nine words drawn from {vocabulary} few stay");
    let none =
        texts.causal(0.0).unwrap().with_random_words(0, &RandomWords { share: 0.0, vocabulary }).unwrap().ids;
    assert!(none.equal(&texts.ids), "a share of nothing");

    let words = layout.entries().iter().find(|entry| entry.name.ends_with("word_embeddings.weight")).unwrap();
    let learnt = |share| {
        let mut learner = learner(filter(), Sharing::AllButSa, &vector);
        learner.objective.random_words = share;
        let gradient =
            step(&mut learner).1.narrow(0, words.start, words.len()).reshape(words.shape.as_slice());
        // Ids 16 to 21 are in no text of the batch.
        gradient.narrow(0, 16, 6).abs().max().double_value(&[])
    };
    let (with, without) = (learnt(1.0), learnt(0.0));
    assert!(with > 1e-6 && without == 0.0, "{with} {without}");
}
