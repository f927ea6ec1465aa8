//! exp and GELU of sixteen numbers at once.

use std::{arch::x86_64::*, f64::consts::PI, sync::LazyLock};

/// `e^x` for x ≤ 0, to 2e-7 of itself; 0 for minus infinity.
///
/// # Safety
/// The CPU must be supported.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16,avx512vnni")]
pub unsafe fn exp(x: __m512) -> __m512 {
    // e^x = 2^n e^r, with |r| at most ln 2 / 2; ln 2 in two parts, of which the first times n is exact.
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

/// Pieces of the normal distribution's curve.
const PIECES: usize = 16;
/// Width of a piece; beyond the last, at 5.5, f32 knows no difference from 1.
const WIDTH: f64 = 5.5 / PIECES as f64;
const TERMS: usize = 7;

/// Φ(a) − ½ for a ≥ 0 as polynomials, a piece each, in the distance from its middle: term after term.
pub struct Gelu([[f32; PIECES]; TERMS]);

pub static GELU: LazyLock<Gelu> = LazyLock::new(Gelu::expand);

impl Gelu {
    /// Taylor's terms at the pieces' middles.
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
            // The derivatives of φ are φ times Hermite's polynomials: H₀ = 1, H₁ = −x, Hₙ₊₁ = −x Hₙ − n Hₙ₋₁.
            let (mut before, mut hermite, mut factorial) = (0.0, 1.0, 1.0);
            for (n, terms) in terms.iter_mut().enumerate().skip(1) {
                factorial *= n as f64;
                terms[piece] = (density * hermite / factorial) as f32;
                (before, hermite) = (hermite, -x * hermite - (n - 1) as f64 * before);
            }
        }
        Self(terms)
    }

    /// `x Φ(x)`, the exact (erf) GELU, to 1e-7 of |x|.
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
        // SAFETY: sixteen numbers each.
        let term = |i: usize| unsafe { _mm512_permutexvar_ps(piece, _mm512_loadu_ps(self.0[i].as_ptr())) };
        let mut sum = term(TERMS - 1);
        for i in (0..TERMS - 1).rev() {
            sum = _mm512_fmadd_ps(sum, r, term(i));
        }
        // ½ x + |x| (Φ(|x|) − ½) is x Φ(x) on both sides of 0.
        _mm512_fmadd_ps(_mm512_abs_ps(x), sum, _mm512_mul_ps(x, _mm512_set1_ps(0.5)))
    }
}
