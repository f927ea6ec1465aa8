//! `x Wᵀ + b` and an epilogue, in one pass over the result.

use std::arch::x86_64::*;

use tch::{Device, Kind, TchError, Tensor};

use crate::{
    Epilogue,
    activations::{GELU, Gelu},
    element::{Element, Int8, Operand, bytes_of, with_element},
    int8::{self, Outputs, Rounded},
    panels::{Panels, Rows},
    parallel::{Shared, parallel_for, threads},
    supported,
    tile::{COLUMNS, ROWS, Sums, VECTORS, by_rows, lanes, tile},
};

/// Largest number of rows of one task: with a panel of 3,072 bf16 they fill a cache of 1 MB.
const ROWS_OF_TASK: usize = 16 * ROWS;

/// A linear layer with weights packed for the kernel. The weights are copied; the caller can free the tensor.
pub struct PackedLinear {
    panels: Panels,
    bias: Vec<f32>, // one per column of the panels
    /// Scales of int8 weights.
    rounded: Option<Outputs>,
    kind: Kind,
    input: usize,
    output: usize,
}

/// Epilogue of a tile, with the address of the residual.
enum Finish<'a> {
    Nothing,
    Gelu(&'a Gelu),
    Add(*const u8),
}

/// Addresses of one product.
struct Product<'a> {
    layer: &'a PackedLinear,
    rows: *const u8,
    /// Scales of int8 rows, one per row; null for other element types.
    scales: *const f32,
    out: Shared,
    finish: Finish<'a>,
}

// SAFETY: the addresses are only read, and `out` is shared under the rule of `Shared`.
unsafe impl Sync for Product<'_> {}

impl PackedLinear {
    /// Packs `weight` (out, in) and `bias` (out). Returns `None` where the kernel does not apply: other
    /// devices and CPUs, dtypes other than f32 and bf16, or a row that is not a whole number of steps.
    ///
    /// # Errors
    /// Returns libtorch's errors.
    pub fn pack(weight: &Tensor, bias: &Tensor) -> Result<Option<Self>, TchError> {
        let kind = weight.f_kind()?;
        let fits = weight.device() == Device::Cpu && weight.dim() == 2 && supported();
        let Some(bytes) = bytes_of(kind).filter(|_| fits) else { return Ok(None) };
        let (output, input) = weight.size2()?;
        let (output, input) = (output as usize, input as usize);
        if output == 0 || input == 0 || input * bytes % 4 != 0 {
            return Ok(None);
        }
        let weight = weight.f_contiguous()?;
        let at = weight.data_ptr().cast_const().cast();
        let rows = Rows { at, count: output, width: input, stride: input * bytes };
        // SAFETY: the tensor is contiguous and has that shape and dtype.
        let packed = with_element!(kind, N => unsafe { Panels::of_rows::<N>(rows) });
        let bias = padded(bias, output)?;
        Ok(packed.map(|panels| Self { panels, bias, rounded: None, kind, input, output }))
    }

    /// Packs weights quantised to int8, with one scale per output; activations are quantised at each call,
    /// with one scale per row. Sums are exact; bias, epilogue and result are as in [`Self::pack`]. Returns
    /// `None` as [`Self::pack`] does, and if the number of inputs is not a multiple of four.
    ///
    /// # Errors
    /// Returns libtorch's errors.
    pub fn pack_rounded(weight: &Tensor, bias: &Tensor) -> Result<Option<Self>, TchError> {
        let kind = weight.f_kind()?;
        let fits =
            weight.device() == Device::Cpu && weight.dim() == 2 && supported() && bytes_of(kind).is_some();
        if !fits {
            return Ok(None);
        }
        let (output, input) = weight.size2()?;
        let (output, input) = (output as usize, input as usize);
        let bias = padded(bias, output)?;
        let packed = int8::weights(weight)?;
        Ok(packed.map(|(panels, outputs)| Self { panels, bias, rounded: Some(outputs), kind, input, output }))
    }

    /// Number of outputs.
    pub fn width(&self) -> usize {
        self.output
    }

    /// Computes `xs` (…, in) -> (…, out) in the dtype of the weights. Sums, bias and epilogue are in f32 and
    /// rounded once.
    ///
    /// # Errors
    /// `xs` or the residual has another shape or dtype.
    pub fn forward(&self, xs: &Tensor, epilogue: Epilogue<'_>) -> Result<Tensor, TchError> {
        let mut shape = xs.size();
        if shape.last() != Some(&(self.input as i64)) {
            return Err(TchError::Shape(format!("a layer of {} inputs was given {shape:?}", self.input)));
        }
        let xs = self.readable(xs)?;
        if let Some(last) = shape.last_mut() {
            *last = self.output as i64;
        }
        let added = match epilogue {
            Epilogue::Add(added) if added.size() != shape => {
                return Err(TchError::Shape(format!("{:?} is to be added to {shape:?}", added.size())));
            }
            Epilogue::Add(added) => Some(self.readable(added)?),
            _ => None,
        };
        let finish = match (&added, epilogue) {
            (Some(added), _) => Finish::Add(added.data_ptr().cast_const().cast()),
            (None, Epilogue::Gelu) => Finish::Gelu(&GELU),
            (None, _) => Finish::Nothing,
        };
        let out = Tensor::f_empty(&shape, (self.kind, Device::Cpu))?;
        let (count, at) = (xs.numel() / self.input, xs.data_ptr().cast_const().cast());
        let out_at = Shared::new(out.data_ptr().cast());
        let mut product = Product { layer: self, rows: at, scales: std::ptr::null(), out: out_at, finish };
        if self.rounded.is_none() {
            with_element!(self.kind, N => product.compute::<N, N>(count));
            return Ok(out);
        }
        let rounded = with_element!(self.kind, N => {
            // SAFETY: the tensor is contiguous and has that many rows; `pack_rounded` checked the CPU.
            unsafe { int8::rows::<N>(at, count, self.input) }
        });
        let rounded = rounded.transpose()?;
        if let Some(Rounded { rows, scales }) = &rounded {
            product.rows = rows.data_ptr().cast_const().cast();
            product.scales = scales.data_ptr().cast_const().cast();
            with_element!(self.kind, N => product.compute::<N, Int8>(count));
        }
        Ok(out)
    }

