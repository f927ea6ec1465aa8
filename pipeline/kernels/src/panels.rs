//! Packed right-hand matrix of a product. A panel has 64 columns. A panel is stored step by step; a step
//! holds four bytes of each of the 64 columns, side by side.

use crate::{element::Operand, tile::COLUMNS};

/// Vectors in one step of a panel.
const LINES: usize = COLUMNS / 16;

/// Sixteen lanes, aligned to a cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u32; 16]);

/// A packed matrix. Missing columns and steps are 0.
pub struct Panels {
    lines: Vec<Line>,
    steps: usize,
}

/// Address of rows in memory.
#[derive(Clone, Copy)]
pub struct Rows {
    pub at: *const u8,
    /// Number of rows.
    pub count: usize,
    /// Elements of a row.
    pub width: usize,
    /// Bytes from one row to the next.
    pub stride: usize,
}

impl Rows {
    /// Bytes of row `i`.
    ///
    /// # Safety
    /// The rows must be readable as long as the returned slice lives.
    unsafe fn row<'a, F: Operand>(self, i: usize) -> &'a [u8] {
        // SAFETY: the caller guarantees it.
        unsafe { std::slice::from_raw_parts(self.at.add(i * self.stride), self.width * F::BYTES) }
    }
}

impl Panels {
    fn zeros(columns: usize, steps: usize) -> Self {
        Self { lines: vec![Line([0; 16]); columns.div_ceil(COLUMNS) * steps * LINES], steps }
    }

    pub fn steps(&self) -> usize {
        self.steps
    }

    pub fn count(&self) -> usize {
        self.lines.len() / (self.steps * LINES).max(1)
    }

    /// Panel `i`: `steps` × 64 lanes.
    pub fn panel(&self, i: usize) -> *const i32 {
        self.lines[i * self.steps * LINES..].as_ptr().cast()
    }

    /// Packs rows as columns of the product; sums run along the row. For weights (out, in) and keys.
    ///
    /// # Safety
    /// `rows` must be readable, and a row must have a whole number of steps.
    pub unsafe fn of_rows<F: Operand>(rows: Rows) -> Self {
        let mut panels = Self::zeros(rows.count, rows.width / F::PER_STEP);
        for column in 0..rows.count {
            let first = column / COLUMNS * panels.steps * LINES + column % COLUMNS / 16;
            // SAFETY: the caller guarantees it.
            let steps = unsafe { rows.row::<F>(column) }.chunks_exact(4);
            for (line, step) in panels.lines[first..].iter_mut().step_by(LINES).zip(steps) {
                line.0[column % 16] = u32::from_ne_bytes([step[0], step[1], step[2], step[3]]);
            }
        }
        panels
    }

    /// Packs the elements of a row as columns of the product; sums run over the rows. For the values of
    /// attention.
    ///
    /// # Safety
    /// `rows` must be readable.
    pub unsafe fn of_columns<F: Operand>(rows: Rows) -> Self {
        let mut panels = Self::zeros(rows.width, rows.count.div_ceil(F::PER_STEP));
        for i in 0..rows.count {
            let (step, shift) = (i / F::PER_STEP, i % F::PER_STEP * F::BYTES * 8);
            // SAFETY: the caller guarantees it.
            let row = unsafe { rows.row::<F>(i) };
            for (column, numbers) in row.chunks(16 * F::BYTES).enumerate() {
                let line = &mut panels.lines[(column / LINES * panels.steps + step) * LINES + column % LINES];
                for (lane, number) in line.0.iter_mut().zip(numbers.chunks_exact(F::BYTES)) {
                    let mut bytes = [0; 4];
                    bytes[..F::BYTES].copy_from_slice(number);
                    *lane |= u32::from_ne_bytes(bytes) << shift;
                }
            }
        }
        panels
    }
}
