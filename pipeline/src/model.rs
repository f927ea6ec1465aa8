//! Interface to the models. Inputs and outputs are plain memory, never tensors.
//!
//! The models are `Send` and not `Sync`, as in libtorch: one thread owns a model.

/// Square RGB images of one side, concatenated: `images × side × side × 3` bytes, row by row, red first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PixelBatch {
    side: usize,
    pixels_u8: Vec<u8>,
}

impl PixelBatch {
    /// An empty batch with room for `capacity` images of `side` × `side` pixels.
    pub fn with_capacity(side: usize, capacity: usize) -> Self {
        Self { side, pixels_u8: Vec::with_capacity(capacity * side * side * 3) }
    }

    /// Appends one image of `side × side × 3` bytes.
    ///
    /// # Panics
    /// The image has another size; preparation guarantees the size.
    pub fn push(&mut self, image: &[u8]) {
        assert_eq!(
            image.len(),
            self.side * self.side * 3,
            "preparation resizes every image to the model's side"
        );
        self.pixels_u8.extend_from_slice(image);
    }

    /// Side of the images in pixels.
    pub fn side(&self) -> usize {
        self.side
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.pixels_u8.len() / (self.side * self.side * 3)
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// Any other error of libtorch.
    #[error("libtorch: {0}")]
    Backend(String),
}