    /// The same tensor, contiguous, or an error if its dtype or device is another one.
    fn readable(&self, xs: &Tensor) -> Result<Tensor, TchError> {
        if xs.kind() != self.kind || xs.device() != Device::Cpu {
            let found = (xs.kind(), xs.device());
            return Err(TchError::Kind(format!("a layer in {:?} on the CPU was given {found:?}", self.kind)));
        }
        xs.f_contiguous()
    }
}

/// The bias in f32, padded with zeros to a whole panel.
fn padded(bias: &Tensor, output: usize) -> Result<Vec<f32>, TchError> {
    let mut bias = Vec::<f32>::try_from(bias.f_to_kind(Kind::Float)?.f_contiguous()?)?;
    bias.resize(output.next_multiple_of(COLUMNS), 0.0);
    Ok(bias)
}

impl Product<'_> {
    /// Splits the result into tasks: by rows, and also by columns where rows alone give too few tasks for all
    /// threads to finish together.
    fn compute<N: Element, F: Operand>(&self, count: usize) {
        let of_task = count.div_ceil(count.div_ceil(ROWS_OF_TASK).max(1)).next_multiple_of(ROWS);
        let (bands, panels) = (count.div_ceil(of_task.max(1)), self.layer.panels.count());
        let groups = (4 * threads()).div_ceil(bands.max(1)).clamp(1, panels);
        let of_group = panels.div_ceil(groups);
        let (weights, tiles) =
            (panels * self.layer.panels.steps() * COLUMNS * 4, count * panels * self.layer.panels.steps());
        // 24 multiply-adds take 12 cycles; memory delivers 25 bytes per nanosecond.
        parallel_for(bands * groups, (tiles / 2).max(weights / 25), |task| {
            let (band, group) = (task / groups, task % groups);
            let rows = band * of_task..((band + 1) * of_task).min(count);
            for panel in group * of_group..((group + 1) * of_group).min(panels) {
                for first in rows.clone().step_by(ROWS) {
                    // SAFETY: packing checked the CPU; rows and panel are in bounds, and only this task has
                    // both.
                    unsafe { by_rows!(rows.end - first, write_tile::<N, F>(self, first, panel)) };
                }
            }
        });
    }
}

/// Computes and writes a tile.
///
/// # Safety
/// The CPU must be supported, rows and panel must be in bounds, and no other thread may write the tile.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16,avx512vnni")]
unsafe fn write_tile<N: Element, F: Operand, const R: usize>(
    product: &Product<'_>,
    first: usize,
    panel: usize,
) {
    let layer = product.layer;
    let (length, width) = (layer.input * F::BYTES, layer.output * N::BYTES);
    // SAFETY: the caller guarantees it; a row has `input` elements, as many steps as a panel.
    let sums: Sums<R> = unsafe {
        tile::<F, R>(
            product.rows.add(first * length),
            length,
            layer.panels.panel(panel),
            layer.panels.steps(),
        )
    };
    let columns = layer.output - panel * COLUMNS;
    for (r, sums) in sums.into_iter().enumerate() {
        // SAFETY: int8 rows have one scale each.
        let scale = (!product.scales.is_null()).then(|| unsafe { product.scales.add(first + r).read() });
        for (i, sum) in sums.into_iter().enumerate().take(VECTORS) {
            let place = (first + r) * width + (panel * COLUMNS + i * 16) * N::BYTES;
            let mask = lanes(columns.saturating_sub(i * 16));
            // SAFETY: the bias is as long as all panels; the lanes in `mask` are columns of the result and of
            // the residual.
            unsafe {
                let sum = match (&layer.rounded, scale) {
                    (Some(outputs), Some(scale)) => outputs.widen(sum, scale, panel * COLUMNS + i * 16),
                    _ => sum,
                };
                let sum =
                    _mm512_add_ps(sum, _mm512_loadu_ps(layer.bias[panel * COLUMNS + i * 16..].as_ptr()));
                let sum = match product.finish {
                    Finish::Nothing => sum,
                    Finish::Gelu(gelu) => gelu.of(sum),
                    Finish::Add(added) => _mm512_add_ps(sum, N::load(added.wrapping_add(place), mask)),
                };
                N::store(product.out.at().wrapping_add(place), mask, sum);
            }
        }
    }
}
