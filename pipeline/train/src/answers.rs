//! Loss of answers to questions about images (BLIP, section 5.3, figure 5): the text encoder reads question
//! and image, and the text decoder attends to the states of the question and writes each answer.

use capfilt_blip::{
    config::MedConfig,
    heads::LmHead,
    text::{TextCache, TextTower},
    tokens::BertTokens,
};
use tch::{Device, Kind, Reduction, TchError, Tensor};

use crate::{data::Answer, error::TrainError, language::IGNORED, texts::TextRows};

/// All answers to the questions of a batch.
pub struct AnswerRows {
    /// Answers that start with `[DEC]`, one row each.
    pub texts: TextRows,
    /// (answers), int64: row of the question.
    pub question: Tensor,
    /// (answers), f64: weight of the loss.
    pub weight: Tensor,
}

impl AnswerRows {
    /// Tokenizes the answers to each question, to at most `most` ids each.
    ///
    /// # Errors
    /// The tokenizer or the device fails.
    pub fn new(
        answers: &[Vec<Answer>],
        tokens: &BertTokens,
        config: &MedConfig,
        most: usize,
        device: Device,
    ) -> Result<Self, TrainError> {
        let texts: Vec<String> = answers.iter().flatten().map(|answer| answer.text.clone()).collect();
        let weights: Vec<f64> = answers.iter().flatten().map(|answer| answer.weight).collect();
        let of_question = |(row, answers): (usize, &Vec<Answer>)| vec![row as i64; answers.len()];
        let rows: Vec<i64> = answers.iter().enumerate().flat_map(of_question).collect();
        let texts = TextRows::new(&texts, tokens, config, most, device)?.starting_with(tokens.dec())?;
        let question = Tensor::f_from_slice(&rows)?.f_to_device(device)?;
        Ok(Self { texts, question, weight: Tensor::f_from_slice(&weights)?.f_to_device(device)? })
    }
}

/// Sum over the answers of the weighted loss, divided by the number of questions. The loss of an answer is
/// the sum of the cross-entropies of its tokens, which include `[SEP]`, with label smoothing. Source:
/// models/blip_vqa.py and models/med.py (`reduction = 'none'`) of the published code.
///
/// `questions` start with `[ENC]`, one row per image; `states` are those of the images.
pub fn answering(
    encoder: &TextTower,
    (decoder, head): (&TextTower, &LmHead),
    questions: &TextRows,
    states: &Tensor,
    answers: &AnswerRows,
    smoothing: f64,
) -> Result<Tensor, TchError> {
    let keys = encoder.projected_keys(states)?;
    let read = encoder.encode_with_image(&questions.ids, &questions.mask, &keys)?; // (questions, tokens, d)
    let keys = decoder.masked_keys(&read, &questions.mask)?.select(&answers.question)?;
    let TextRows { ids, mask } = &answers.texts;
    let (rows, width) = ids.size2()?;
    let states = decoder.decode_step(&ids.f_narrow(1, 0, width - 1)?, &mut TextCache::default(), &keys)?;
    let logits = head.words(&states)?.f_flatten(0, 1)?; // (answers × (width − 1), vocabulary)
    let labels = ids.f_masked_fill(&mask.f_eq(0)?, IGNORED)?.f_narrow(1, 1, width - 1)?.f_reshape([-1])?;
    let losses = logits.f_cross_entropy_loss(&labels, None::<Tensor>, Reduction::None, IGNORED, smoothing)?;
    let of_answer =
        losses.f_view([rows, width - 1])?.f_sum_dim_intlist([1].as_slice(), false, None::<Kind>)?;
    let weight = answers.weight.f_to_kind(of_answer.kind())?;
    of_answer.f_mul(&weight)?.f_sum(None::<Kind>)?.f_div_scalar(questions.ids.size2()?.0 as f64)
}
