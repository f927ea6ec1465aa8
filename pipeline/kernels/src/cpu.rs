//! Features of this CPU.

use std::sync::LazyLock;

/// Vector and matrix instructions of this CPU that decide which kernels run, by their names in
/// `/proc/cpuinfo`.
pub fn features() -> &'static [&'static str] {
    static FEATURES: LazyLock<Vec<&'static str>> = LazyLock::new(detect);
    &FEATURES
}

/// Whether the kernels run on this CPU: it has AVX512-BF16 and not AMX. With AMX, libtorch uses AMX for bf16
/// products.
pub fn supported() -> bool {
    static SUPPORTED: LazyLock<bool> = LazyLock::new(|| {
        let has = |name: &str| features().contains(&name);
        ["avx512f", "avx512bw", "avx512vl", "avx512_vnni", "avx512_bf16"].into_iter().all(has)
            && !has("amx_bf16")
    });
    *SUPPORTED
}

#[cfg(target_arch = "x86_64")]
fn detect() -> Vec<&'static str> {
    // The standard library has no stable test for AMX.
    let amx_bf16 = std::arch::x86_64::__cpuid_count(7, 0).edx & (1 << 22) != 0;
    let all = [
        ("avx2", is_x86_feature_detected!("avx2")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
        ("avx512bw", is_x86_feature_detected!("avx512bw")),
        ("avx512vl", is_x86_feature_detected!("avx512vl")),
        ("avx512_vnni", is_x86_feature_detected!("avx512vnni")),
        ("avx512_bf16", is_x86_feature_detected!("avx512bf16")),
        ("amx_bf16", amx_bf16),
    ];
    all.into_iter().filter_map(|(name, is_there)| is_there.then_some(name)).collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn detect() -> Vec<&'static str> {
    vec![]
}
