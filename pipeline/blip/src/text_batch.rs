//! Texts as one padded batch of token ids.

use tch::{Device, Kind, Tensor};

use crate::{
    error::ComputeError,
    preset::{FirstToken, Options, Padding},
    tokens::BertTokens,
};

/// A padded batch of token ids: (rows, tokens) int64; the mask is 1 for tokens and 0 for padding.
pub struct TextBatch {
    /// Token ids (texts, length).
    pub ids: Tensor,
    /// 1 for a token, 0 for padding (texts, length).
    pub mask: Tensor,
}

impl TextBatch {
    /// Tokenizes and pads texts by the options of the image-grounded encoder, for a model with `positions`
    /// positions; the first token is `[CLS]`.
    pub(crate) fn of(
        texts: &[&str],
        tokens: &BertTokens,
        options: &Options,
        positions: usize,
        device: Device,
    ) -> Result<Self, ComputeError> {
        let most = options.itm_max_tokens.unwrap_or(positions).min(positions);
        let encode = |text: &&str| tokens.encode(text, most).map_err(ComputeError::Input);
        let rows = texts.iter().map(encode).collect::<Result<Vec<_>, _>>()?;
        let width = (options.itm_padding == Padding::Maximum).then_some(most);
        Self::padded(&rows, tokens.pad(), width, device)
    }

    /// Rows of ids, padded to `width`, or to the longest row.
    pub(crate) fn padded(
        rows: &[Vec<i64>],
        pad: i64,
        width: Option<usize>,
        device: Device,
    ) -> Result<Self, ComputeError> {
        let width = width.unwrap_or_else(|| rows.iter().map(Vec::len).max().unwrap_or(0));
        let ids: Vec<i64> = rows
            .iter()
            .flat_map(|row| row.iter().copied().chain(std::iter::repeat(pad)).take(width))
            .collect();
        let mask: Vec<i64> =
            rows.iter().flat_map(|row| (0..width).map(|i| i64::from(i < row.len()))).collect();
        let rectangle = |values: &[i64]| {
            Tensor::f_from_slice(values)?.f_reshape([rows.len() as i64, width as i64])?.f_to_device(device)
        };
        Ok(Self { ids: rectangle(&ids)?, mask: rectangle(&mask)? })
    }

    /// Ids for the image-grounded encoder: the first token is replaced by `[ENC]` if the options request it.
    pub(crate) fn grounded_ids(
        &self,
        tokens: &BertTokens,
        first: FirstToken,
    ) -> Result<Tensor, ComputeError> {
        if first == FirstToken::Cls {
            return Ok(self.ids.shallow_clone());
        }
        let (rows, width) = self.ids.size2()?;
        let enc = Tensor::f_full([rows, 1], tokens.enc(), (Kind::Int64, self.ids.device()))?;
        Ok(Tensor::f_cat(&[enc, self.ids.f_narrow(1, 1, width - 1)?], 1)?)
    }
}
