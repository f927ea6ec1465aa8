//! Cross-attention with absorbed key and value projections. Each head's query is multiplied by W_kᵀ and
//! attends to the image states directly; the resulting context is multiplied by W_v. With few queries this is
//! cheaper than projecting all patches to keys and values.

use std::{arch::x86_64::*, sync::Arc};

use tch::{Device, Kind, TchError, Tensor};

use crate::{
    attention::{AttentionArgs, KeyValues},
    element::{Element, bytes_of, with_element},
    panels::{Panels, Rows},
    parallel::{Shared, parallel_for, threads},
    supported,
    tile::{COLUMNS, ROWS, Sums, by_rows, lanes, tile},
};

/// Image states, packed once as keys and once as values.
#[derive(Clone)]
pub struct PackedStates {
    images: Vec<Arc<KeyValues>>,
    kind: Kind,
    width: usize,
}

/// Key and value projections of one layer, packed per head.
pub struct PackedCrossAttention {
    keys: Vec<Panels>,   // from elements of a head to elements of a state
    values: Vec<Panels>, // from elements of a state to elements of a head
    bias: Vec<f32>,      // of the values; each head's part is padded with zeros to a whole panel
    kind: Kind,
    of_head: usize,
    width: usize,
}

/// Addresses of one call: queries (images, queries, heads × of_head) and results of the same shape.
struct Call<'a> {
    layer: &'a PackedCrossAttention,
    states: &'a PackedStates,
    at: *const u8,
    out: Shared,
    queries: usize,
}

// SAFETY: `at` is only read, and `out` is shared under the rule of `Shared`.
unsafe impl Sync for Call<'_> {}

/// Product of a few rows with one packed matrix.
struct Projection<'a> {
    panels: &'a Panels,
    columns: usize,
    bias: Option<&'a [f32]>,
    at: *const u8,
    stride: usize,
    out: *mut u8,
    out_stride: usize,
}

impl PackedStates {
    /// Packs states (images, tokens, width). Returns `None` where the kernel does not apply: other devices
    /// and CPUs, element types other than f32 and bf16, an odd width.
    ///
    /// # Errors
    /// Returns libtorch's errors.
    pub fn pack(states: &Tensor) -> Result<Option<Self>, TchError> {
        let ((images, tokens, width), kind) = (states.size3()?, states.kind());
        let fits = supported() && states.device() == Device::Cpu && width % 2 == 0 && tokens * width > 0;
        let Some(bytes) = bytes_of(kind).filter(|_| fits) else { return Ok(None) };
        let states = states.f_contiguous()?;
        let (tokens, width) = (tokens as usize, width as usize);
        let rows = |image: usize| Rows {
            at: states.data_ptr().cast_const().cast::<u8>().wrapping_add(image * tokens * width * bytes),
            count: tokens,
            width,
            stride: width * bytes,
        };
        // SAFETY: the tensor is contiguous and has that shape.
        let image = |i: usize| with_element!(kind, N => unsafe { KeyValues::pack::<N>(rows(i), rows(i)) });
        let images = (0..images as usize).filter_map(image).map(Arc::new).collect();
        Ok(Some(Self { images, kind, width }))
    }

    /// Number of images.
    pub fn images(&self) -> usize {
        self.images.len()
    }

    /// Selects images by `index`, in that order. The packed states are shared, not copied.
    ///
    /// # Errors
    /// An index is out of range.
    pub fn select(&self, index: &[i64]) -> Result<Self, TchError> {
        let image = |i: &i64| usize::try_from(*i).ok().and_then(|i| self.images.get(i)).cloned();
        let images: Option<Vec<_>> = index.iter().map(image).collect();
        let images =
            images.ok_or_else(|| TchError::Shape(format!("{index:?} of {} images", self.images.len())))?;
        Ok(Self { images, ..*self })
    }
}

