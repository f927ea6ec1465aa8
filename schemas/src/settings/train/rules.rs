//! Rules for the values of a training run's settings that types cannot express.

use super::{
    super::{
        Precision, SettingsError,
        rule::{self, Rule, is_share, rule},
        training_data::SourceTable,
    },
    Loss, Model, Objective, Run, Sharing, Task, Training,
};

const AT_LEAST_ONE: &str = "it must be at least 1";
const SHARE: &str = "a share from 0 to 1";
const SHARE_BELOW_ONE: &str = "a share from 0 to below 1";

/// Checks the settings of a training run.
///
/// # Errors
/// The first key with an invalid value.
pub(super) fn check(task: Task, training: &Training) -> Result<(), SettingsError> {
    let (rate, magnitude) = (training.optimizer.learning_rate, training.augment.magnitude);
    let no_data = training.data.is_empty();
    rule::check(run(&training.run))?;
    rule::check([rule(no_data, "data", "[]", "set the training data: [[data]] with a url or a job")])?;
    rule::check(losses(task, &training.objective, training.run.batch))?;
    rule::check(objective(&training.objective))?;
    rule::check(model(&training.model))?;
    let table = match task {
        Task::Vqa => SourceTable::Questions,
        Task::Nlvr => SourceTable::Statements,
        Task::Pretrain | Task::Filter | Task::Captioner => SourceTable::Data,
    };
    match task {
        Task::Vqa => rule::check(answers(training))?,
        Task::Nlvr => rule::check(statements(training))?,
        Task::Pretrain | Task::Filter | Task::Captioner => {}
    }
    rule::check([
        rule(!(0.0..=10.0).contains(&magnitude), "augment.magnitude", magnitude, "from 0 to 10"),
        rule(rate <= 0.0 || !rate.is_finite(), "optimizer.learning_rate", rate, "a number above 0"),
    ])?;
    match training.data.iter().find_map(|source| source.fault(table)) {
        Some((key, value, why)) => Err(SettingsError::Value { key, value, why }),
        None => Ok(()),
    }
}

fn run(run: &Run) -> [Rule; 11] {
    const LEARNS: &str = "int8 is for inference, not for training; use bf16 or f32";
    const SAVED: &str = "a worker process rounds weights at loading; use f32, bf16 or f16";
    let (precision, saved) = (run.precision, run.save_precision);
    [
        rule(run.folder.is_empty(), "run.folder", "", "set the folder of the run"),
        rule(run.batch < 2, "run.batch", run.batch, "contrast and negatives need at least two pairs"),
        rule(run.accumulate == 0, "run.accumulate", 0, AT_LEAST_ONE),
        rule(run.together == 0, "run.together", 0, AT_LEAST_ONE),
        rule(run.epochs == 0, "run.epochs", 0, AT_LEAST_ONE),
        rule(run.log_every == 0, "run.log_every", 0, AT_LEAST_ONE),
        rule(run.save_every == 0, "run.save_every", 0, AT_LEAST_ONE),
        rule(run.keep == 0, "run.keep", 0, "the newest checkpoint must be kept"),
        rule(
            precision == Precision::F16,
            "run.precision",
            "f16",
            "gradients exceed the range of f16; use bf16 or f32",
        ),
        rule(precision == Precision::Int8, "run.precision", "int8", LEARNS),
        rule(saved == Precision::Int8, "run.save_precision", "int8", SAVED),
    ]
}

