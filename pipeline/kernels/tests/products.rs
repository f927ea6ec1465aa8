//! Linear layers and norms of the kernels, compared with libtorch in f64. On an unsupported CPU, the tests
//! check that nothing is packed.

use capfilt_kernels::{Epilogue, PackedLinear, layer_norm, supported};
use tch::{Device, Kind, Tensor};

const SEED: i64 = 11;

fn drawn(shape: &[i64], kind: Kind) -> Tensor {
    (Tensor::randn(shape, (Kind::Float, Device::Cpu)) * 0.5).to_kind(kind)
}

/// Largest difference of two tensors, as a multiple of the allowed error: one rounding to the dtype of
/// `found` at its largest number, and one f32 rounding per summed number.
fn apart(found: &Tensor, exact: &Tensor, summed: i64) -> f64 {
    let epsilon = if found.kind() == Kind::Float { 0.0 } else { 2_f64.powi(-8) };
    let most = exact.abs().max().double_value(&[]).max(1.0);
    let allowed = most * (epsilon + 2_f64.powi(-24) * summed as f64);
    (found.to_kind(Kind::Double) - exact).abs().max().double_value(&[]) / allowed
}

#[test]
fn a_linear_layer_is_libtorchs_in_f64_and_rounded_once() {
    println!("seed {SEED}");
    tch::manual_seed(SEED);
    // Rows that do not fill a tile, columns that do not fill a panel, and a result that needs many tasks.
    for (rows, input, output) in
        [(1, 2, 1), (7, 64, 70), (8, 768, 2304), (13, 30, 64), (200, 96, 130), (577, 128, 65)]
    {
        for kind in [Kind::Float, Kind::BFloat16] {
            let [xs, weight, bias] =
                [&[rows, input][..], &[output, input], &[output]].map(|shape| drawn(shape, kind));
            let residual = drawn(&[rows, output], kind);
            let packed = PackedLinear::pack(&weight, &bias).unwrap();
            assert_eq!(packed.is_some(), supported(), "{rows} {input} {output} {kind:?}");
            let Some(packed) = packed else { continue };
            let [wide, weight, bias, added] =
                [&xs, &weight, &bias, &residual].map(|t| t.to_kind(Kind::Double));
            let plain = wide.linear(&weight, Some(&bias));
            let finishes = [
                (Epilogue::Nothing, plain.copy()),
                (Epilogue::Gelu, plain.gelu("none")),
                (Epilogue::Add(&residual), plain + added),
            ];
            for (number, (epilogue, exact)) in finishes.into_iter().enumerate() {
                let found = packed.forward(&xs, epilogue).unwrap();
                assert_eq!((found.kind(), found.size()), (kind, vec![rows, output]));
                let apart = apart(&found, &exact, input);
                assert!(
                    apart <= 1.0,
                    "{rows} × {input} × {output} {kind:?}, finish {number}: {apart} of the allowed"
                );
            }
        }
    }
}

#[test]
fn an_int8_layer_multiplies_its_quantised_numbers_exactly() {
    tch::manual_seed(SEED);
    // Numbers on the grid of their row's scale are quantised exactly, so the result is the exact product.
    let grid = |rows: i64, width: i64| {
        let numbers = Tensor::randint_low(-127, 128, [rows, width], (Kind::Float, Device::Cpu));
        let _ = numbers.narrow(1, 0, 1).fill_(127.0);
        numbers
    };
    for (rows, input, output) in [(1, 4, 1), (7, 64, 70), (150, 768, 200), (577, 100, 65)] {
        let (xs, weight) = (grid(rows, input) * 0.25, grid(output, input) * 0.125);
        let (bias, residual) = (drawn(&[output], Kind::Float), drawn(&[rows, output], Kind::Float));
        let packed = PackedLinear::pack_rounded(&weight, &bias).unwrap();
        assert_eq!(packed.is_some(), supported());
        let Some(packed) = packed else { continue };
        let exact =
            xs.to_kind(Kind::Double).linear(&weight.to_kind(Kind::Double), Some(&bias.to_kind(Kind::Double)));
        assert!(
            apart(&packed.forward(&xs, Epilogue::Nothing).unwrap(), &exact, 8) <= 1.0,
            "{rows} × {input} × {output}"
        );
        let added = packed.forward(&xs, Epilogue::Add(&residual)).unwrap();
        assert!(apart(&added, &(exact + residual.to_kind(Kind::Double)), 8) <= 1.0);
    }
}

#[test]
fn int8_results_differ_by_about_one_per_cent() {
    tch::manual_seed(SEED);
    for kind in [Kind::Float, Kind::BFloat16] {
        let [xs, weight, bias] = [&[300, 768][..], &[768, 768], &[768]].map(|shape| drawn(shape, kind));
        let Some(packed) = PackedLinear::pack_rounded(&weight, &bias).unwrap() else {
            return assert!(!supported());
        };
        let found = packed.forward(&xs, Epilogue::Nothing).unwrap();
        let [xs, weight, bias] = [&xs, &weight, &bias].map(|t| t.to_kind(Kind::Double));
        let exact = xs.linear(&weight, Some(&bias));
        let error =
            (found.to_kind(Kind::Double) - &exact).norm().double_value(&[]) / exact.norm().double_value(&[]);
        println!("{kind:?}: {error:.4}");
        // Two roundings to 1/127 of the largest of a row's 768 numbers, which is 3 standard deviations: 2 ·
        // (3 / 127)² / 12.
        assert!((0.003..0.02).contains(&error), "{error}");
    }
}

