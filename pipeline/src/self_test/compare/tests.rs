use super::*;
use capfilt_schemas::{
    self_test::{Made, ModelPair, VERSION},
    settings::Preset,
};

const LIMITS: Tolerance = Tolerance { score: 0.25, log_probability: 0.5 };

fn score(itm: f32, itc: f32) -> KnownScore {
    KnownScore { picture: "discs".into(), text: "a dog".into(), itm, itc }
}

fn caption() -> KnownCaption {
    KnownCaption { picture: "discs".into(), ids: vec![9, 4, 5], log_probabilities: vec![-1.0, -2.0] }
}

fn log_probs(log_probability: f32, likeliest: i64, highest: f32) -> TokenLogProb {
    TokenLogProb { log_probability, likeliest, highest }
}

fn scores_agree(known: KnownScore, itm: f32, itc: f32) -> Result<Agreement, NotReproduced> {
    let mut agreement = Agreement::new(LIMITS);
    agreement.add_scores(&[known], &[TextScore { itm, itc }]);
    agreement.conclude()
}

fn words_agree(found: &[TokenLogProb]) -> Result<Agreement, NotReproduced> {
    let mut agreement = Agreement::new(LIMITS);
    agreement.add_caption(&caption(), found);
    agreement.conclude()
}

fn whole() -> KnownAnswers {
    let of_picture = |picture: &&str| {
        let picture = (*picture).to_owned();
        TEXTS.map(|text| KnownScore { picture: picture.clone(), text: text.into(), itm: 0.5, itc: 0.0 })
    };
    KnownAnswers {
        version: VERSION,
        models: ModelPair {
            captioner: String::new(),
            filter: String::new(),
            preset: Preset::Hf,
            prompt: String::new(),
        },
        made: Made { program: String::new(), device: String::new(), precision: Precision::F32 },
        scores: PICTURES.iter().flat_map(of_picture).collect(),
        captions: PICTURES.map(|picture| KnownCaption { picture: picture.into(), ..caption() }).into(),
    }
}

#[test]
fn a_distance_of_the_tolerance_passes_and_a_larger_one_names_the_number() {
    let near = scores_agree(score(0.5, 0.0), 0.75, -0.25).unwrap();
    assert_eq!((near.numbers, near.score), (3, 0.25));
    let far = scores_agree(score(0.5, 0.0), 0.5, 0.2501).unwrap_err().to_string();
    assert!(far.contains("1 of 3") && far.contains("cosine of picture `discs` and text `a dog`"), "{far}");
    assert!(far.contains("expected 0, got 0.2501, tolerance 0.25"), "{far}");
}

#[test]
fn a_nan_on_either_side_is_never_near() {
    assert!(scores_agree(score(f32::NAN, 0.0), 0.5, 0.0).is_err());
    assert!(scores_agree(score(0.5, 0.0), 0.5, f32::NAN).is_err());
    assert!(scores_agree(score(f32::NAN, 0.0), f32::NAN, 0.0).is_err());
    assert!(words_agree(&[log_probs(f32::NAN, 4, f32::NAN), log_probs(-2.0, 5, -2.0)]).is_err());
    assert!(words_agree(&[log_probs(-1.0, 4, -1.0), log_probs(-2.0, 7, f32::NAN)]).is_err());
}

#[test]
fn another_word_may_be_likeliest_only_when_the_two_are_near() {
    assert!(words_agree(&[log_probs(-1.0, 4, -1.0), log_probs(-2.0, 5, -2.0)]).is_ok());
    assert!(words_agree(&[log_probs(-1.0, 4, -1.0), log_probs(-2.0, 7, -1.0)]).is_ok());
    let other = words_agree(&[log_probs(-1.0, 4, -1.0), log_probs(-2.0, 7, -0.9)]).unwrap_err().to_string();
    assert!(other.contains("word 2 of the caption of picture `discs`: expected id 5, got id 7"), "{other}");
    let unlikely =
        words_agree(&[log_probs(-1.6, 4, -1.6), log_probs(-2.0, 5, -2.0)]).unwrap_err().to_string();
    assert!(unlikely.contains("the log-probability of id 4, word 1"), "{unlikely}");
}

#[test]
fn a_caption_that_breaks_off_is_not_reproduced() {
    let short = words_agree(&[log_probs(-1.0, 4, -1.0)]).unwrap_err().to_string();
    assert!(short.contains("expected 2 words, got 1"), "{short}");
}

#[test]
fn an_answer_that_is_missing_or_too_much_is_named() {
    assert_eq!(is_whole(&whole(), true), Ok(()));
    let without_captions = KnownAnswers { captions: vec![], ..whole() };
    assert_eq!(is_whole(&without_captions, false), Ok(()));
    assert!(is_whole(&whole(), false).is_err(), "answers of a captioner that the job does not have");
    let fault = |spoil: fn(&mut KnownAnswers)| {
        let mut known = whole();
        spoil(&mut known);
        is_whole(&known, true).unwrap_err().to_string()
    };
    assert!(fault(|known| drop(known.captions.pop())).contains("the caption of picture `noise`"));
    assert!(
        fault(|known| drop(known.scores.remove(0))).contains("picture `gradient` and text `a red circle`")
    );
    assert!(
        fault(|known| known.captions[1].log_probabilities.clear()).contains("the caption of picture `discs`")
    );
    assert!(fault(|known| known.captions[1].ids.clear()).contains("the caption of picture `discs`"));
    assert!(fault(|known| known.scores.push(score(0.5, 0.5))).contains("unknown questions"));
}

#[test]
fn half_precision_is_given_more_room_than_f32_and_never_so_much_that_all_passes() {
    let of = Tolerance::of;
    assert!(
        of(Precision::F32).score < of(Precision::F16).score
            && of(Precision::F16).score < of(Precision::Bf16).score
    );
    assert!(of(Precision::Bf16).score < of(Precision::Int8).score && of(Precision::Int8).score < 0.5);
}

#[test]
fn the_tolerance_between_two_machines_is_twice_that_to_the_exact_answer() {
    for precision in [Precision::F32, Precision::F16, Precision::Bf16, Precision::Int8, Precision::Auto] {
        let (one, two) = (Tolerance::of(precision), Tolerance::between_two(precision));
        assert_eq!(
            (two.score, two.log_probability),
            (2.0 * one.score, 2.0 * one.log_probability),
            "{precision:?}"
        );
    }
}
