//! The filter: image-grounded encoder and unimodal encoder behind the pipeline's `Filter` trait (BLIP,
//! sections 3.2 and 3.3).

use std::{collections::BTreeMap, path::Path};

use capfilt_pipeline::{
    frames::Frames,
    model::{Features, Filter, ImageScores, ModelError, MoreTexts, PixelBatch, TextScore},
};
use tch::{Kind, Tensor};

use crate::{
    calibration::Calibration,
    config::MedConfig,
    cross_attention::ImageKeys,
    error::{ComputeError, LoadError},
    frames::SplitFrames as _,
    heads::{ItcHead, ItmHead},
    image_encoder::ImageEncoder,
    load::{LoadOptions, Loading},
    preset::{FirstToken, Options},
    role::Role,
    text::TextTower,
    text_batch::TextBatch,
    tokens::BertTokens,
};

/// Scores texts with a BLIP image-text retrieval checkpoint.
pub struct BlipFilter {
    images: ImageEncoder,
    text: TextTower,
    itm: ItmHead,
    itc: ItcHead,
    tokens: BertTokens,
    config: MedConfig,
    options: Options,
    /// Divisor of the matching logits, if the checkpoint is calibrated.
    temperature: Option<f64>,
}

impl BlipFilter {
    /// Loads a folder in Hugging Face's layout, or an original `.pth`.
    ///
    /// # Errors
    /// Names the file or option that is wrong, and why. A captioner's folder is recognised as such.
    pub fn load(path: &Path, options: &LoadOptions) -> Result<Self, LoadError> {
        if options.options.itm_max_tokens.is_some_and(|tokens| tokens < 2) {
            return Err(LoadError::Options("itm_max_tokens leaves no room for [CLS] and [SEP]".into()));
        }
        let loading = Loading::start(path, Role::Filter, options)?;
        let root = loading.store.root();
        let text = TextTower::load(
            &root.sub("text_encoder"),
            &loading.config.text,
            loading.config.vision.hidden_size,
        );
        let (itm, itc) = (ItmHead::load(&root, &loading.config), ItcHead::load(&root, &loading.config));
        drop(root);
        let (config, tokens, images) = loading.finish()?;
        if options.options.itm_first_token == FirstToken::Enc {
            tokens.check_enc().map_err(LoadError::Options)?;
        }
        let temperature = Calibration::of(path)?.map(|calibration| calibration.temperature);
        Ok(Self { images, text, itm, itc, tokens, config, options: options.options.clone(), temperature })
    }

    /// Sizes of the model.
    pub fn config(&self) -> &MedConfig {
        &self.config
    }

    /// First token, padding and length of the texts.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Tokenizer.
    pub fn tokens(&self) -> &BertTokens {
        &self.tokens
    }

    /// Image encoder.
    pub fn images(&self) -> &ImageEncoder {
        &self.images
    }

    /// Keys of image states (images, tokens, d) for the text tower, for texts of `queries` tokens per image
    /// in total.
    pub fn image_keys(&self, states: &Tensor, queries: i64) -> Result<ImageKeys, ComputeError> {
        Ok(self.text.image_keys(states, queries)?)
    }

    /// Projected keys of image states, for any number of texts.
    pub fn projected_keys(&self, states: &Tensor) -> Result<ImageKeys, ComputeError> {
        Ok(self.text.projected_keys(states)?)
    }

    /// Tokenizes and pads texts; the first token is `[CLS]`.
    pub fn batch(&self, texts: &[&str]) -> Result<TextBatch, ComputeError> {
        let positions = self.config.text.max_position_embeddings as usize;
        TextBatch::of(texts, &self.tokens, &self.options, positions, self.images.device)
    }

    /// Matching logits (rows, 2) in f32, without the temperature of a calibration. Rows are ordered by image,
    /// with the same number of rows for each image. The first token is replaced by `[ENC]` if the options
    /// request it.
    pub fn itm_logits(&self, texts: &TextBatch, image: &ImageKeys) -> Result<Tensor, ComputeError> {
        let ids = texts.grounded_ids(&self.tokens, self.options.itm_first_token)?;
        Ok(self.itm.forward(&self.text.encode_with_image(&ids, &texts.mask, image)?)?)
    }

    /// Cosines (rows) in f32 of texts and image states (images, tokens, d); rows are ordered by image.
    pub fn cosines(&self, texts: &TextBatch, states: &Tensor) -> Result<Tensor, ComputeError> {
        products(&self.text_features(texts)?, &self.image_features(states, Frames::ONE)?)
    }

