//! The reasoner about pairs of images (BLIP's NLVR2): the image-grounded encoder reads a statement with two
//! images, and a classifier of the state of `[ENC]` decides whether the statement is true.

use std::path::Path;

use capfilt_pipeline::model::{ModelError, PixelBatch};
use tch::{Kind, Tensor};

use crate::{
    config::MedConfig,
    error::{ComputeError, LoadError},
    heads::ClsHead,
    image_encoder::ImageEncoder,
    load::{LoadOptions, Loading},
    pair_text::{PairTextTower, first_stored},
    preset::{FirstToken, Options},
    role::Role,
    text_batch::TextBatch,
    tokens::BertTokens,
};

/// Judges statements about pairs of images with a BLIP NLVR2 checkpoint.
pub struct BlipReasoner {
    images: ImageEncoder,
    text: PairTextTower,
    head: ClsHead,
    tokens: BertTokens,
    config: MedConfig,
    options: Options,
}

/// A statement about two of the images of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statement<'a> {
    /// Indices of the first (left) and of the second (right) image in the batch.
    pub images: [usize; 2],
    /// Text of the statement.
    pub text: &'a str,
}

impl BlipReasoner {
    /// Loads an original `.pth`, or a folder that `capfilt train nlvr` wrote; transformers has no class of
    /// this model. A layer merges its two attentions if it has the tensors for that.
    ///
    /// # Errors
    /// Names the file or option that is wrong, and why. The checkpoint of another model is recognised as
    /// such.
    pub fn load(path: &Path, options: &LoadOptions) -> Result<Self, LoadError> {
        let loading = Loading::start(path, Role::Reasoner, options)?;
        let (root, config) = (loading.store.root(), &loading.config);
        let encoder = root.sub("text_encoder");
        let first_merged = first_stored(&encoder, config.text.num_hidden_layers);
        let text = PairTextTower::load_twin(&encoder, &config.text, config.vision.hidden_size, first_merged);
        let head = ClsHead::load(&root, config);
        drop((root, encoder));
        let (config, tokens, images) = loading.finish()?;
        tokens.check_enc().map_err(LoadError::Options)?;
        // The published code cuts no statement; the position table limits its length.
        let options = Options { itm_max_tokens: None, ..options.options.clone() };
        Ok(Self { images, text, head, tokens, config, options })
    }

    /// Sizes of the model.
    pub fn config(&self) -> &MedConfig {
        &self.config
    }

    /// Tokenizer.
    pub fn tokens(&self) -> &BertTokens {
        &self.tokens
    }

    /// Image encoder.
    pub fn images(&self) -> &ImageEncoder {
        &self.images
    }

    /// Tokenizes and pads statements; the first token is `[CLS]`.
    pub fn batch(&self, statements: &[Statement<'_>]) -> Result<TextBatch, ComputeError> {
        let texts: Vec<&str> = statements.iter().map(|statement| statement.text).collect();
        let positions = self.config.text.max_position_embeddings as usize;
        TextBatch::of(&texts, &self.tokens, &self.options, positions, self.images.device)
    }

    /// Logits (statements, 2) in f32, false and true, given the states (images, image tokens, image width) of
    /// all images. The first token is replaced by `[ENC]`.
    pub fn logits(
        &self,
        batch: &TextBatch,
        statements: &[Statement<'_>],
        images: &Tensor,
    ) -> Result<Tensor, ComputeError> {
        let side = |i: usize| {
            let of_rows: Vec<i64> = statements.iter().map(|statement| statement.images[i] as i64).collect();
            images.f_index_select(0, &Tensor::f_from_slice(&of_rows)?.f_to_device(self.images.device)?)
        };
        let pair = self.text.pair_keys([&side(0)?, &side(1)?], batch.ids.size2()?.1)?;
        let ids = batch.grounded_ids(&self.tokens, FirstToken::Enc)?;
        Ok(self.head.forward(&self.text.encode_with_pair(&ids, &batch.mask, &pair)?)?)
    }

    /// Probability that each statement is true.
    ///
    /// # Errors
    /// A statement about an image that the batch does not have; the device fails or has not enough memory.
    pub fn probabilities(
        &self,
        images: &PixelBatch,
        statements: &[Statement<'_>],
    ) -> Result<Vec<f32>, ModelError> {
        if statements.is_empty() {
            return Ok(Vec::new());
        }
        let compute = || {
            let mut named = statements.iter().flat_map(|statement| statement.images);
            if let Some(image) = named.find(|image| *image >= images.len()) {
                let count = images.len();
                return Err(ComputeError::Input(format!(
                    "a statement about image {image} of {count} images"
                )));
            }
            let logits = self.logits(&self.batch(statements)?, statements, &self.images.states(images)?)?;
            let truth = logits.f_softmax(-1, Kind::Float)?.f_select(1, 1)?;
            let truth = Vec::<f32>::try_from(truth.f_contiguous()?)?;
            match truth.iter().all(|probability| probability.is_finite()) {
                true => Ok(truth),
                false => Err(ComputeError::NotANumber("probabilities")),
            }
        };
        tch::no_grad(compute).map_err(|error| error.at_seam(images.len(), self.images.precision.name()))
    }
}
