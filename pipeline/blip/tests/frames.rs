//! Clips: scores of several frames equal those of a step-by-step reference, and a clip of equal frames has
//! the scores of its frame.

use crate::support::{
    CASES, TOLERANCE, assert_close, captioner, expected, filter, folder, keys, one_of, pictures, texts,
};
use capfilt_blip::{Options, SplitFrames as _, tensor_file::TensorFile};
use capfilt_pipeline::{
    frames::Frames,
    model::{Captioner as _, Filter as _, PixelBatch, TextScore},
};
use capfilt_schemas::settings::{FrameMatching, Method, Preset};
use tch::Tensor;

/// Same arithmetic in another order: the last digits of f32 differ.
const ORDER: f64 = 1e-5;

/// Images, as clips of `frames.count` consecutive images.
fn clips(images: &PixelBatch, frames: Frames) -> PixelBatch {
    let bytes = frames.count * images.side() * images.side() * 3;
    PixelBatch::of(images.side(), frames, images.pixels_u8().chunks_exact(bytes))
}

/// Each image of a batch as a clip of equal frames.
fn still(images: &PixelBatch, frames: Frames) -> PixelBatch {
    let image = images.side() * images.side() * 3;
    let repeated: Vec<Vec<u8>> =
        images.pixels_u8().chunks_exact(image).map(|image| image.repeat(frames.count)).collect();
    PixelBatch::of(images.side(), frames, repeated.iter().map(Vec::as_slice))
}

fn golden(case: &str, name: &str) -> Tensor {
    TensorFile::open(&folder(case, "frames.safetensors")).unwrap().read(name).unwrap()
}

fn column(scores: &[TextScore], of: fn(&TextScore) -> f32) -> Tensor {
    Tensor::from_slice(&scores.iter().map(of).collect::<Vec<_>>())
}

#[test]
fn a_clip_has_the_scores_of_a_step_by_step_reference() {
    for case in CASES {
        let (images, texts) = (pictures(case), texts(case));
        let mut filter = filter(case, Preset::Original);
        for matching in FrameMatching::ALL {
            let frames = Frames { count: images.len(), matching };
            let clip = clips(&images, frames);
            assert_eq!(clip.len(), 1);
            let scores = filter.score(&clip, std::slice::from_ref(&texts)).unwrap().remove(0);
            let what = format!("{case} {matching}");
            assert_close(&column(&scores, |s| s.itc), &golden(case, "cosine"), TOLERANCE, &what);
            assert_close(&column(&scores, |s| s.itm), &golden(case, matching.name()), TOLERANCE, &what);
        }
        let frames = Frames::of_tokens(images.len() as u32);
        let states = filter.images().states(&clips(&images, frames)).unwrap();
        let texts = filter.batch(&texts.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        let logits = filter.itm_logits(&texts, &filter.projected_keys(&states).unwrap()).unwrap();
        assert_close(&logits, &golden(case, "tokens.logits"), TOLERANCE, case);
    }
}

/// The mean of equal projections is the projection, and softmax over copies of the tokens gives the same mean
/// of values as over one copy.
#[test]
fn a_clip_of_equal_frames_has_the_scores_and_captions_of_its_frame() {
    for case in CASES {
        let (images, texts) = (pictures(case), texts(case));
        let mut filter = filter(case, Preset::Original);
        let all = vec![texts; images.len()];
        let of_images = filter.score(&images, &all).unwrap().concat();
        let generation = Options::of(Preset::Original).generation(Method::Beam);
        let mut captioner = captioner(case, Preset::Original, generation);
        let captions = captioner.caption(&images, &keys(images.len()), 1).unwrap();
        for matching in FrameMatching::ALL {
            let clips = still(&images, Frames { count: 4, matching });
            let of_clips = filter.score(&clips, &all).unwrap().concat();
            let what = format!("{case} {matching}");
            let columns: [fn(&TextScore) -> f32; 2] = [|score| score.itc, |score| score.itm];
            for of in columns {
                assert_close(&column(&of_clips, of), &column(&of_images, of), ORDER, &what);
            }
        }
        let clips = still(&images, Frames::of_tokens(4));
        assert_eq!(captioner.caption(&clips, &keys(images.len()), 1).unwrap(), captions, "{case}");
    }
}

#[test]
fn clips_of_a_batch_score_as_they_do_alone() {
    for matching in FrameMatching::ALL {
        let (images, texts) = (pictures("patch8"), texts("patch8"));
        let mut filter = filter("patch8", Preset::Original);
        let frames = Frames { count: 2, matching };
        let pair = |a: usize, b: usize| {
            [one_of(&images, a), one_of(&images, b)].map(|image| image.pixels_u8().to_vec()).concat()
        };
        let pairs = [pair(0, 1), pair(2, 0), pair(1, 1)];
        let together = PixelBatch::of(images.side(), frames, pairs.iter().map(Vec::as_slice));
        let all = filter.score(&together, &vec![texts.clone(); 3]).unwrap();
        for (pair, of_pair) in pairs.iter().zip(all) {
            let alone = PixelBatch::of(images.side(), frames, [pair.as_slice()].into_iter());
            let alone = filter.score(&alone, std::slice::from_ref(&texts)).unwrap().remove(0);
            let what = matching.name();
            assert_close(&column(&of_pair, |s| s.itm), &column(&alone, |s| s.itm), ORDER, what);
            assert_close(&column(&of_pair, |s| s.itc), &column(&alone, |s| s.itc), ORDER, what);
        }
    }
}

#[test]
fn the_frames_of_a_clip_are_matched_in_any_order_with_one_result() {
    let (images, texts) = (pictures("patch8"), texts("patch8"));
    let mut filter = filter("patch8", Preset::Original);
    let frames = Frames::of_tokens(images.len() as u32);
    let forth = clips(&images, frames);
    let image = images.side() * images.side() * 3;
    let back: Vec<u8> = images.pixels_u8().chunks_exact(image).rev().flatten().copied().collect();
    let back = PixelBatch::of(images.side(), frames, [back.as_slice()].into_iter());
    let [forth, back] =
        [forth, back].map(|clip| filter.score(&clip, std::slice::from_ref(&texts)).unwrap().remove(0));
    // BLIP has no positions of frames: a text about the order of frames is not decided by them.
    assert_close(&column(&forth, |s| s.itm), &column(&back, |s| s.itm), ORDER, "reversed");
    let split =
        frames.split(&expected("patch8", "filter.vision.original"), &filter.batch(&["a dog"]).unwrap());
    assert_eq!(split.unwrap().texts.ids.size()[0], 1, "tokens are matched as a whole");
}
