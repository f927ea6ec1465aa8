//! What a device can do at most: the rate of a large matrix product, and the rate at which memory is copied.

use super::median;
use capfilt_med::{Precision, work::Work};
use std::time::Instant;
use tch::{Device, Kind, TchError, Tensor};

/// Side of the large product: 2048³ is beyond what a cache holds, and a fraction of a second on two cores.
const SIDE: i64 = 2048;
/// Numbers of f32 in what is copied: 256 MB.
const COPIED: i64 = 1 << 26;
const REPEATS: usize = 5;

/// Measured on the device, in the precision of the models.
#[derive(Debug, Clone, Copy)]
pub struct Floors {
    pub flop_per_second: f64,
    /// Read and written bytes together.
    pub bytes_per_second: f64,
}

impl Floors {
    /// # Errors
    /// libtorch's, when the device has no room for 0.5 GB.
    pub fn measure(device: Device, precision: Precision) -> Result<Self, TchError> {
        let a = Tensor::f_randn([SIDE, SIDE], (Kind::Float, device))?.f_to_kind(precision.kind())?;
        let b = a.f_mul_scalar(0.5)?;
        let product_of = a.f_zeros_like()?;
        // A GPU makes one product in less than it takes to start it.
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

    /// The least seconds that work can take, by its products and by its bytes.
    pub fn seconds(&self, work: Work) -> (f64, f64) {
        (work.flop / self.flop_per_second, work.bytes / self.bytes_per_second)
    }

    /// The share of the device that `seconds` made use of, by what holds the work up.
    pub fn share(&self, work: Work, seconds: f64) -> f64 {
        let (products, bytes) = self.seconds(work);
        products.max(bytes) / seconds
    }
}

/// Median of a few repeats after a first one that warms up.
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
