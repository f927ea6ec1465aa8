//! Attention of the kernels beside libtorch's in f64.

use capfilt_kernels::{attend_joined, supported};
use tch::{Device, Kind, Tensor};

const SEED: i64 = 12;

/// `softmax(q kᵀ / √d) v` with nothing fused.
fn exact(qkv: &Tensor) -> Tensor {
    let [q, k, v] = parts(&qkv.to_kind(Kind::Double));
    let d = q.size()[3] as f64;
    let weights = (q.matmul(&k.transpose(2, 3)) / d.sqrt()).softmax(-1, Kind::Double);
    weights.matmul(&v).transpose(1, 2).flatten(2, 3)
}

/// By libtorch's own fused kernel, in the numbers of `qkv`.
fn by_libtorch(qkv: &Tensor) -> Tensor {
    let [q, k, v] = parts(qkv);
    let seen = Tensor::scaled_dot_product_attention::<Tensor>(&q, &k, &v, None, 0.0, false, None::<f64>, false);
    seen.transpose(1, 2).flatten(2, 3)
}

fn parts(qkv: &Tensor) -> [Tensor; 3] {
    let qkv = qkv.permute([2, 0, 3, 1, 4]);
    [0, 1, 2].map(|part| qkv.select(0, part))
}

fn apart(found: &Tensor, exact: &Tensor) -> f64 {
    (found.to_kind(Kind::Double) - exact).abs().max().double_value(&[])
}

#[test]
fn attention_is_libtorchs_in_f64_but_for_rounding() {
    println!("seed {SEED}");
    tch::manual_seed(SEED);
    for (rows, tokens, heads, d) in
        [(1, 1, 1, 2), (2, 5, 3, 16), (1, 64, 2, 64), (3, 50, 4, 32), (1, 577, 2, 64), (1, 131, 1, 6)]
    {
        for kind in [Kind::Float, Kind::BFloat16] {
            let qkv = (Tensor::randn([rows, tokens, 3, heads, d], (Kind::Float, Device::Cpu)) * 2.0).to_kind(kind);
            let found = attend_joined(&qkv).unwrap();
            assert_eq!(found.is_some(), supported());
            let Some(found) = found else { continue };
            assert_eq!((found.kind(), found.size()), (kind, vec![rows, tokens, heads * d]));
            // What is computed in these numbers is off by what a score's rounding makes of it, which grows with the scores: so
            // libtorch's error is the measure, and a last bit of the largest result.
            let exact = exact(&qkv);
            let last_bit = exact.abs().max().double_value(&[]) * if kind == Kind::Float { 1e-6 } else { 4e-3 };
            let (ours, libtorchs) = (apart(&found, &exact), apart(&by_libtorch(&qkv), &exact));
            println!("{rows} × {tokens} × {heads} × {d} {kind:?}: {ours:.2e}, libtorch {libtorchs:.2e}");
            assert!(ours <= 1.5 * libtorchs + last_bit);
        }
    }
}

#[test]
fn scores_as_large_as_f32_takes_do_not_overflow() {
    let qkv = Tensor::randn([1, 20, 3, 1, 8], (Kind::Float, Device::Cpu)) * 1e9;
    let Some(found) = attend_joined(&qkv).unwrap() else { return assert!(!supported()) };
    assert!(apart(&found, &exact(&qkv)) < 1e4);
}

#[test]
fn what_the_kernel_cannot_do_is_left_to_libtorch() {
    let zeros = |d: i64, kind| Tensor::zeros([1, 4, 3, 2, d], (kind, Device::Cpu));
    for (d, kind) in [(5, Kind::Float), (66, Kind::Float), (8, Kind::Half)] {
        assert!(attend_joined(&zeros(d, kind)).unwrap().is_none(), "heads of {d} in {kind:?}");
    }
    let learning = zeros(8, Kind::Float).set_requires_grad(true);
    assert!(attend_joined(&learning).unwrap().is_none());
}