impl PackedCrossAttention {
    /// Packs the weights of keys and values, (heads × of_head, width) each, and the bias of the values (heads
    /// × of_head). The bias of the keys is not needed: it adds the same number to every score of a query, and
    /// softmax cancels it. Returns `None` where the kernel does not apply (as [`PackedStates::pack`]), and
    /// for heads of more than 64 or of an odd number of elements.
    ///
    /// # Errors
    /// Returns libtorch's errors.
    pub fn pack(key: &Tensor, value: &Tensor, bias: &Tensor, heads: i64) -> Result<Option<Self>, TchError> {
        let kind = key.f_kind()?;
        let (all, width) = key.size2()?;
        let (of_head, odd) = (all / heads.max(1), all % heads.max(1) != 0);
        let fits =
            supported() && key.device() == Device::Cpu && value.kind() == kind && key.size() == value.size();
        let sized = !odd && of_head % 2 == 0 && (2..=COLUMNS as i64).contains(&of_head) && width % 2 == 0;
        let Some(bytes) = bytes_of(kind).filter(|_| fits && sized) else { return Ok(None) };
        let (key, value) = (key.f_contiguous()?, value.f_contiguous()?);
        let (of_head, width) = (of_head as usize, width as usize);
        let rows = |of: &Tensor, head: usize| Rows {
            at: of.data_ptr().cast_const().cast::<u8>().wrapping_add(head * of_head * width * bytes),
            count: of_head,
            width,
            stride: width * bytes,
        };
        let heads = 0..heads as usize;
        let keys = |head: usize| {
            with_element!(kind, N => {
                // SAFETY: the tensors are contiguous and have that shape.
                unsafe { Panels::of_columns::<N>(rows(&key, head)) }
            })
        };
        let values = |head: usize| {
            with_element!(kind, N => {
                // SAFETY: the tensors are contiguous and have that shape.
                unsafe { Panels::of_rows::<N>(rows(&value, head)) }
            })
        };
        let (keys, values) = (heads.clone().filter_map(keys).collect(), heads.filter_map(values).collect());
        let numbers = Vec::<f32>::try_from(bias.f_to_kind(Kind::Float)?.f_contiguous()?)?;
        let padded = |head: &[f32]| [head, &vec![0.0; COLUMNS - head.len()]].concat();
        let bias = numbers.chunks(of_head).flat_map(padded).collect();
        Ok(Some(Self { keys, values, bias, kind, of_head, width }))
    }

    /// Attends from queries (images, queries, heads × of_head) to the states of their image. The result has
    /// the shape of the queries.
    ///
    /// # Errors
    /// Queries or states have another shape or dtype.
    pub fn forward(&self, queries: &Tensor, states: &PackedStates) -> Result<Tensor, TchError> {
        let ((images, count, d), heads) = (queries.size3()?, self.keys.len());
        let fits = queries.kind() == self.kind && states.kind == self.kind && queries.device() == Device::Cpu;
        let same_width = states.width == self.width
            && states.images() as i64 == images
            && d as usize == heads * self.of_head;
        if !(fits && same_width) {
            let found = (queries.size(), queries.kind(), states.images(), states.width, states.kind);
            return Err(TchError::Shape(format!(
                "queries and states {found:?}, for {heads} heads and {}",
                self.width
            )));
        }
        let queries = queries.f_contiguous()?;
        let out = Tensor::f_empty([images, count, d], (self.kind, Device::Cpu))?;
        let call = Call {
            layer: self,
            states,
            at: queries.data_ptr().cast_const().cast(),
            out: Shared::new(out.data_ptr().cast()),
            queries: count as usize,
        };
        // With few images, the heads are split among tasks, so that all threads finish together.
        let images = images as usize;
        let groups = (2 * threads()).div_ceil(images.max(1)).min(heads);
        let of_group = heads.div_ceil(groups);
        let task = |i: usize| (i / groups, i % groups * of_group..((i % groups + 1) * of_group).min(heads));
        let tokens = states.images.first().map_or(0, |image| image.tokens());
        let nanoseconds = images * heads * count as usize * self.width * (tokens + self.of_head) / 64;
        with_element!(self.kind, N => parallel_for(images * groups, nanoseconds, |i| {
            let (image, heads) = task(i);
            call.heads::<N>(image, heads);
        }));
        Ok(out)
    }
}

