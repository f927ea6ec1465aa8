//! Image-text contrastive loss (BLIP, section 3.2: ITC) against the batch and a queue of earlier batches,
//! with soft targets of the momentum towers (Li et al. 2021, "Align before Fuse").

use tch::{Device, Kind, TchError, Tensor};

/// Unit vectors of one batch, from the towers or from their momentum copies.
pub struct Features {
    /// (pairs, projection)
    pub image: Tensor,
    /// (pairs, projection)
    pub text: Tensor,
}

/// Momentum features of earlier batches; a new batch replaces the oldest. Memory: 2 × projection × length × 4
/// bytes; 118 MB for BLIP's 57,600 × 256.
pub struct FeatureQueue {
    /// Image features of earlier batches.
    pub image: Tensor, // (projection, length)
    /// Text features of earlier batches.
    pub text: Tensor, // (projection, length)
    /// Image ids of the features.
    pub ids: Tensor, // (length), −100 where nothing is yet
    /// Position of the next features.
    pub at: i64,
}

/// Result of the contrastive loss.
pub struct Contrast {
    /// ()
    pub loss: Tensor,
    /// Similarities of images to texts, divided by τ: (pairs, pairs + queue)
    pub image_to_text: Tensor,
    /// Similarities of texts to images, in the same shape.
    pub text_to_image: Tensor,
}

impl FeatureQueue {
    /// A queue of random unit vectors.
    pub fn new(projection: i64, length: i64, kind: Kind, device: Device) -> Result<Self, TchError> {
        let side = || -> Result<Tensor, TchError> {
            // Sampled on the CPU, so that a seed gives the same numbers for every device.
            let drawn = Tensor::f_randn([projection, length], (kind, Device::Cpu))?;
            drawn.f_div(&drawn.f_norm_scalaropt_dim(2.0, [0], true)?)?.f_to_device(device)
        };
        Ok(Self {
            image: side()?,
            text: side()?,
            ids: Tensor::f_full([length], -100, (Kind::Int64, device))?,
            at: 0,
        })
    }

    /// Replaces the oldest batch. The queue's length is a multiple of the batch size, so a batch does not
    /// wrap.
    pub fn push(&mut self, features: &Features, ids: &Tensor) -> Result<(), TchError> {
        let pairs = features.image.size()[0];
        let length = self.ids.size()[0];
        self.image.f_narrow(1, self.at, pairs)?.f_copy_(&features.image.f_transpose(0, 1)?)?;
        self.text.f_narrow(1, self.at, pairs)?.f_copy_(&features.text.f_transpose(0, 1)?)?;
        self.ids.f_narrow(0, self.at, pairs)?.f_copy_(ids)?;
        self.at = (self.at + pairs) % length;
        Ok(())
    }
}

/// Loss of a batch: `−Σ y log softmax(similarity / τ)`, mean of both directions.
///
/// `online`, `momentum`: the batch's features; `alpha`: weight of the momentum towers' softmax in the
/// targets. With `ids` (pairs), all entries of batch and queue with a pair's id share its target, as in
/// fine-tuning; without `ids`, only the pair's own entry is the target, as in pre-training.
pub fn contrast(
    online: &Features,
    momentum: &Features,
    queue: &FeatureQueue,
    ids: Option<&Tensor>,
    temperature: &Tensor,
    alpha: f64,
) -> Result<Contrast, TchError> {
    // (projection, pairs + queue)
    let all_images = Tensor::f_cat(&[&momentum.image.f_transpose(0, 1)?, &queue.image], 1)?;
    let all_texts = Tensor::f_cat(&[&momentum.text.f_transpose(0, 1)?, &queue.text], 1)?;
    let own = match ids {
        Some(ids) => {
            let all = Tensor::f_cat(&[ids, &queue.ids], 0)?;
            let same =
                ids.f_unsqueeze(1)?.f_eq_tensor(&all.f_unsqueeze(0)?)?.f_to_kind(online.image.kind())?;
            same.f_div(&same.f_sum_dim_intlist([1].as_slice(), true, None::<Kind>)?)?
        }
        None => {
            let (pairs, length) = (online.image.size()[0], all_images.size()[1]);
            Tensor::f_eye_m(pairs, length, (online.image.kind(), online.image.device()))?
        }
    };
    let target = |features: &Tensor, all: &Tensor| {
        tch::no_grad(|| {
            let opinion = features.f_matmul(all)?.f_div(temperature)?.f_softmax(1, None::<Kind>)?;
            opinion.f_mul_scalar(alpha)?.f_add(&own.f_mul_scalar(1.0 - alpha)?)
        })
    };
    let direction = |similarity: &Tensor, target: &Tensor| {
        let by_row = similarity.f_log_softmax(1, None::<Kind>)?.f_mul(target)?;
        by_row.f_sum_dim_intlist([1].as_slice(), false, None::<Kind>)?.f_mean(None::<Kind>)?.f_neg()
    };
    let image_to_text = online.image.f_matmul(&all_texts)?.f_div(temperature)?;
    let text_to_image = online.text.f_matmul(&all_images)?.f_div(temperature)?;
    let loss = direction(&image_to_text, &target(&momentum.image, &all_texts)?)?;
    let loss =
        loss.f_add(&direction(&text_to_image, &target(&momentum.text, &all_images)?)?)?.f_mul_scalar(0.5)?;
    Ok(Contrast { loss, image_to_text, text_to_image })
}
