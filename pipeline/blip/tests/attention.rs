//! Attention in half precision on a CPU.

use capfilt_blip::layers::{Dropout, attend};
use tch::{Device, Kind, Tensor};

fn drawn(shape: &[i64]) -> Tensor {
    Tensor::randn(shape, (Kind::Float, Device::Cpu))
}

/// Enough queries for the fused kernel, which computes them in f32.
#[test]
fn half_precision_is_f32_rounded_at_the_end() {
    tch::manual_seed(7);
    let [q, k, v] = [(); 3].map(|()| drawn(&[2, 3, 200, 16]));
    let keys = Tensor::arange(200, (Kind::Int64, Device::Cpu)).lt(150).reshape([1, 1, 1, 200]);
    let penalty = drawn(&[1, 1, 200, 200]);
    for kind in [Kind::BFloat16, Kind::Half] {
        if kind == Kind::BFloat16 && capfilt_kernels::supported() {
            continue; // the kernels compute this case and have their own tests
        }
        let [q, k, v, penalty] = [&q, &k, &v, &penalty].map(|xs| xs.to_kind(kind));
        for mask in [None, Some(&keys), Some(&penalty)] {
            let wide = [&q, &k, &v].map(|xs| xs.to_kind(Kind::Float));
            let wide_mask = mask
                .map(|mask| if mask.is_floating_point() { mask.to_kind(Kind::Float) } else { mask.copy() });
            let exact = attend(&wide[0], &wide[1], &wide[2], wide_mask.as_ref(), Dropout::default()).unwrap();
            let found = attend(&q, &k, &v, mask, Dropout::default()).unwrap();
            assert_eq!(found.kind(), kind);
            assert!(found.equal(&exact.to_kind(kind)), "{kind:?}, mask {:?}", mask.map(Tensor::kind));
        }
    }
}
