//! Interface to the models. Inputs and outputs are plain memory, never tensors.
//!
//! The models are `Send` and not `Sync`, as in libtorch: one thread owns a model.

use crate::{frames::Frames, framing::Square};
use bytes::Bytes;

/// Square RGB images of one side, concatenated: `images × side × side × 3` bytes, row by row, red first. In a
/// batch of clips, each image has several frames, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PixelBatch {
    side: usize,
    frames: Frames,
    pixels_u8: Vec<u8>,
}

impl PixelBatch {
    /// An empty batch with room for `capacity` images of `side` × `side` pixels.
    pub fn with_capacity(side: usize, capacity: usize) -> Self {
        Self::of_clips(side, Frames::ONE, capacity)
    }

    /// An empty batch with room for `capacity` clips with these frames.
    pub fn of_clips(side: usize, frames: Frames, capacity: usize) -> Self {
        Self { side, frames, pixels_u8: Vec::with_capacity(capacity * frames.count * side * side * 3) }
    }

    /// Appends one image of `side × side × 3` bytes, or one clip with this number of bytes per frame.
    ///
    /// # Panics
    /// The image has another size; preparation guarantees the size.
    pub fn push(&mut self, image: &[u8]) {
        assert_eq!(
            image.len(),
            self.frames.count * self.side * self.side * 3,
            "preparation resizes every image to the model's side"
        );
        self.pixels_u8.extend_from_slice(image);
    }

    /// A batch of images, or clips, of `side` × `side` pixels.
    ///
    /// # Panics
    /// As [`push`](Self::push).
    pub fn of<'a>(side: usize, frames: Frames, images: impl ExactSizeIterator<Item = &'a [u8]>) -> Self {
        let mut batch = Self::of_clips(side, frames, images.len());
        images.for_each(|image| batch.push(image));
        batch
    }

    /// Side of the images in pixels.
    pub fn side(&self) -> usize {
        self.side
    }

    /// Frames of each image.
    pub fn frames(&self) -> Frames {
        self.frames
    }

    /// Number of images; a clip counts once.
    pub fn len(&self) -> usize {
        self.pixels_u8.len() / (self.frames.count * self.side * self.side * 3)
    }

    /// Whether the batch has no images.
    pub fn is_empty(&self) -> bool {
        self.pixels_u8.is_empty()
    }

    /// The bytes of all images.
    pub fn pixels_u8(&self) -> &[u8] {
        &self.pixels_u8
    }
}

/// Key of the random numbers of one image. Captions depend only on this key, so batch order, worker count and
/// restarts do not change them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SampleKey {
    /// Seed of the job.
    pub job_seed: u64,
    /// Digest of the encoded image.
    pub image_sha256: [u8; 32],
}

/// One generated caption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caption {
    /// The text without the prompt and without special tokens.
    pub text: String,
    /// All token ids, with prompt and end token, without padding.
    pub ids: Vec<i64>,
}

/// Log-probability of one token of a given caption.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TokenLogProb {
    /// Natural logarithm of the token's probability, given the tokens before it.
    pub log_probability: f32,
    /// The most probable token at this position, and its log-probability.
    pub likeliest: i64,
    /// The highest log-probability.
    pub highest: f32,
}

/// Scores of one text for one image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TextScore {
    /// P(match) of the image-text matching head, 0 to 1 (BLIP, section 3.2: ITM).
    pub itm: f32,
    /// Cosine of the unimodal features, −1 to 1 (BLIP, section 3.2: ITC).
    pub itc: f32,
}

/// Writes captions for images.
pub trait Captioner: Send {
    /// Side in pixels of the square input images.
    fn image_side(&self) -> usize;

    /// Writes `captions` texts for each image of the batch; `keys[i]` belongs to image `i`.
    fn caption(
        &mut self,
        images: &PixelBatch,
        keys: &[SampleKey],
        captions: usize,
    ) -> Result<Vec<Vec<Caption>>, ModelError>;

    /// Scores the tokens of `captions[i]` for image `i`. The captions ([`Caption::ids`]) start with the
    /// prompt; the result has one entry per token after it. Constraints on tokens are not applied, and
    /// nothing is sampled.
    fn log_probs(
        &mut self,
        images: &PixelBatch,
        captions: &[Vec<i64>],
    ) -> Result<Vec<Vec<TokenLogProb>>, ModelError>;
}

/// An encoded image for a captioner that is another program.
#[derive(Debug, Clone)]
pub struct EncodedImage {
    /// The input's bytes, unchanged.
    pub bytes: Bytes,
    /// Key of the image's random numbers.
    pub key: SampleKey,
}

/// One caption of another program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemoteCaption {
    /// The text.
    Text(String),
    /// The program wrote no caption of this image, for this reason.
    Refused(String),
}

