//! The seam to the models: plain memory in, plain memory out. Tensors never cross it.
//!
//! `Send` and not `Sync` on purpose: that is what libtorch offers, and one thread owns a model.

/// Square RGB images of one side, one after the other: `images × side × side × 3` bytes, row by row, red
/// first.
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
    /// When the image has another size: the preparation promises it.
    pub fn push(&mut self, image: &[u8]) {
        assert_eq!(
            image.len(),
            self.side * self.side * 3,
            "preparation resizes every image to the model's side"
        );
        self.pixels_u8.extend_from_slice(image);
    }

    pub fn side(&self) -> usize {
        self.side
    }

    /// How many images there are.
    pub fn len(&self) -> usize {
        self.pixels_u8.len() / (self.side * self.side * 3)
    }

    pub fn is_empty(&self) -> bool {
        self.pixels_u8.is_empty()
    }

    pub fn pixels_u8(&self) -> &[u8] {
        &self.pixels_u8
    }
}

/// Names the random numbers of one image: captions depend on it and on nothing else, so neither batch order
/// nor worker count nor a restart can change them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampleKey {
    pub job_seed: u64,
    pub image_sha256: [u8; 32],
}

/// One generated caption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caption {
    /// The text without the prompt and without special tokens.
    pub text: String,
    /// All token ids, prompt and end included, padding not.
    pub ids: Vec<i64>,
}

/// What a captioner thinks of one word of a caption that is put before it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WordOdds {
    /// Natural logarithm of the word's probability after the words before it.
    pub log_probability: f32,
    /// The word it finds likeliest there, and how likely.
    pub likeliest: i64,
    pub highest: f32,
}

/// What the filter thinks of one text against one image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TextScore {
    /// P(match) of the image-text matching head, 0 to 1 (BLIP, section 3.2: ITM).
    pub itm: f32,
    /// Cosine of the unimodal features, −1 to 1 (BLIP, section 3.2: ITC).
    pub itc: f32,
}

/// Writes captions for images.
pub trait Captioner: Send {
    /// Side in pixels of the square images it takes.
    fn image_side(&self) -> usize;

    /// `captions` texts for each image of the batch; `keys[i]` belongs to image `i`.
    fn caption(
        &mut self,
        images: &PixelBatch,
        keys: &[SampleKey],
        captions: usize,
    ) -> Result<Vec<Vec<Caption>>, ModelError>;

    /// What it thinks of the words of `captions[i]` ([`Caption::ids`], which start with its prompt) for image
    /// `i`: one for each word behind the prompt. Without any constraint on words, and without chance.
    fn odds(&mut self, images: &PixelBatch, captions: &[Vec<i64>]) -> Result<Vec<Vec<WordOdds>>, ModelError>;
}

/// Judges texts against images.
pub trait Filter: Send {
    /// Side in pixels of the square images it takes.
    fn image_side(&self) -> usize;

    /// Scores `texts[i]` (cleaned, any number of them) against image `i`; the image is encoded once.
    fn score(
        &mut self,
        images: &PixelBatch,
        texts: &[Vec<String>],
    ) -> Result<Vec<Vec<TextScore>>, ModelError>;
}

/// Why a model gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    #[error("the device has not enough memory for a batch of {batch} images: {message}")]
    OutOfMemory { batch: usize, message: String },
    #[error(
        "the model's output is not a number ({what}); its weights or this device's {precision} arithmetic are broken"
    )]
    NotANumber { what: &'static str, precision: &'static str },
    #[error("libtorch: {0}")]
    Backend(String),
}