    /// Unit vectors (rows, projection) in f32: the texts' features of the contrastive head.
    pub fn text_features(&self, texts: &TextBatch) -> Result<Tensor, ComputeError> {
        Ok(self.itc.text_features(&self.text.encode_text(&texts.ids, &texts.mask)?)?)
    }

    /// Unit vectors (images, projection) in f32 of image states (images, frames · tokens, d): the images'
    /// features.
    pub fn image_features(&self, states: &Tensor, frames: Frames) -> Result<Tensor, ComputeError> {
        Ok(self.itc.image_features(states, frames.count as i64)?)
    }

    /// Scores texts for the images of a session, which encodes its images once.
    fn try_score(
        &self,
        session: &mut Session,
        texts: &[Vec<String>],
        with_features: bool,
    ) -> Result<Vec<ImageScores>, ComputeError> {
        if texts.len() != session.images.len() {
            let (lists, images) = (texts.len(), session.images.len());
            return Err(ComputeError::Input(format!("{lists} lists of texts for {images} images")));
        }
        let mut scores = vec![ImageScores::default(); texts.len()];
        let groups = groups(texts);
        if groups.is_empty() && !with_features || texts.is_empty() {
            return Ok(scores);
        }
        let states = session.states(&self.images)?;
        if with_features {
            let images = rows(&self.image_features(&states, session.images.frames())?)?;
            let without_texts = |image| Some(Features { image, texts: Vec::new() });
            scores.iter_mut().zip(images).for_each(|(scores, image)| scores.features = without_texts(image));
        }
        for group in &groups {
            let whole = group.len() == texts.len();
            let chosen = Tensor::f_from_slice(group)?.f_to_device(self.images.device)?;
            let members: Vec<&[String]> = group.iter().map(|i| texts[*i as usize].as_slice()).collect();
            let states = if whole { states.shallow_clone() } else { states.f_index_select(0, &chosen)? };
            for (i, (judged, features)) in
                group.iter().zip(self.judge(&members, &states, session.images.frames(), with_features)?)
            {
                let of_image = &mut scores[*i as usize];
                of_image.texts = judged;
                of_image.features.iter_mut().for_each(|found| found.texts.clone_from(&features));
            }
        }
        Ok(scores)
    }

    /// Scores images with about the same number of texts, [`TEXTS_AT_ONCE`] texts of each image at a time.
    /// The texts' features are returned if requested.
    fn judge(
        &self,
        texts: &[&[String]],
        states: &Tensor,
        frames: Frames,
        with_features: bool,
    ) -> Result<Vec<Judged>, ComputeError> {
        let most = texts.iter().map(|texts| texts.len()).max().unwrap_or(0);
        let mut all: Vec<Judged> = vec![Judged::default(); texts.len()];
        for start in (0..most).step_by(TEXTS_AT_ONCE) {
            let part = |texts: &&[String]| start.min(texts.len())..texts.len().min(start + TEXTS_AT_ONCE);
            let parts: Vec<&[String]> = texts.iter().map(|texts| &texts[part(texts)]).collect();
            let judged = self.judge_together(&parts, states, frames, with_features)?;
            for ((scores, features), (more_scores, more_features)) in all.iter_mut().zip(judged) {
                scores.extend(more_scores);
                features.extend(more_features);
            }
        }
        Ok(all)
    }

    /// Scores all texts in one call. Shorter lists are padded with empty texts, whose scores are dropped.
    fn judge_together(
        &self,
        texts: &[&[String]],
        states: &Tensor,
        frames: Frames,
        with_features: bool,
    ) -> Result<Vec<Judged>, ComputeError> {
        let most = texts.iter().map(|texts| texts.len()).max().unwrap_or(0);
        let filled = texts
            .iter()
            .flat_map(|texts| texts.iter().map(String::as_str).chain(std::iter::repeat("")).take(most));
        let batch = self.batch(&filled.collect::<Vec<_>>())?;
        let (split, rows_of_each) = (frames.split(states, &batch)?, most as i64);
        let keys = self.image_keys(&split.states, rows_of_each * batch.ids.size2()?.1)?;
        let mut logits = self.itm_logits(&split.texts, &keys)?;
        if let Some(temperature) = self.temperature {
            logits = logits.f_div_scalar(temperature)?;
        }
        let matches = frames.join(&logits.f_softmax(-1, Kind::Float)?.f_select(1, 1)?, rows_of_each)?;
        let matches = Vec::<f32>::try_from(matches.f_contiguous()?)?;
        let (text, image) = (self.text_features(&batch)?, self.image_features(states, frames)?);
        let cosines = Vec::<f32>::try_from(products(&text, &image)?)?;
        if matches.iter().chain(&cosines).any(|score| !score.is_finite()) {
            return Err(ComputeError::NotANumber("scores"));
        }
        let all: Vec<TextScore> =
            matches.into_iter().zip(cosines).map(|(itm, itc)| TextScore { itm, itc }).collect();
        let features = if with_features { rows(&text)? } else { Vec::new() };
        let judged = |(i, texts): (usize, &&[String])| {
            let range = i * most..i * most + texts.len();
            let features = if with_features { features[range.clone()].to_vec() } else { Vec::new() };
            (all[range].to_vec(), features)
        };
        Ok(texts.iter().enumerate().map(judged).collect())
    }