#[test]
fn a_layer_norm_is_libtorchs_in_f64_and_rounded_once() {
    tch::manual_seed(SEED);
    for shape in [[1, 1, 1], [2, 3, 70], [1, 100, 768]] {
        for kind in [Kind::Float, Kind::BFloat16] {
            let xs = drawn(&shape, kind) * 3.0 + 10.0;
            let [weight, bias] = [(); 2].map(|()| drawn(&shape[2..], kind));
            let found = layer_norm(&xs, &weight, &bias, 1e-5).unwrap();
            assert_eq!(found.is_some(), supported());
            let Some(found) = found else { continue };
            let [xs, weight, bias] = [&xs, &weight, &bias].map(|t| t.to_kind(Kind::Double));
            let exact = xs.layer_norm(&shape[2..], Some(&weight), Some(&bias), 1e-5, false);
            // The mean is ten times the standard deviation, so its rounding error counts tenfold.
            assert_eq!(found.kind(), kind);
            assert!(apart(&found, &exact, 160) <= 1.0, "{shape:?} {kind:?}");
        }
    }
}

#[test]
fn a_row_does_not_depend_on_other_rows_or_on_threads() {
    tch::manual_seed(SEED);
    let before = tch::get_num_threads();
    for kind in [Kind::Float, Kind::BFloat16] {
        let [xs, weight, bias] = [&[150, 96][..], &[200, 96], &[200]].map(|shape| drawn(shape, kind));
        let Some(packed) = PackedLinear::pack(&weight, &bias).unwrap() else { continue };
        let all = packed.forward(&xs, Epilogue::Gelu).unwrap();
        for threads in [1, 2, 3] {
            tch::set_num_threads(threads);
            assert!(packed.forward(&xs, Epilogue::Gelu).unwrap().equal(&all), "{threads} threads");
        }
        for row in [0, 5, 97, 149] {
            let alone = packed.forward(&xs.narrow(0, row, 1), Epilogue::Gelu).unwrap();
            assert!(alone.equal(&all.narrow(0, row, 1)), "row {row}");
        }
    }
    tch::set_num_threads(before);
}

#[test]
fn what_the_kernel_cannot_do_is_left_to_libtorch() {
    let zeros = |shape: &[i64], kind| Tensor::zeros(shape, (kind, Device::Cpu));
    for (input, kind) in [(3, Kind::BFloat16), (4, Kind::Half), (4, Kind::Double)] {
        let packed = PackedLinear::pack(&zeros(&[5, input], kind), &zeros(&[5], kind)).unwrap();
        assert!(packed.is_none(), "{input} inputs in {kind:?}");
    }
}

#[test]
fn shapes_that_do_not_fit_are_errors() {
    let zeros = |shape: &[i64], kind| Tensor::zeros(shape, (kind, Device::Cpu));
    let layer = PackedLinear::pack(&zeros(&[5, 4], Kind::Float), &zeros(&[5], Kind::Float)).unwrap();
    let Some(layer) = layer else { return assert!(!supported()) };
    let refused = |xs: &Tensor, epilogue| layer.forward(xs, epilogue).unwrap_err().to_string();
    assert!(
        refused(&zeros(&[2, 3], Kind::Float), Epilogue::Nothing)
            .contains("a layer of 4 inputs was given [2, 3]")
    );
    assert!(refused(&zeros(&[2, 4], Kind::BFloat16), Epilogue::Nothing).contains("BFloat16"));
    let short = zeros(&[1, 5], Kind::Float);
    assert!(
        refused(&zeros(&[2, 4], Kind::Float), Epilogue::Add(&short))
            .contains("[1, 5] is to be added to [2, 5]")
    );
    assert_eq!(layer.forward(&zeros(&[0, 4], Kind::Float), Epilogue::Nothing).unwrap().size(), [0, 5]);
}

#[test]
fn a_number_that_is_not_finite_gives_nan() {
    let ones = |shape: &[i64]| Tensor::ones(shape, (Kind::Float, Device::Cpu));
    let Some(layer) = PackedLinear::pack(&ones(&[3, 2]), &ones(&[3])).unwrap() else {
        return assert!(!supported());
    };
    let found = layer.forward(&(ones(&[1, 2]) * f64::NAN), Epilogue::Gelu).unwrap();
    assert!(found.isnan().all().int64_value(&[]) == 1, "{found:?}");
    let layer = PackedLinear::pack_rounded(&ones(&[3, 4]), &ones(&[3])).unwrap().expect("a supported CPU");
    let damaged = Tensor::from_slice(&[1.0_f32, f32::NAN, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]).view([2, 4]);
    let damaged = PackedLinear::pack_rounded(&damaged, &ones(&[2])).unwrap().expect("a supported CPU");
    let found = damaged.forward(&ones(&[1, 4]), Epilogue::Nothing).unwrap();
    assert!(Vec::<bool>::try_from(found.isnan().view([-1])).unwrap() == [true, false]);
    let rows = Tensor::from_slice(&[1.0_f32, f32::INFINITY, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]).view([2, 4]);
    let found = layer.forward(&rows, Epilogue::Nothing).unwrap();
    assert!(
        Vec::<bool>::try_from(found.isnan().view([-1])).unwrap() == [true, true, true, false, false, false]
    );
}
