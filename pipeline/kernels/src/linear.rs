//! `x Wᵀ + b` and what follows it, in one pass over the result.

use std::arch::x86_64::*;

use tch::{Device, Kind, TchError, Tensor};

use crate::{
    Then,
    curves::{GELU, Gelu},
    int8::{self, Outputs, Rounded},
    numbers::{Factors, Int8, Numbers, bytes_of, with_numbers},
    panels::{Panels, Rows},
    share::{Shared, share, threads},
    supported,
    tile::{COLUMNS, ROWS, Sums, VECTORS, by_rows, lanes, tile},
};

/// Rows that one task takes, at most: with a panel of 3,072 bf16 they fill a cache of a megabyte.
const ROWS_OF_TASK: usize = 16 * ROWS;

/// A linear layer with its weights laid out for the kernel. They are copied: the tensor can go.
pub struct PackedLinear {
    panels: Panels,
    bias: Vec<f32>, // as many as the panels have columns
    /// Of weights in eight bits.
    rounded: Option<Outputs>,
    kind: Kind,
    input: usize,
    output: usize,
}

/// What happens to a tile before it is written.
enum Finish<'a> {
    Nothing,
    Gelu(&'a Gelu),
    Add(*const u8),
}

/// One product while it is computed.
struct Product<'a> {
    layer: &'a PackedLinear,
    rows: *const u8,
    /// Of rows in eight bits, one each; else null.
    scales: *const f32,
    out: Shared,
    finish: Finish<'a>,
}

// SAFETY: its addresses are read, and `out` is shared by its own rule.
unsafe impl Sync for Product<'_> {}

impl PackedLinear {
    /// Packs `weight` (out, in) and `bias` (out). `None` where the kernel has no use for them: on other
    /// devices and CPUs, in other numbers than f32 and bf16, or when a row is no whole number of steps.
    ///
    /// # Errors
    /// libtorch's.
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
        // SAFETY: a contiguous tensor of that shape and kind.
        let packed = with_numbers!(kind, N => unsafe { Panels::of_rows::<N>(rows) });
        let bias = padded(bias, output)?;
        Ok(packed.map(|panels| Self { panels, bias, rounded: None, kind, input, output }))
    }

    /// Packs weights rounded to eight bits, each output by its own scale; what they are multiplied by is
    /// rounded too, each row by its own. Sums are exact; bias, what follows and the result are as in
    /// [`Self::pack`]. `None` as there, and if inputs are no multiple of four.
    ///
    /// # Errors
    /// libtorch's.
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

    /// Outputs of the layer.
    pub fn width(&self) -> usize {
        self.output
    }

    /// `xs`: (…, in) -> (…, out), in the weights' numbers; sums, bias and what follows are in f32 and rounded
    /// once.
    ///
    /// # Errors
    /// When `xs`, or what is to be added, is of another shape or kind.
    pub fn forward(&self, xs: &Tensor, then: Then<'_>) -> Result<Tensor, TchError> {
        let mut shape = xs.size();
        if shape.last() != Some(&(self.input as i64)) {
            return Err(TchError::Shape(format!("a layer of {} inputs was given {shape:?}", self.input)));
        }
        let xs = self.readable(xs)?;
        if let Some(last) = shape.last_mut() {
            *last = self.output as i64;
        }
        let added = match then {
            Then::Add(added) if added.size() != shape => {
                return Err(TchError::Shape(format!("{:?} is to be added to {shape:?}", added.size())));
            }
            Then::Add(added) => Some(self.readable(added)?),
            _ => None,
        };
        let finish = match (&added, then) {
            (Some(added), _) => Finish::Add(added.data_ptr().cast_const().cast()),
            (None, Then::Gelu) => Finish::Gelu(&GELU),
            (None, _) => Finish::Nothing,
        };
        let out = Tensor::f_empty(&shape, (self.kind, Device::Cpu))?;
        let (count, at) = (xs.numel() / self.input, xs.data_ptr().cast_const().cast());
        let out_at = Shared::new(out.data_ptr().cast());
        let mut product = Product { layer: self, rows: at, scales: std::ptr::null(), out: out_at, finish };
        if self.rounded.is_none() {
            with_numbers!(self.kind, N => product.compute::<N, N>(count));
            return Ok(out);
        }
        let rounded = with_numbers!(self.kind, N => {
            // SAFETY: a contiguous tensor of that many rows; packing asked for a supported CPU.
            unsafe { int8::rows::<N>(at, count, self.input) }
        });
        let rounded = rounded.transpose()?;
        if let Some(Rounded { rows, scales }) = &rounded {
            product.rows = rows.data_ptr().cast_const().cast();
            product.scales = scales.data_ptr().cast_const().cast();
            with_numbers!(self.kind, N => product.compute::<N, Int8>(count));
        }
        Ok(out)
    }

    /// The same numbers in one piece of this machine's memory.
    fn readable(&self, xs: &Tensor) -> Result<Tensor, TchError> {
        if xs.kind() != self.kind || xs.device() != Device::Cpu {
            let found = (xs.kind(), xs.device());
            return Err(TchError::Kind(format!("a layer in {:?} on the CPU was given {found:?}", self.kind)));
        }
        xs.f_contiguous()
    }
}