    fn at_seam<T>(
        &self,
        images: &PixelBatch,
        compute: impl FnOnce() -> Result<T, ComputeError>,
    ) -> Result<T, ModelError> {
        tch::no_grad(compute).map_err(|error| error.at_seam(images.len(), self.images.precision.name()))
    }
}

/// Scores and features of an image's texts.
type Judged = (Vec<TextScore>, Vec<Vec<f32>>);

/// Images with their states, which are computed when the first text is scored.
struct Session<'a> {
    images: &'a PixelBatch,
    /// (images, tokens, d): 1.8 MB per image for BLIP-base at 384 px in f32.
    states: Option<Tensor>,
}

impl Session<'_> {
    fn states(&mut self, encoder: &ImageEncoder) -> Result<Tensor, ComputeError> {
        if self.states.is_none() {
            self.states = Some(encoder.states(self.images)?);
        }
        Ok(self.states.as_ref().expect("it was just computed").shallow_clone())
    }
}

/// Cosines (rows) in f32 of unit vectors: of texts (rows, width), ordered by image, and images (images,
/// width).
fn products(text: &Tensor, image: &Tensor) -> Result<Tensor, ComputeError> {
    let (images, width) = image.size2()?;
    let products = text.f_reshape([images, -1, width])?.f_mul(&image.f_unsqueeze(1)?)?;
    Ok(products.f_sum_dim_intlist([-1].as_slice(), false, Kind::Float)?.f_reshape([-1])?)
}

/// Rows of a matrix.
fn rows(matrix: &Tensor) -> Result<Vec<Vec<f32>>, ComputeError> {
    let width = matrix.size2()?.1 as usize;
    let all = Vec::<f32>::try_from(matrix.f_to_kind(Kind::Float)?.f_contiguous()?.f_reshape([-1])?)?;
    Ok(all.chunks(width.max(1)).map(<[f32]>::to_vec).collect())
}

/// Texts of each image in one call; the memory of a call is proportional to images × texts. A job with one
/// text column has at most a text, 64 captions and a control, so its calls are not divided.
const TEXTS_AT_ONCE: usize = 66;

/// Groups images by their number of texts, within a factor of two: padding costs at most that factor. Images
/// without texts are in none of the groups.
fn groups(texts: &[Vec<String>]) -> Vec<Vec<i64>> {
    let mut groups: BTreeMap<usize, Vec<i64>> = BTreeMap::new();
    for (i, texts) in texts.iter().enumerate().filter(|(_, texts)| !texts.is_empty()) {
        groups.entry(texts.len().next_power_of_two()).or_default().push(i as i64);
    }
    groups.into_values().collect()
}

impl Filter for BlipFilter {
    fn image_side(&self) -> usize {
        self.images.side
    }

    fn score(
        &mut self,
        images: &PixelBatch,
        texts: &[Vec<String>],
    ) -> Result<Vec<Vec<TextScore>>, ModelError> {
        let mut session = Session { images, states: None };
        let scores = self.at_seam(images, || self.try_score(&mut session, texts, false))?;
        Ok(scores.into_iter().map(|scores| scores.texts).collect())
    }

    fn feature_width(&self) -> Option<usize> {
        Some(self.config.projection as usize)
    }

    fn score_in_turns(
        &mut self,
        images: &PixelBatch,
        texts: &[Vec<String>],
        more: &mut MoreTexts,
        with_features: bool,
    ) -> Result<Vec<ImageScores>, ModelError> {
        let mut session = Session { images, states: None };
        let mut scores = self.at_seam(images, || self.try_score(&mut session, texts, with_features))?;
        let first: Vec<Vec<TextScore>> = scores.iter().map(|scores| scores.texts.clone()).collect();
        let further = more(&first)?;
        if further.iter().any(|texts| !texts.is_empty()) {
            let second = self.at_seam(images, || self.try_score(&mut session, &further, with_features))?;
            for (scores, second) in scores.iter_mut().zip(second) {
                scores.texts.extend(second.texts);
                if let (Some(all), Some(second)) = (&mut scores.features, second.features) {
                    all.texts.extend(second.texts);
                }
            }
        }
        Ok(scores)
    }
}
