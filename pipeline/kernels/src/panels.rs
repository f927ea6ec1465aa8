//! One factor of a product laid out for the innermost loop: panels of 64 columns, and in a panel step after step, each with the
//! 64 columns' four bytes side by side.

use crate::{numbers::Numbers, tile::COLUMNS};

/// Sixteen lanes, where a cache line begins.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([i32; 16]);

/// Columns and steps that are not there are 0.
pub struct Panels {
    lines: Vec<Line>,
    steps: usize,
}

/// Rows of numbers in memory.
#[derive(Clone, Copy)]
pub struct Rows {
    pub at: *const u8,
    /// How many there are.
    pub count: usize,
    /// Numbers in each.
    pub width: usize,
    /// Bytes from one to the next.
    pub stride: usize,
}

impl Panels {
    fn zeros(columns: usize, steps: usize) -> Self {
        let lines = columns.div_ceil(COLUMNS) * steps * (COLUMNS / 16);
        Self { lines: vec![Line([0; 16]); lines], steps }
    }

    pub fn steps(&self) -> usize {
        self.steps
    }

    pub fn count(&self) -> usize {
        self.lines.len() / (self.steps * (COLUMNS / 16)).max(1)
    }

    /// Panel `i`: `steps` × 64 lanes.
    pub fn panel(&self, i: usize) -> *const i32 {
        self.lines[i * self.steps * (COLUMNS / 16)..].as_ptr().cast()
    }

    fn bytes(&mut self) -> &mut [u8] {
        let length = self.lines.len() * 64;
        // SAFETY: lines are plain numbers without gaps.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), length) }
    }

    /// Each row is a column of the product, summed along the row: weights (out, in), or keys.
    ///
    /// # Safety
    /// `rows` must be readable.
    pub unsafe fn of_rows<N: Numbers>(rows: Rows) -> Self {
        let mut panels = Self::zeros(rows.count, rows.width.div_ceil(N::PER_STEP));
        let (steps, length) = (panels.steps, rows.width * N::BYTES);
        let bytes = panels.bytes();
        for column in 0..rows.count {
            // SAFETY: a row of `rows`.
            let row = unsafe { std::slice::from_raw_parts(rows.at.add(column * rows.stride), length) };
            let first = column / COLUMNS * steps * COLUMNS + column % COLUMNS;
            for (step, four) in row.chunks(4).enumerate() {
                let at = 4 * (first + step * COLUMNS);
                bytes[at..at + four.len()].copy_from_slice(four);
            }
        }
        panels
    }

    /// Each row's numbers are columns of the product, summed over the rows: values, which attention weighs. One panel, so
    /// `rows.width` is at most 64.
    ///
    /// # Safety
    /// `rows` must be readable.
    pub unsafe fn of_columns<N: Numbers>(rows: Rows) -> Self {
        let mut panels = Self::zeros(rows.width, rows.count.div_ceil(N::PER_STEP));
        let bytes = panels.bytes();
        for step in 0..rows.count {
            // SAFETY: a row of `rows`.
            let row = unsafe { std::slice::from_raw_parts(rows.at.add(step * rows.stride), rows.width * N::BYTES) };
            let first = step / N::PER_STEP * COLUMNS * 4 + step % N::PER_STEP * N::BYTES;
            for (column, number) in row.chunks_exact(N::BYTES).enumerate() {
                let at = first + 4 * column;
                bytes[at..at + N::BYTES].copy_from_slice(number);
            }
        }
        panels
    }
}
