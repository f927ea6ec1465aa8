//! Linear layer, LayerNorm and attention of all towers, and the conversion between joined and split heads.

use tch::{Device, Kind, TchError, Tensor};

use crate::weights::Path;

/// `y = x Wᵀ + b`.
pub struct Linear {
    /// Weights.
    pub weight: Tensor, // (out, in)
    /// Biases.
    pub bias: Tensor, // (out)
}

impl Linear {
    /// Loads a layer of these widths below `path`.
    pub fn load(path: &Path<'_>, input: i64, output: i64) -> Self {
        Self { weight: path.take("weight", &[output, input]), bias: path.take("bias", &[output]) }
    }

    /// xs · weightᵀ + bias.
    pub fn forward(&self, xs: &Tensor) -> Result<Tensor, TchError> {
        if is_few(xs) {
            return self.forward_few(xs);
        }
        xs.f_linear(&self.weight, Some(&self.bias))
    }

    /// Computes `W xᵀ` instead of `x Wᵀ`: the same sums.
    fn forward_few(&self, xs: &Tensor) -> Result<Tensor, TchError> {
        let (mut shape, width) = (xs.size(), self.weight.size2()?);
        let rows = xs.f_reshape([-1, width.1])?;
        if let Some(last) = shape.last_mut() {
            *last = width.0;
        }
        self.weight.f_mm(&rows.f_transpose(0, 1)?)?.f_transpose(0, 1)?.f_add(&self.bias)?.f_reshape(shape)
    }
}

/// Whether a product has so few rows that reading the weights takes all its time. In f32 on a CPU, MKL reads
/// the weights faster as the left matrix: 94 MB of a vocabulary with 8 rows in 13 ms instead of 32, with 32
/// rows in 24 instead of 44 (2 cores with AVX2).
fn is_few(xs: &Tensor) -> bool {
    let width = xs.size().last().copied().unwrap_or(1).max(1);
    xs.device() == Device::Cpu && xs.kind() == Kind::Float && xs.numel() as i64 <= 32 * width
}

/// Layer normalisation over the last axis.
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    width: i64,
    eps: f64,
}

impl LayerNorm {
    /// Loads a layer norm of this width below `path`.
    pub fn load(path: &Path<'_>, width: i64, eps: f64) -> Self {
        Self { weight: path.take("weight", &[width]), bias: path.take("bias", &[width]), width, eps }
    }

    /// Normalises the last dimension.
    pub fn forward(&self, xs: &Tensor) -> Result<Tensor, TchError> {
        if let Some(normalised) = capfilt_kernels::layer_norm(xs, &self.weight, &self.bias, self.eps)? {
            return Ok(normalised);
        }
        xs.f_layer_norm([self.width], Some(&self.weight), Some(&self.bias), self.eps, true)
    }
}

/// The exact (erf) GELU.
pub fn gelu(xs: &Tensor) -> Result<Tensor, TchError> {
    xs.f_gelu("none")
}

/// `(rows, tokens, width) -> (rows, heads, tokens, width / heads)`
pub(crate) fn split_heads(xs: &Tensor, heads: i64) -> Result<Tensor, TchError> {
    let (rows, tokens, width) = xs.size3()?;
    xs.f_reshape([rows, tokens, heads, width / heads])?.f_transpose(1, 2)
}

/// `(rows, heads, tokens, d) -> (rows, tokens, heads × d)`
pub(crate) fn join_heads(xs: &Tensor) -> Result<Tensor, TchError> {
    let (rows, heads, tokens, d) = xs.size4()?;
    xs.f_transpose(1, 2)?.f_reshape([rows, tokens, heads * d])
}

/// Dropout of a model that is trained: sets a share of the elements to 0 and scales the remaining ones up.
/// With a share of 0, dropout does nothing.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Dropout(pub f64);

impl Dropout {
    /// Applies dropout to all elements.
    pub fn forward(self, xs: Tensor) -> Result<Tensor, TchError> {
        if self.0 > 0.0 { xs.f_dropout(self.0, true) } else { Ok(xs) }
    }

