//! The innermost loop: a tile of up to six rows by sixty-four columns of a product, with all sums in
//! registers.
//!
//! Of the 32 vector registers, 24 hold sums, 4 hold a step of the columns and 1 holds a step of a row. Each
//! step is 24 multiply-adds for 4 loads and 6 broadcasts. The CPU starts two multiply-adds and two loads per
//! cycle, so the multiply-adds alone set the time (98 % of their peak was measured on Zen 5). Columns are
//! packed (`panels.rs`); rows are read from the tensor.

use std::arch::x86_64::*;

use crate::element::Operand;

/// Rows of a full tile.
pub const ROWS: usize = 6;
/// Columns of a tile.
pub const COLUMNS: usize = 64;
/// Vectors of sums in a row of a tile.
pub const VECTORS: usize = COLUMNS / 16;

/// Sums of a tile: per row, four vectors of sixteen columns.
pub type Sums<const R: usize> = [[__m512; VECTORS]; R];

/// Multiplies `R` rows by one panel.
///
/// # Safety
/// The CPU must be supported. At `rows`, `R` rows `stride` bytes apart must have `steps` steps; `panel` must
/// have `steps` × 64 lanes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16,avx512vnni")]
pub unsafe fn tile<F: Operand, const R: usize>(
    rows: *const u8,
    stride: usize,
    panel: *const i32,
    steps: usize,
) -> Sums<R> {
    let mut sums = [[_mm512_setzero_ps(); VECTORS]; R];
    for step in 0..steps {
        // SAFETY: `step` is below `steps`.
        let columns: [__m512i; VECTORS] =
            std::array::from_fn(|i| unsafe { _mm512_loadu_si512(panel.add(step * COLUMNS + i * 16).cast()) });
        for (r, sums) in sums.iter_mut().enumerate() {
            // SAFETY: `r` is below `R`, and `step` below `steps`.
            unsafe {
                let row = _mm512_set1_epi32(rows.add(r * stride + step * 4).cast::<i32>().read_unaligned());
                for (sums, columns) in sums.iter_mut().zip(columns) {
                    *sums = F::dot(*sums, row, columns);
                }
            }
        }
    }
    sums
}

/// Mask of the first `left` lanes of a vector.
pub fn lanes(left: usize) -> u16 {
    ((1_u32 << left.min(16)) - 1) as u16
}

/// Calls `$f::<.., R>($args)`, where `R` is the number of remaining rows, at most six.
macro_rules! by_rows {
    ($rows:expr, $f:ident::<$($types:ident),+>($($args:expr),* $(,)?)) => {
        match $rows {
            0 => {}
            1 => $f::<$($types),+, 1>($($args),*),
            2 => $f::<$($types),+, 2>($($args),*),
            3 => $f::<$($types),+, 3>($($args),*),
            4 => $f::<$($types),+, 4>($($args),*),
            5 => $f::<$($types),+, 5>($($args),*),
            _ => $f::<$($types),+, 6>($($args),*),
        }
    };
}
pub(crate) use by_rows;
