//! Attention kernels, compared with f64 and with the error of libtorch's own kernels.

use capfilt_kernels::{PackedCrossAttention, PackedStates, attend, supported};
use tch::{Device, Kind, Tensor};

const SEED: i64 = 12;

/// `softmax(q kᵀ / √d + mask) v` in separate operations, in f64.
fn exact(qkv: &Tensor, mask: Option<&Tensor>) -> Tensor {
    let [q, k, v] = parts(&qkv.to_kind(Kind::Double));
    let d = q.size()[3] as f64;
    let scores = q.matmul(&k.transpose(2, 3)) / d.sqrt();
    let scores = match mask {
        Some(mask) if mask.is_floating_point() => scores + mask.to_kind(Kind::Double),
        Some(mask) => scores.masked_fill(&mask.logical_not(), f64::NEG_INFINITY),
        None => scores,
    };
    scores.softmax(-1, Kind::Double).matmul(&v).transpose(1, 2).flatten(2, 3)
}

/// libtorch's fused kernel, in the dtype of `qkv`.
fn by_libtorch(qkv: &Tensor) -> Tensor {
    let [q, k, v] = parts(qkv);
    let seen =
        Tensor::scaled_dot_product_attention::<Tensor>(&q, &k, &v, None, 0.0, false, None::<f64>, false);
    seen.transpose(1, 2).flatten(2, 3)
}

/// Self-attention, heads concatenated in the result.
fn attend_to_itself(qkv: &Tensor, mask: Option<&Tensor>) -> Option<Tensor> {
    let [q, k, v] = parts(qkv);
    attend(&q, &k, &v, mask).expect("shapes fit").map(|seen| seen.transpose(1, 2).flatten(2, 3))
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
            let qkv =
                (Tensor::randn([rows, tokens, 3, heads, d], (Kind::Float, Device::Cpu)) * 2.0).to_kind(kind);
            let found = attend_to_itself(&qkv, None);
            assert_eq!(found.is_some(), supported());
            let Some(found) = found else { continue };
            assert_eq!((found.kind(), found.size()), (kind, vec![rows, tokens, heads * d]));
            // The error of a score's rounding grows with the scores, so the limit is libtorch's error plus
            // one unit in the last place of the largest result.
            let exact = exact(&qkv, None);
            let last_bit =
                exact.abs().max().double_value(&[]) * if kind == Kind::Float { 1e-6 } else { 4e-3 };
            let (ours, libtorchs) = (apart(&found, &exact), apart(&by_libtorch(&qkv), &exact));
            println!("{rows} × {tokens} × {heads} × {d} {kind:?}: {ours:.2e}, libtorch {libtorchs:.2e}");
            assert!(ours <= 1.5 * libtorchs + last_bit);
        }
    }
}

#[test]
fn a_token_attends_only_to_the_tokens_of_its_mask() {
    tch::manual_seed(SEED);
    let (rows, tokens) = (3, 21);
    let qkv = Tensor::randn([rows, tokens, 3, 2, 16], (Kind::Float, Device::Cpu));
    let place = Tensor::arange(tokens, (Kind::Int64, Device::Cpu));
    let lengths = Tensor::from_slice(&[21_i64, 1, 17]).view([rows, 1, 1, 1]);
    let masks = [
        place.view([1, 1, 1, tokens]).lt_tensor(&lengths), // a text's tokens, without padding
        Tensor::ones([tokens, tokens], (Kind::Bool, Device::Cpu)).tril(0), // causal
        Tensor::randn([rows, 1, tokens, tokens], (Kind::Float, Device::Cpu)), // additive
    ];
    for mask in &masks {
        let Some(found) = attend_to_itself(&qkv, Some(mask)) else { return assert!(!supported()) };
        assert!(apart(&found, &exact(&qkv, Some(mask))) < 1e-5, "{:?}", mask.size());
    }
    let of_heads = Tensor::zeros([1, 2, 1, tokens], (Kind::Float, Device::Cpu));
    assert!(attend_to_itself(&qkv, Some(&of_heads)).is_none(), "a mask that differs between heads");
}

#[test]
fn absorbed_cross_attention_equals_attention_with_projected_keys_and_values() {
    tch::manual_seed(SEED);
    let drawn = |shape: &[i64]| Tensor::randn(shape, (Kind::Double, Device::Cpu));
    for (images, tokens, queries, heads, of_head, width) in
        [(3, 50, 1, 4, 16, 48), (1, 145, 9, 3, 64, 192), (2, 7, 30, 2, 6, 70)]
    {
        let (states, q) = (drawn(&[images, tokens, width]), drawn(&[images, queries, heads * of_head]));
        let [key, value] = [(); 2].map(|()| drawn(&[heads * of_head, width]) / (width as f64).sqrt());
        let bias = drawn(&[heads * of_head]);
        for (kind, allowed) in [(Kind::Float, 1e-5), (Kind::BFloat16, 0.05)] {
            let [states, q, key, value, bias] = [&states, &q, &key, &value, &bias].map(|t| t.to_kind(kind));
            let layer = PackedCrossAttention::pack(&key, &value, &bias, heads).unwrap();
            assert_eq!(layer.is_some(), supported());
            let (Some(layer), Some(packed)) = (layer, PackedStates::pack(&states).unwrap()) else { continue };
            let found = layer.forward(&q, &packed).unwrap();
            let [states, q, key, value, bias] =
                [&states, &q, &key, &value, &bias].map(|t| t.to_kind(Kind::Double));
            let by_head = |xs: Tensor| xs.view([images, -1, heads, of_head]).transpose(1, 2);
            let (k, v) =
                (by_head(states.linear::<Tensor>(&key, None)), by_head(states.linear(&value, Some(&bias))));
            let scores = by_head(q.shallow_clone()).matmul(&k.transpose(2, 3)) / (of_head as f64).sqrt();
            let exact = scores.softmax(-1, Kind::Double).matmul(&v).transpose(1, 2).flatten(2, 3);
            let apart = apart(&found, &exact);
            println!(
                "{images} × {tokens}, {queries} queries, {heads} heads of {of_head}, {kind:?}: {apart:.2e}"
            );
            assert!(found.kind() == kind && apart < allowed, "{apart}");
            let second = layer
                .forward(&q.narrow(0, images - 1, 1).to_kind(kind), &packed.select(&[images - 1]).unwrap());
            assert!(second.unwrap().equal(&found.narrow(0, images - 1, 1)), "one image of a batch, alone");
            assert!(
                packed.select(&[images]).is_err() && layer.forward(&found.narrow(1, 0, 1), &packed).is_ok()
            );
        }
    }
}

#[test]
fn scores_as_large_as_f32_takes_do_not_overflow() {
    let qkv = Tensor::randn([1, 20, 3, 1, 8], (Kind::Float, Device::Cpu)) * 1e9;
    let Some(found) = attend_to_itself(&qkv, None) else { return assert!(!supported()) };
    assert!(apart(&found, &exact(&qkv, None)) < 1e4);
}

#[test]
fn what_the_kernel_cannot_do_is_left_to_libtorch() {
    let zeros = |d: i64, kind| Tensor::zeros([1, 4, 3, 2, d], (kind, Device::Cpu));
    for (d, kind) in [(5, Kind::Float), (8, Kind::Half)] {
        assert!(attend_to_itself(&zeros(d, kind), None).is_none(), "heads of {d} in {kind:?}");
    }
    let learning = zeros(8, Kind::Float).set_requires_grad(true);
    assert!(attend_to_itself(&learning, None).is_none());
}