impl Call<'_> {
    /// Computes all queries of some heads: W_kᵀ, attention to the states, W_v.
    fn heads<N: Element>(&self, image: usize, heads: std::ops::Range<usize>) {
        let PackedCrossAttention { of_head, width, .. } = *self.layer;
        let (rows, length) = (heads.len() * self.queries, width * N::BYTES);
        let token = self.layer.keys.len() * of_head * N::BYTES;
        let mut taken = vec![0_u8; rows * length];
        let mut seen = vec![0_u8; rows * length];
        let first = image * self.queries * token;
        for (i, head) in heads.clone().enumerate() {
            let there = Projection {
                panels: &self.layer.keys[head],
                columns: width,
                bias: None,
                at: self.at.wrapping_add(first + head * of_head * N::BYTES),
                stride: token,
                out: taken[i * self.queries * length..].as_mut_ptr(),
                out_stride: length,
            };
            // SAFETY: `pack` checked the CPU; the queries of a head and `taken` have that many rows.
            unsafe { there.compute::<N>(self.queries) };
        }
        let args = AttentionArgs {
            at: taken.as_ptr(),
            stride: length,
            out: seen.as_mut_ptr(),
            out_stride: length,
            scale: (of_head as f32).sqrt().recip(),
            mask: std::ptr::null(),
            mask_stride: 0,
        };
        let states = &self.states.images[image];
        // SAFETY: `taken` and `seen` have that many rows.
        unsafe { states.forward::<N>(&mut states.scratch(), args, rows) };
        for (i, head) in heads.enumerate() {
            let back = Projection {
                panels: &self.layer.values[head],
                columns: of_head,
                bias: Some(&self.layer.bias[head * COLUMNS..][..COLUMNS]),
                at: seen[i * self.queries * length..].as_ptr(),
                stride: length,
                out: self.out.at().wrapping_add(first + head * of_head * N::BYTES),
                out_stride: token,
            };
            // SAFETY: `seen` has the rows of a head; only this task writes these elements of the result.
            unsafe { back.compute::<N>(self.queries) };
        }
    }
}

impl Projection<'_> {
    /// # Safety
    /// The CPU must be supported. `count` rows must be readable, and no other thread may write their results.
    unsafe fn compute<N: Element>(&self, count: usize) {
        for panel in 0..self.panels.count() {
            for first in (0..count).step_by(ROWS) {
                // SAFETY: the caller guarantees it.
                unsafe { by_rows!(count - first, project::<N>(self, panel, first)) };
            }
        }
    }
}

/// # Safety
/// As for [`Projection::compute`], for the `R` rows from `first` on.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16,avx512vnni")]
unsafe fn project<N: Element, const R: usize>(product: &Projection<'_>, panel: usize, first: usize) {
    let (at, panels) = (product.at.wrapping_add(first * product.stride), product.panels);
    // SAFETY: the caller guarantees it.
    let sums: Sums<R> = unsafe { tile::<N, R>(at, product.stride, panels.panel(panel), panels.steps()) };
    for (r, sums) in sums.into_iter().enumerate() {
        for (i, sum) in sums.into_iter().enumerate() {
            let column = panel * COLUMNS + i * 16;
            let place = product.out.wrapping_add((first + r) * product.out_stride + column * N::BYTES);
            // SAFETY: a bias is as long as its panels; the lanes are columns of the result.
            unsafe {
                let bias = product
                    .bias
                    .map_or(_mm512_setzero_ps(), |bias| _mm512_loadu_ps(bias[column..][..16].as_ptr()));
                N::store(place, lanes(product.columns.saturating_sub(column)), _mm512_add_ps(sum, bias));
            }
        }
    }
}