/// Writes captions with another program, which decodes the images.
///
/// Unlike a [`Captioner`], the program may refuse an image, and nothing of its computation is known: neither
/// token ids nor probabilities, so it has no known answers.
pub trait RemoteCaptioner: Send {
    /// Names images of which the captions will be requested soon, so that the program can write them while
    /// this process computes. An implementation may ignore it.
    fn announce(&mut self, _images: Vec<EncodedImage>, _captions: usize) {}

    /// Writes `captions` texts for each image.
    ///
    /// # Errors
    /// The program is unavailable for too long, or fails at every image.
    fn caption(
        &mut self,
        images: Vec<EncodedImage>,
        captions: usize,
    ) -> Result<Vec<Vec<RemoteCaption>>, ModelError>;
}

/// Origin of a job's captions.
pub enum CaptionSource {
    /// The job has no captions: the filter judges the texts of the input.
    Nothing,
    /// A model of this process.
    Model(Box<dyn Captioner>),
    /// Another program.
    Remote(Box<dyn RemoteCaptioner>),
}

/// Scores of one image's texts, with the vectors that the cosines come from, if they were requested.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ImageScores {
    /// Scores, in the order of the texts.
    pub texts: Vec<TextScore>,
    /// Unit vectors of the contrastive heads.
    pub features: Option<Features>,
}

/// Unit vectors of the contrastive heads (BLIP, section 3.2: ITC); the cosine is their product.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Features {
    /// Vector of the image.
    pub image: Vec<f32>,
    /// Vectors of the texts, in their order.
    pub texts: Vec<Vec<f32>>,
}

/// Further texts of each image, which follow from the scores of its first texts.
pub type MoreTexts<'a> = dyn FnMut(&[Vec<TextScore>]) -> Result<Vec<Vec<String>>, ModelError> + 'a;

/// Scores texts for images.
pub trait Filter: Send {
    /// Side in pixels of the square input images.
    fn image_side(&self) -> usize;

    /// Scores `texts[i]` (cleaned, any number of them) for image `i`; the image is encoded once.
    fn score(
        &mut self,
        images: &PixelBatch,
        texts: &[Vec<String>],
    ) -> Result<Vec<Vec<TextScore>>, ModelError>;

    /// Numbers of each vector of [`Features`]; `None` if the filter has none.
    fn feature_width(&self) -> Option<usize> {
        None
    }

    /// Scores `texts` as [`score`](Self::score), then the texts that `more` returns for these scores. The
    /// result has both, in this order. An implementation keeps the encoded images between the two, and
    /// returns features if `with_features` is set; this one does neither.
    fn score_in_turns(
        &mut self,
        images: &PixelBatch,
        texts: &[Vec<String>],
        more: &mut MoreTexts,
        _with_features: bool,
    ) -> Result<Vec<ImageScores>, ModelError> {
        let first = self.score(images, texts)?;
        let further = more(&first)?;
        let second = match further.iter().all(Vec::is_empty) {
            true => vec![Vec::new(); first.len()],
            false => self.score(images, &further)?,
        };
        let both = first.into_iter().zip(second).map(|(first, second)| [first, second].concat());
        Ok(both.map(|texts| ImageScores { texts, features: None }).collect())
    }
}

/// Computes vectors of images and of texts with two separate encoders (CLIP). The vectors have the length 1,
/// and the score of an image and a text is their product.
pub trait DualEncoder: Send {
    /// Squares that the image encoder takes.
    fn square(&self) -> Square;

    /// Unit vectors of images.
    fn images(&mut self, images: &PixelBatch) -> Result<Vec<Vec<f32>>, ModelError>;

    /// Unit vectors of any number of texts, which are unchanged texts of `images` images. Without enough
    /// memory, the error has this number of images.
    fn texts(&mut self, texts: &[&str], images: usize) -> Result<Vec<Vec<f32>>, ModelError>;
}

/// CLIP score of an image and a text: 100 × the cosine of their unit vectors.
pub fn clip_score(image: &[f32], text: &[f32]) -> f32 {
    100.0 * image.iter().zip(text).map(|(a, b)| a * b).sum::<f32>()
}

/// Reason why a model failed.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The device has not enough memory for a batch.
    #[error("the device has not enough memory for a batch of {batch} images: {message}")]
    OutOfMemory {
        /// Images of the batch.
        batch: usize,
        /// Message of libtorch.
        message: String,
    },
    /// An output is not a number.
    #[error(
        "the model's output is not a number ({what}); its weights or this device's {precision} arithmetic \
        are broken"
    )]
    NotANumber {
        /// The output.
        what: &'static str,
        /// Name of the model's precision.
        precision: &'static str,
    },
    /// Another program does not write captions.
    #[error("{0}")]
    Remote(String),
    /// Any other error of libtorch.
    #[error("libtorch: {0}")]
    Backend(String),
}