/// A bias in f32, followed by zeros to a whole panel.
fn padded(bias: &Tensor, output: usize) -> Result<Vec<f32>, TchError> {
    let mut bias = Vec::<f32>::try_from(bias.f_to_kind(Kind::Float)?.f_contiguous()?)?;
    bias.resize(output.next_multiple_of(COLUMNS), 0.0);
    Ok(bias)
}

impl Product<'_> {
    /// Cuts the result into tasks: rows first, and columns too where that makes too few for all threads to
    /// end together.
    fn compute<N: Numbers, F: Factors>(&self, count: usize) {
        let of_task = count.div_ceil(count.div_ceil(ROWS_OF_TASK).max(1)).next_multiple_of(ROWS);
        let (bands, panels) = (count.div_ceil(of_task.max(1)), self.layer.panels.count());
        let groups = (4 * threads()).div_ceil(bands.max(1)).clamp(1, panels);
        let of_group = panels.div_ceil(groups);
        let (weights, tiles) =
            (panels * self.layer.panels.steps() * COLUMNS * 4, count * panels * self.layer.panels.steps());
        // 24 multiply-adds take 12 cycles, and memory gives 25 bytes a nanosecond.
        share(bands * groups, (tiles / 2).max(weights / 25), |task| {
            let (band, group) = (task / groups, task % groups);
            let rows = band * of_task..((band + 1) * of_task).min(count);
            for panel in group * of_group..((group + 1) * of_group).min(panels) {
                for first in rows.clone().step_by(ROWS) {
                    // SAFETY: packing asked for a supported CPU; rows and panel are there, and no other task
                    // has both.
                    unsafe { by_rows!(rows.end - first, write_tile::<N, F>(self, first, panel)) };
                }
            }
        });
    }
}

/// Computes and writes a tile.
///
/// # Safety
/// The CPU must be supported, rows and panel must be there, and nobody else may write the tile.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16,avx512vnni")]
unsafe fn write_tile<N: Numbers, F: Factors, const R: usize>(
    product: &Product<'_>,
    first: usize,
    panel: usize,
) {
    let layer = product.layer;
    let (length, width) = (layer.input * F::BYTES, layer.output * N::BYTES);
    // SAFETY: the caller's promise; a row has `input` numbers, and as many steps as a panel.
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
        // SAFETY: rows in eight bits have a scale each.
        let scale = (!product.scales.is_null()).then(|| unsafe { product.scales.add(first + r).read() });
        for (i, sum) in sums.into_iter().enumerate().take(VECTORS) {
            let place = (first + r) * width + (panel * COLUMNS + i * 16) * N::BYTES;
            let mask = lanes(columns.saturating_sub(i * 16));
            // SAFETY: bias is as long as all panels; the lanes in `mask` are columns of the result and of
            // what is added.
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
