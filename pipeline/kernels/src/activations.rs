//! exp and GELU of sixteen f32 at once.

use std::{arch::x86_64::*, f64::consts::PI, sync::LazyLock};

/// `e^x` for x ≤ 0, with a relative error of at most 2e-7; 0 for minus infinity.
///
/// # Safety
/// The CPU must be supported.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16,avx512vnni")]
pub unsafe fn exp(x: __m512) -> __m512 {
    // e^x = 2^n e^r, with |r| at most ln 2 / 2. ln 2 is split into two parts: n times the first part is
    // exact.
    let x = _mm512_max_ps(_mm512_set1_ps(-110.0), x); // in this order NaN stays NaN
    let n = _mm512_roundscale_ps::<0>(_mm512_mul_ps(x, _mm512_set1_ps(std::f32::consts::LOG2_E)));
    let r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693_359_4), x);
    let r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.121_944_4e-4), r);
    let mut sum = _mm512_set1_ps(1.0 / 5040.0);
    for term in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
        sum = _mm512_fmadd_ps(sum, r, _mm512_set1_ps(term));
    }
    _mm512_scalef_ps(sum, n)
}

/// Pieces of the interval [0, 5.5], each with its own polynomial.
const PIECES: usize = 16;
/// Width of a piece. Beyond 5.5 the distribution function rounds to 1 in f32.
const WIDTH: f64 = 5.5 / PIECES as f64;
const TERMS: usize = 7;

/// Polynomials for Φ(a) − ½ with a ≥ 0: one per piece, in the distance from the piece's middle.
/// `[term][piece]`.
pub struct Gelu([[f32; PIECES]; TERMS]);

pub static GELU: LazyLock<Gelu> = LazyLock::new(Gelu::expand);

impl Gelu {
    /// Computes the Taylor coefficients at the middles of the pieces.
    fn expand() -> Self {
        let mut terms = [[0.0; PIECES]; TERMS];
        for piece in 0..PIECES {
            let x = (piece as f64 + 0.5) * WIDTH;
            let density = (-0.5 * x * x).exp() / (2.0 * PI).sqrt();
            // Φ(x) − ½ = φ(x) (x + x³/3 + x⁵/(3·5) + …)
            let (mut sum, mut term) = (0.0, x);
            for i in 1..120 {
                sum += term;
                term *= x * x / (2 * i + 1) as f64;
            }
            terms[0][piece] = (density * sum) as f32;
            // The derivatives of φ are φ times the Hermite polynomials: H₀ = 1, H₁ = −x, Hₙ₊₁ = −x Hₙ − n
            // Hₙ₋₁.
            let (mut before, mut hermite, mut factorial) = (0.0, 1.0, 1.0);
            for (n, terms) in terms.iter_mut().enumerate().skip(1) {
                factorial *= n as f64;
                terms[piece] = (density * hermite / factorial) as f32;
                (before, hermite) = (hermite, -x * hermite - (n - 1) as f64 * before);
            }
        }
        Self(terms)
    }

    /// `x Φ(x)`, the exact (erf) GELU, with an error of at most 1e-7 |x|.
    ///
    /// # Safety
    /// The CPU must be supported.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16,avx512vnni")]
    pub unsafe fn of(&self, x: __m512) -> __m512 {
        let most = _mm512_set1_ps(5.499_999);
        let a = _mm512_min_ps(_mm512_abs_ps(x), most);
        let place = _mm512_mul_ps(a, _mm512_set1_ps((1.0 / WIDTH) as f32));
        let piece = _mm512_cvttps_epi32(place);
        let middle = _mm512_add_ps(_mm512_cvtepi32_ps(piece), _mm512_set1_ps(0.5));
        let r = _mm512_fnmadd_ps(middle, _mm512_set1_ps(WIDTH as f32), a);
        // SAFETY: each row of coefficients has sixteen f32.
        let term = |i: usize| unsafe { _mm512_permutexvar_ps(piece, _mm512_loadu_ps(self.0[i].as_ptr())) };
        let mut sum = term(TERMS - 1);
        for i in (0..TERMS - 1).rev() {
            sum = _mm512_fmadd_ps(sum, r, term(i));
        }
        // ½ x + |x| (Φ(|x|) − ½) equals x Φ(x) for both signs of x.
        _mm512_fmadd_ps(_mm512_abs_ps(x), sum, _mm512_mul_ps(x, _mm512_set1_ps(0.5)))
    }
}
