//! Attention on tensors: strides of the heads, conversion of masks, and one task per head.

use tch::{Device, Kind, TchError, Tensor};

use crate::{
    attention::{AttentionArgs, KeyValues},
    element::{Element, bytes_of, with_element},
    panels::Rows,
    parallel::{Shared, parallel_for},
    supported,
};

/// Below `FEW` queries and above `MANY` keys, packing the keys costs more than it saves.
const FEW: i64 = 16;
const MANY: i64 = 64;

/// Queries, keys and values of one call, and the address of the result.
struct Call {
    q: Heads,
    k: Heads,
    v: Heads,
    mask: Option<Mask>,
    out: Shared,
    heads: usize,
}

/// Address of a tensor (rows, heads, tokens, d) whose elements are contiguous within a head's token.
struct Heads {
    at: *const u8,
    strides: [usize; 3],
    tokens: usize,
    d: usize,
}

// SAFETY: the memory is only read.
unsafe impl Sync for Heads {}

impl Heads {
    /// Returns `None` when the elements of a token are not contiguous. `xs` must outlive the result.
    fn of(xs: &Tensor, bytes: usize) -> Result<Option<Self>, TchError> {
        let ((_, _, tokens, d), strides) = (xs.size4()?, xs.stride());
        let at = xs.data_ptr().cast_const().cast();
        let in_bytes = |i: usize| strides[i] as usize * bytes;
        let heads = Self { at, strides: [0, 1, 2].map(in_bytes), tokens: tokens as usize, d: d as usize };
        Ok((strides[3] == 1 || d == 1).then_some(heads))
    }

    fn rows(&self, row: usize, head: usize) -> Rows {
        let at = self.at.wrapping_add(row * self.strides[0] + head * self.strides[1]);
        Rows { at, count: self.tokens, width: self.d, stride: self.strides[2] }
    }
}

/// Numbers that are added to the scores: (rows or 1, queries or 1, keys) in f32.
struct Mask {
    _numbers: Tensor, // owns the memory of `at`
    at: *const f32,
    strides: [usize; 2],
}

// SAFETY: the memory is only read.
unsafe impl Sync for Mask {}

impl Mask {
    /// Converts a boolean mask (true: visible) or an additive one, of shape (rows or 1, 1, queries or 1,
    /// keys); the leading axes may be missing. Returns `None` if the mask differs between heads.
    fn of(mask: &Tensor, [rows, queries, keys]: [i64; 3]) -> Result<Option<Self>, TchError> {
        let mut shape = mask.size();
        while shape.len() < 4 {
            shape.insert(0, 1);
        }
        let fits = (shape[0] == rows || shape[0] == 1) && (shape[2] == queries || shape[2] == 1);
        if shape.len() > 4 || !fits || shape[1] != 1 || shape[3] != keys || mask.device() != Device::Cpu {
            return Ok(None);
        }
        let numbers = if mask.is_floating_point() {
            mask.f_to_kind(Kind::Float)?.f_contiguous()?
        } else {
            let unseen = mask.f_logical_not()?;
            Tensor::f_zeros(mask.size(), (Kind::Float, Device::Cpu))?
                .f_masked_fill(&unseen, f64::NEG_INFINITY)?
        };
        let bytes = |count: i64, stride: i64| if count == 1 { 0 } else { 4 * stride as usize };
        let strides = [bytes(shape[0], shape[2] * keys), bytes(shape[2], keys)];
        Ok(Some(Self { at: numbers.data_ptr().cast_const().cast(), _numbers: numbers, strides }))
    }

    /// Address of a row's mask, and bytes from one query's mask to the next.
    fn of_row(&self, row: usize) -> (*const f32, usize) {
        (self.at.wrapping_byte_add(row * self.strides[0]), self.strides[1])
    }
}

/// Attention: `q` (rows, heads, queries, d), `k` and `v` (rows, heads, keys, d) -> (rows, heads, queries, d).
/// In memory, the result is (rows, queries, heads, d). `mask` is boolean (true: visible) or additive, of
/// shape (rows or 1, 1, queries or 1, keys); the leading axes may be missing.
///
/// Returns `None` where the kernel does not apply: other devices and CPUs, dtypes other than f32 and bf16, an
/// odd `d`, a mask that differs between heads, few queries with many keys, and tensors that require a
/// gradient.
///
/// # Errors
/// The shapes do not fit.
pub fn attend(q: &Tensor, k: &Tensor, v: &Tensor, mask: Option<&Tensor>) -> Result<Option<Tensor>, TchError> {
    let ((rows, heads, queries, d), (_, _, keys, _)) = (q.size4()?, k.size4()?);
    let kind = q.kind();
    let ours = |xs: &Tensor| xs.device() == Device::Cpu && xs.kind() == kind && !xs.requires_grad();
    let some = rows * heads * queries * keys * d > 0 && (queries >= FEW || keys <= MANY);
    let fits = supported() && [q, k, v].into_iter().all(ours) && d % 2 == 0 && some;
    let Some(bytes) = bytes_of(kind).filter(|_| fits) else { return Ok(None) };
    if [k, v].into_iter().any(|xs| xs.size() != [rows, heads, keys, d]) {
        return Err(TchError::Shape(format!(
            "queries {:?}, keys {:?}, values {:?}",
            q.size(),
            k.size(),
            v.size()
        )));
    }
    let mask = match mask.map(|mask| Mask::of(mask, [rows, queries, keys])).transpose()? {
        Some(None) => return Ok(None),
        mask => mask.flatten(),
    };
    let (Some(q), Some(k), Some(v)) = (Heads::of(q, bytes)?, Heads::of(k, bytes)?, Heads::of(v, bytes)?)
    else {
        return Ok(None);
    };
    let out = Tensor::f_empty([rows, queries, heads, d], (kind, Device::Cpu))?;
    let call = Call { q, k, v, mask, out: Shared::new(out.data_ptr().cast()), heads: heads as usize };
    // Packing a key costs about as much as the scores of 48 queries with it.
    let nanoseconds = (rows * heads * (queries + 48) * keys * d) as usize / 128;
    with_element!(kind, N => parallel_for((rows * heads) as usize, nanoseconds, |i| {
        call.head::<N>(i / call.heads, i % call.heads);
    }));
    out.f_transpose(1, 2).map(Some)
}

impl Call {
    fn head<N: Element>(&self, row: usize, head: usize) {
        let queries = self.q.rows(row, head);
        let width = queries.width * N::BYTES;
        let (mask, mask_stride) = self.mask.as_ref().map_or((std::ptr::null(), 0), |mask| mask.of_row(row));
        let args = AttentionArgs {
            at: queries.at,
            stride: queries.stride,
            out: self.out.at().wrapping_add((row * queries.count * self.heads + head) * width),
            out_stride: self.heads * width,
            scale: (queries.width as f32).sqrt().recip(),
            mask,
            mask_stride,
        };
        // SAFETY: the tensors live until the end of the call, and keys have whole steps; `attend` checked the
        // CPU, and only one task writes a head's results.
        unsafe {
            let seen = KeyValues::pack::<N>(self.k.rows(row, head), self.v.rows(row, head));
            seen.forward::<N>(&mut seen.scratch(), args, queries.count);
        }
    }
}
