//! Texts of a batch as padded token ids, one variant per first token.

use capfilt_blip::{config::MedConfig, tokens::BertTokens};
use tch::{Device, Kind, TchError, Tensor};

use crate::error::TrainError;

/// Random words that replace the words of a text.
pub struct RandomWords {
    /// Share of replaced words, 0 to 1.
    pub share: f64,
    /// Random ids are below this.
    pub vocabulary: i64,
}

/// Ids (rows, width), int64, and mask: (rows, width), int64, 1 for tokens and 0 for padding, or (rows, width,
/// width), f32, with a mask per query.
pub struct TextRows {
    /// Token ids (texts, length).
    pub ids: Tensor,
    /// 1 for a token, 0 for padding (texts, length).
    pub mask: Tensor,
}

impl TextRows {
    /// Tokenizes texts to at most `most` ids each, and pads to the longest.
    ///
    /// # Errors
    /// The tokenizer fails.
    pub fn new(
        texts: &[String],
        tokens: &BertTokens,
        config: &MedConfig,
        most: usize,
        device: Device,
    ) -> Result<Self, TrainError> {
        let encode = |text: &String| tokens.encode(text, most).map_err(TrainError::Tokens);
        let rows = texts.iter().map(encode).collect::<Result<Vec<_>, _>>()?;
        let width = rows.iter().map(Vec::len).max().unwrap_or(0);
        let pad = config.text.pad_token_id;
        let ids: Vec<i64> = rows
            .iter()
            .flat_map(|row| row.iter().copied().chain(std::iter::repeat(pad)).take(width))
            .collect();
        let mask: Vec<i64> =
            rows.iter().flat_map(|row| (0..width).map(|i| i64::from(i < row.len()))).collect();
        let table = |values: &[i64]| {
            Tensor::f_from_slice(values)?.f_reshape([rows.len() as i64, width as i64])?.f_to_device(device)
        };
        Ok(Self { ids: table(&ids)?, mask: table(&mask)? })
    }

    /// The same rows with another first token: `[CLS]`, `[ENC]` or `[DEC]`, which selects the mode of the
    /// text tower.
    pub fn starting_with(&self, token: i64) -> Result<Self, TchError> {
        let (rows, width) = self.ids.size2()?;
        let first = Tensor::f_full([rows, 1], token, (Kind::Int64, self.ids.device()))?;
        let ids = Tensor::f_cat(&[first, self.ids.f_narrow(1, 1, width - 1)?], 1)?;
        Ok(Self { ids, mask: self.mask.shallow_clone() })
    }

    /// The same rows with a causal mask in which later tokens have the weight `ahead`, from 0 to 1. The first
    /// token attends to all tokens; through it, from the second layer on, other tokens get information about
    /// the whole text.
    ///
    /// # Errors
    /// Returns libtorch's errors.
    pub fn causal(&self, ahead: f64) -> Result<Self, TchError> {
        let (rows, width) = self.ids.size2()?;
        let seen = Tensor::f_ones([width, width], (Kind::Float, self.ids.device()))?
            .f_tril(0)?
            .f_clamp_min(ahead)?;
        drop(seen.f_narrow(0, 0, 1)?.f_fill_(1.0)?);
        let mask = self.mask.f_reshape([rows, 1, width])?.f_mul(&seen)?;
        Ok(Self { ids: self.ids.shallow_clone(), mask })
    }

    /// The same rows, with random ids for a share of the words of rows from `first` on. Lengths do not
    /// change.
    ///
    /// # Errors
    /// Returns libtorch's errors.
    pub fn with_random_words(&self, first: i64, words: &RandomWords) -> Result<Self, TchError> {
        let (rows, width) = self.ids.size2()?;
        let device = self.ids.device();
        // The first token attends to all tokens of a text.
        let seen = if self.mask.dim() == 3 { self.mask.f_select(1, 0)? } else { self.mask.shallow_clone() };
        let end = seen.f_sum_dim_intlist([1].as_slice(), true, Kind::Int64)?.f_sub_scalar(1)?;
        let place = Tensor::f_arange(width, (Kind::Int64, device))?.f_unsqueeze(0)?;
        let word = place.f_ge(1)?.f_logical_and(&place.f_lt_tensor(&end)?)?;
        let chosen = Tensor::f_rand([rows, 1], (Kind::Float, device))?.f_lt(words.share)?;
        drop(chosen.f_narrow(0, 0, first)?.f_fill_(0)?);
        let random = Tensor::f_randint(words.vocabulary, [rows, width], (Kind::Int64, device))?;
        let ids = random.f_where_self(&word.f_logical_and(&chosen)?, &self.ids)?;
        Ok(Self { ids, mask: self.mask.shallow_clone() })
    }

    /// The rows `index`, in that order.
    pub fn select(&self, index: &Tensor) -> Result<Self, TchError> {
        Ok(Self { ids: self.ids.f_index_select(0, index)?, mask: self.mask.f_index_select(0, index)? })
    }
}
