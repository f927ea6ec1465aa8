//! Attention of tensors: which heads there are, what masks them, and who looks where.

use tch::{Device, Kind, TchError, Tensor};

use crate::{
    attention::{KeyValues, Looking},
    numbers::{Numbers, bytes_of, with_numbers},
    panels::Rows,
    share::{Shared, share},
    supported,
};

/// Fewer queries than these are not worth it that more keys than `MANY` are laid out for them.
const FEW: i64 = 16;
const MANY: i64 = 64;

/// Queries, keys and values of one call, and where the result goes.
struct Call {
    q: Heads,
    k: Heads,
    v: Heads,
    mask: Option<Mask>,
    out: Shared,
    heads: usize,
}

/// Rows of heads of a tensor (rows, heads, tokens, d), whose numbers lie side by side in a head.
struct Heads {
    at: *const u8,
    strides: [usize; 3],
    tokens: usize,
    d: usize,
}

// SAFETY: they are read only.
unsafe impl Sync for Heads {}

impl Heads {
    /// `None` when the numbers of a head do not lie side by side. `xs` must outlive it.
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

/// What is added to the scores: (rows or 1, queries or 1, keys) in f32.
struct Mask {
    _numbers: Tensor, // what `at` is an address in
    at: *const f32,
    strides: [usize; 2],
}

// SAFETY: it is read only.
unsafe impl Sync for Mask {}

impl Mask {
    /// From truths (true: seen) or numbers, (rows or 1, 1, queries or 1, keys), the first of which may be
    /// left out; `None` where heads differ.
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

    /// Where a row's begins, and how far it is from a query's to the next.
    fn of_row(&self, row: usize) -> (*const f32, usize) {
        (self.at.wrapping_byte_add(row * self.strides[0]), self.strides[1])
    }
}

/// `q`: (rows, heads, queries, d), `k` and `v`: (rows, heads, keys, d) -> (rows, heads, queries, d), which
/// lie in memory query by query, with a query's heads side by side. `mask`: true where a query looks, or what
/// is added to its scores; (rows or 1, 1, queries or 1, keys), or without the first of these. `None` where
/// the kernel has no use for it: on other devices and CPUs, in other numbers than f32 and bf16, for heads of
/// an odd number, with another mask for each head, where few queries look at many keys, and where a graph is
/// to be differentiated.
///
/// # Errors
/// When the shapes do not fit.
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
    // Laying out a key costs about what 48 queries take to look at it.
    let nanoseconds = (rows * heads * (queries + 48) * keys * d) as usize / 128;
    with_numbers!(kind, N => share((rows * heads) as usize, nanoseconds, |i| call.head::<N>(i / call.heads, i % call.heads)));
    out.f_transpose(1, 2).map(Some)
}

impl Call {
    fn head<N: Numbers>(&self, row: usize, head: usize) {
        let queries = self.q.rows(row, head);
        let width = queries.width * N::BYTES;
        let (mask, mask_stride) = self.mask.as_ref().map_or((std::ptr::null(), 0), |mask| mask.of_row(row));
        let looking = Looking {
            at: queries.at,
            stride: queries.stride,
            out: self.out.at().wrapping_add((row * queries.count * self.heads + head) * width),
            out_stride: self.heads * width,
            scale: (queries.width as f32).sqrt().recip(),
            mask,
            mask_stride,
        };
        // SAFETY: heads of tensors that are there, whose keys have whole steps; `attend` asked for a
        // supported CPU, and each head's results are written by one task.
        unsafe {
            let seen = KeyValues::pack::<N>(self.k.rows(row, head), self.v.rows(row, head));
            seen.look::<N>(&mut seen.scratch(), looking, queries.count);
        }
    }
}
