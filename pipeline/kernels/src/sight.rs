//! Cross-attention by the image's states: a query is taken to the patches' space head by head, looks at them
//! there, and what it sees is taken back.

use std::{arch::x86_64::*, sync::Arc};

use tch::{Device, Kind, TchError, Tensor};

use crate::{
    attention::{KeyValues, Looking},
    numbers::{Numbers, bytes_of, with_numbers},
    panels::{Panels, Rows},
    share::{Shared, share, threads},
    supported,
    tile::{COLUMNS, ROWS, Sums, by_rows, lanes, tile},
};

/// States of images, each laid out as keys and as values.
#[derive(Clone)]
pub struct PackedStates {
    images: Vec<Arc<KeyValues>>,
    kind: Kind,
    width: usize,
}

/// A layer's projections of keys and values, head by head.
pub struct PackedSight {
    keys: Vec<Panels>,   // a head's numbers in, the states' width out
    values: Vec<Panels>, // the states' width in, a head's numbers out
    bias: Vec<f32>,      // of the values, each head's followed by zeros to a whole panel
    kind: Kind,
    of_head: usize,
    width: usize,
}

/// One call: queries (images, queries, heads × of_head) and where their results go.
struct Call<'a> {
    sight: &'a PackedSight,
    states: &'a PackedStates,
    at: *const u8,
    out: Shared,
    queries: usize,
}

// SAFETY: `at` is read only, and `out` is shared by its own rule.
unsafe impl Sync for Call<'_> {}

/// A product of a few rows with one factor in panels.
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
    /// Packs states (images, tokens, width). `None` where the kernel has no use for them: on other devices
    /// and CPUs, in other numbers than f32 and bf16, or of an odd width.
    ///
    /// # Errors
    /// libtorch's.
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
        // SAFETY: a contiguous tensor of that shape.
        let image = |i: usize| with_numbers!(kind, N => unsafe { KeyValues::pack::<N>(rows(i), rows(i)) });
        let images = (0..images as usize).filter_map(image).map(Arc::new).collect();
        Ok(Some(Self { images, kind, width }))
    }

    /// How many images there are.
    pub fn images(&self) -> usize {
        self.images.len()
    }

    /// Those of the images `index`, in that order; they are shared, not copied.
    ///
    /// # Errors
    /// When there is no such image.
    pub fn select(&self, index: &[i64]) -> Result<Self, TchError> {
        let image = |i: &i64| usize::try_from(*i).ok().and_then(|i| self.images.get(i)).cloned();
        let images: Option<Vec<_>> = index.iter().map(image).collect();
        let images =
            images.ok_or_else(|| TchError::Shape(format!("{index:?} of {} images", self.images.len())))?;
        Ok(Self { images, ..*self })
    }
}

