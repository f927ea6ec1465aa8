//! Peak rates of a device: FLOP/s of a large matrix product, and bytes per second of a memory copy.

use crate::median::median;
use capfilt_blip::{DevicePrecision, cost_model::Cost};
use std::time::Instant;
use tch::{Device, Kind, TchError, Tensor};

/// Side of the matrices: their product exceeds the caches and takes a fraction of a second on two cores.
const SIDE: i64 = 2048;
/// f32 numbers of the copied block: 256 MB.
const COPIED: i64 = 1 << 26;
const REPEATS: usize = 5;

/// Peak rates of a device, measured in the precision of the models.
#[derive(Debug, Clone, Copy)]
pub struct Floors {
    /// FLOP per second of a matrix product.
    pub flop_per_second: f64,
    /// Bytes per second of a copy, read and written bytes together.
    pub bytes_per_second: f64,
}

impl Floors {
    /// Measures both rates.
    ///
    /// # Errors
    /// libtorch's error, when the device has less than 0.5 GB of free memory.
    pub fn measure(device: Device, precision: DevicePrecision) -> Result<Self, TchError> {
        let a = Tensor::f_randn([SIDE, SIDE], (Kind::Float, device))?.f_to_kind(precision.kind())?;
        let b = a.f_mul_scalar(0.5)?;
        let product_of = a.f_zeros_like()?;
        // A GPU computes one product in less time than the launch of the kernel takes.
        let products = if device.is_cuda() { 50 } else { 1 };
        let product =
            seconds(device, || (0..products).try_for_each(|_| a.f_matmul_out(&product_of, &b).map(drop)))?;
        let source = Tensor::f_ones([COPIED], (Kind::Float, device))?;
        let mut target = source.f_zeros_like()?;
        let copy = seconds(device, || target.f_copy_(&source))?;
        Ok(Self {
            flop_per_second: f64::from(products) * 2.0 * (SIDE as f64).powi(3) / product,
            bytes_per_second: 2.0 * 4.0 * COPIED as f64 / copy,
        })
    }

    /// Least seconds of the work by its FLOP and by its bytes.
    pub fn seconds(&self, cost: Cost) -> (f64, f64) {
        (cost.flop / self.flop_per_second, cost.bytes / self.bytes_per_second)
    }

    /// Share of the peak rate that work of `seconds` reached, by the rate that limits the work.
    pub fn share(&self, cost: Cost, seconds: f64) -> f64 {
        let (products, bytes) = self.seconds(cost);
        products.max(bytes) / seconds
    }
}

/// Median seconds of `REPEATS` runs after one warm-up run.
fn seconds(device: Device, mut run: impl FnMut() -> Result<(), TchError>) -> Result<f64, TchError> {
    let mut all = Vec::new();
    for _ in 0..=REPEATS {
        let from = Instant::now();
        run()?;
        if let Device::Cuda(index) = device {
            tch::Cuda::synchronize(index as i64);
        }
        all.push(from.elapsed().as_secs_f64());
    }
    Ok(median(&all[1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slower_of_products_and_copies_limits_the_work() {
        let floors = Floors { flop_per_second: 10.0, bytes_per_second: 2.0 };
        let cost = Cost { flop: 20.0, bytes: 8.0 };
        assert_eq!(floors.seconds(cost), (2.0, 4.0));
        assert_eq!(floors.share(cost, 8.0), 0.5);
    }
}