/// Rules for the losses and their dependencies.
fn losses(task: Task, objective: &Objective, batch: u32) -> [Rule; 5] {
    const QUEUE: &str =
        "it is filled batch by batch: make it a multiple of run.batch (or run.batch a divisor of it)";
    const NEGATIVES: &str = "matching draws its negatives by the contrast: add \"itc\"";
    const ENCODER: &str =
        "only contrast and matching have a text encoder: add \"itc\" to objective.losses, or make this 0";
    const MATCHING: &str =
        "only matching has negative texts: add \"itm\" to objective.losses, or make this 0";
    let has = |loss| objective.losses.contains(&loss);
    let (contrast, matching) = (has(Loss::Itc), has(Loss::Itm));
    let (queue, causal, random) = (objective.queue, objective.causal_steps, objective.random_words);
    let uneven = contrast && batch > 0 && queue % batch != 0;
    [
        rule(objective.losses.is_empty(), "objective.losses", "[]", "the model would learn nothing"),
        rule(uneven, "objective.queue", queue, QUEUE),
        // Statements are their own negatives: half of them are false.
        rule(!contrast && matching && task != Task::Nlvr, "objective.losses", "itm", NEGATIVES),
        rule(causal > 0 && !contrast, "objective.causal_steps", causal, ENCODER),
        rule(random > 0.0 && !matching, "objective.random_words", random, MATCHING),
    ]
}

fn objective(objective: &Objective) -> [Rule; 7] {
    let Objective { max_tokens, momentum, alpha, min_temperature: coldest, .. } = *objective;
    let Objective { contrast_weight: weight, random_words: random, label_smoothing: smoothing, .. } =
        *objective;
    [
        rule(max_tokens < 4, "objective.max_tokens", max_tokens, "no token of a text would fit"),
        rule(!is_below_one(momentum), "objective.momentum", momentum, SHARE_BELOW_ONE),
        rule(!is_share(alpha), "objective.alpha", alpha, SHARE),
        rule(!(1e-6..=0.5).contains(&coldest), "objective.min_temperature", coldest, "above 0, up to 0.5"),
        rule(!(1e-6..=10.0).contains(&weight), "objective.contrast_weight", weight, "above 0, up to 10"),
        rule(!is_share(random), "objective.random_words", random, SHARE),
        rule(!is_below_one(smoothing), "objective.label_smoothing", smoothing, SHARE_BELOW_ONE),
    ]
}

fn model(model: &Model) -> [Rule; 4] {
    const START: &str = "set the checkpoint to start from, or with model.vocabulary the folder of a \
                         tokenizer, to start from scratch";
    let no_start = model.from.is_empty() && model.vocabulary.is_empty();
    [
        rule(!is_below_one(model.dropout), "model.dropout", model.dropout, SHARE_BELOW_ONE),
        rule(!is_below_one(model.drop_path), "model.drop_path", model.drop_path, SHARE_BELOW_ONE),
        rule(!(0.0..=100.0).contains(&model.waves), "model.waves", model.waves, "a height from 0 to 100"),
        rule(no_start, "model.from", "", START),
    ]
}

/// Rules of training on questions, in which only the answers have a loss.
fn answers(training: &Training) -> [Rule; 3] {
    const LOSS: &str = "the answers have the LM loss only: [\"lm\"]";
    const SHARED: &str = "the encoder attends to the image and the decoder to the question: \"none\"";
    let (objective, sharing) = (&training.objective, training.model.sharing);
    [
        rule(objective.losses != [Loss::Lm], "objective.losses", "other losses", LOSS),
        rule(sharing != Sharing::None, "model.sharing", "shared weights", SHARED),
        rule(!objective.prompt.is_empty(), "objective.prompt", &objective.prompt, "an answer has no prompt"),
    ]
}

/// Rules of training on statements about pairs of images, whose labels have the only loss.
fn statements(training: &Training) -> [Rule; 4] {
    const LOSS: &str = "a statement has the ITM loss only: [\"itm\"]";
    const SHARED: &str = "there is one text encoder: \"none\"";
    const RANDOM: &str = "the false statements are those of the data: 0";
    let (objective, sharing) = (&training.objective, training.model.sharing);
    let random = objective.random_words;
    [
        rule(objective.losses != [Loss::Itm], "objective.losses", "other losses", LOSS),
        rule(sharing != Sharing::None, "model.sharing", "shared weights", SHARED),
        rule(
            !objective.prompt.is_empty(),
            "objective.prompt",
            &objective.prompt,
            "a statement has no prompt",
        ),
        rule(random > 0.0, "objective.random_words", random, RANDOM),
    ]
}

fn is_below_one(number: f64) -> bool {
    (0.0..1.0).contains(&number)
}