    /// Drops whole rows (the first axis), so that a row skips a residual branch: stochastic depth.
    pub fn rows(self, xs: Tensor) -> Result<Tensor, TchError> {
        if self.0 <= 0.0 {
            return Ok(xs);
        }
        let mut shape = vec![1; xs.dim()];
        shape[0] = xs.size()[0];
        let kept = Tensor::f_empty(shape, (xs.kind(), xs.device()))?.f_bernoulli_float_(1.0 - self.0)?;
        xs.f_mul(&kept)?.f_mul_scalar((1.0 - self.0).recip())
    }
}

/// Converts to f32, unless the tensor is f64.
pub fn widened(xs: &Tensor) -> Result<Tensor, TchError> {
    if xs.kind() == Kind::Double { Ok(xs.shallow_clone()) } else { xs.f_to_kind(Kind::Float) }
}

/// `softmax(q kᵀ / √d + mask) v`. A boolean mask is true for visible keys, a float mask is added to the
/// scores; `None`: all keys are visible. The mask is broadcast over heads.
pub fn attend(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    mask: Option<&Tensor>,
    dropout: Dropout,
) -> Result<Tensor, TchError> {
    if dropout.0 == 0.0
        && let Some(context) = capfilt_kernels::attend(q, k, v, mask)?
    {
        return Ok(context);
    }
    if is_short(q) {
        return attend_plainly(q, k, v, mask, dropout);
    }
    if is_better_widened(q) {
        let half = q.kind();
        let mask =
            mask.map(|mask| if mask.is_floating_point() { widened(mask) } else { Ok(mask.shallow_clone()) });
        let (mask, [q, k, v]) = (mask.transpose()?, [widened(q)?, widened(k)?, widened(v)?]);
        return attend(&q, &k, &v, mask.as_ref(), dropout)?.f_to_kind(half);
    }
    Tensor::f_scaled_dot_product_attention(q, k, v, mask, dropout.0, false, None::<f64>, false)
}

/// Whether the fused kernel is slower in half precision than in f32 including the conversions, as on CPUs.
/// With 8 × 12 heads of 577 queries and keys, the kernel takes 112 ms in bf16, 244 in f16, and 96 to 106 in
/// f32 with conversions (2 cores with AVX2); with AVX512-BF16, 75 to 80 in bf16 and 56 in f32 without
/// conversions. False for tensors that require a gradient: autograd would keep the f32 copies.
fn is_better_widened(q: &Tensor) -> bool {
    q.device() == Device::Cpu && matches!(q.kind(), Kind::BFloat16 | Kind::Half) && !q.requires_grad()
}

/// Whether the fused kernel is slower than plain attention. On a CPU the fused kernel computes in blocks of
/// queries and gains little from half precision. With 8 × 12 heads and 577 keys, one query takes 3.5 ms in
/// bf16 (plain 0.6), 70 take 9.9 (5.7); in f32 one takes 1.1 ms (0.7), 70 take 12.7 (15.1); 2 cores with
/// AVX512-BF16.
fn is_short(q: &Tensor) -> bool {
    let most = if q.kind() == Kind::Float { 8 } else { 128 };
    q.device() == Device::Cpu && q.size().get(2).is_some_and(|queries| *queries <= most)
}

fn attend_plainly(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    mask: Option<&Tensor>,
    dropout: Dropout,
) -> Result<Tensor, TchError> {
    let width = q.size4()?.3 as f64;
    let scores = q.f_matmul(&k.f_transpose(-2, -1)?)?.f_mul_scalar(width.sqrt().recip())?;
    let scores = match mask {
        Some(mask) if mask.is_floating_point() => scores.f_add(mask)?,
        Some(mask) => scores.f_masked_fill(&mask.f_logical_not()?, f64::NEG_INFINITY)?,
        None => scores,
    };
    dropout.forward(scores.f_softmax(-1, None::<Kind>)?)?.f_matmul(v)
}