impl PackedSight {
    /// Packs the weights of keys and values, (heads × of_head, width) each, and the values' bias (heads ×
    /// of_head); keys' bias adds the same to every score of a query. `None` where the kernel has no use for
    /// them, and for heads of more than 64 or an odd number.
    ///
    /// # Errors
    /// libtorch's.
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
            with_numbers!(kind, N => {
                // SAFETY: contiguous tensors of that shape.
                unsafe { Panels::of_columns::<N>(rows(&key, head)) }
            })
        };
        let values = |head: usize| {
            with_numbers!(kind, N => {
                // SAFETY: contiguous tensors of that shape.
                unsafe { Panels::of_rows::<N>(rows(&value, head)) }
            })
        };
        let (keys, values) = (heads.clone().filter_map(keys).collect(), heads.filter_map(values).collect());
        let numbers = Vec::<f32>::try_from(bias.f_to_kind(Kind::Float)?.f_contiguous()?)?;
        let padded = |head: &[f32]| [head, &vec![0.0; COLUMNS - head.len()]].concat();
        let bias = numbers.chunks(of_head).flat_map(padded).collect();
        Ok(Some(Self { keys, values, bias, kind, of_head, width }))
    }

    /// What queries (images, queries, heads × of_head) see of their image's states, in the same shape.
    ///
    /// # Errors
    /// When queries or states are of another shape or kind.
    pub fn look(&self, queries: &Tensor, states: &PackedStates) -> Result<Tensor, TchError> {
        let ((images, count, d), heads) = (queries.size3()?, self.keys.len());
        let fits = queries.kind() == self.kind && states.kind == self.kind && queries.device() == Device::Cpu;
        let alike = states.width == self.width
            && states.images() as i64 == images
            && d as usize == heads * self.of_head;
        if !(fits && alike) {
            let found = (queries.size(), queries.kind(), states.images(), states.width, states.kind);
            return Err(TchError::Shape(format!(
                "queries and states {found:?}, for {heads} heads and {}",
                self.width
            )));
        }
        let queries = queries.f_contiguous()?;
        let out = Tensor::f_empty([images, count, d], (self.kind, Device::Cpu))?;
        let call = Call {
            sight: self,
            states,
            at: queries.data_ptr().cast_const().cast(),
            out: Shared::new(out.data_ptr().cast()),
            queries: count as usize,
        };
        // Heads are split among tasks where images are too few for all threads to end together.
        let images = images as usize;
        let groups = (2 * threads()).div_ceil(images.max(1)).min(heads);
        let of_group = heads.div_ceil(groups);
        let task = |i: usize| (i / groups, i % groups * of_group..((i % groups + 1) * of_group).min(heads));
        let tokens = states.images.first().map_or(0, |image| image.tokens());
        let nanoseconds = images * heads * count as usize * self.width * (tokens + self.of_head) / 64;
        with_numbers!(self.kind, N => share(images * groups, nanoseconds, |i| {
            let (image, heads) = task(i);
            call.heads::<N>(image, heads);
        }));
        Ok(out)
    }
}

impl Call<'_> {
    /// All queries of some heads: to the patches' space, to the patches, and back.
    fn heads<N: Numbers>(&self, image: usize, heads: std::ops::Range<usize>) {
        let PackedSight { of_head, width, .. } = *self.sight;
        let (rows, length) = (heads.len() * self.queries, width * N::BYTES);
        let token = self.sight.keys.len() * of_head * N::BYTES;
        let mut taken = vec![0_u8; rows * length];
        let mut seen = vec![0_u8; rows * length];
        let first = image * self.queries * token;
        for (i, head) in heads.clone().enumerate() {
            let there = Projection {
                panels: &self.sight.keys[head],
                columns: width,
                bias: None,
                at: self.at.wrapping_add(first + head * of_head * N::BYTES),
                stride: token,
                out: taken[i * self.queries * length..].as_mut_ptr(),
                out_stride: length,
            };
            // SAFETY: packing asked for a supported CPU; the queries of a head, and as many rows of `taken`.
            unsafe { there.compute::<N>(self.queries) };
        }
        let looking = Looking {
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
        unsafe { states.look::<N>(&mut states.scratch(), looking, rows) };
        for (i, head) in heads.enumerate() {
            let back = Projection {
                panels: &self.sight.values[head],
                columns: of_head,
                bias: Some(&self.sight.bias[head * COLUMNS..][..COLUMNS]),
                at: seen[i * self.queries * length..].as_ptr(),
                stride: length,
                out: self.out.at().wrapping_add(first + head * of_head * N::BYTES),
                out_stride: token,
            };
            // SAFETY: the rows of a head; its numbers of the result are this task's.
            unsafe { back.compute::<N>(self.queries) };
        }
    }
}

impl Projection<'_> {
    /// # Safety
    /// The CPU must be supported; `count` rows must be there, and nobody else may write theirs of the result.
    unsafe fn compute<N: Numbers>(&self, count: usize) {
        for panel in 0..self.panels.count() {
            for first in (0..count).step_by(ROWS) {
                // SAFETY: the caller's promise.
                unsafe { by_rows!(count - first, project::<N>(self, panel, first)) };
            }
        }
    }
}

/// # Safety
/// As of [`Projection::compute`], for `R` rows from `first` on.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16,avx512vnni")]
unsafe fn project<N: Numbers, const R: usize>(product: &Projection<'_>, panel: usize, first: usize) {
    let (at, panels) = (product.at.wrapping_add(first * product.stride), product.panels);
    // SAFETY: the caller's promise.
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
