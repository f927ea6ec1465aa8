//! Version of the loaded libtorch.

unsafe extern "C" {
    /// Part of libtorch's stable C interface (`torch/csrc/inductor/aoti_torch/c/shim.h`).
    fn aoti_torch_abi_version() -> u64;
}

/// Version of the libtorch that the dynamic linker has loaded: "2.11.0".
pub fn version() -> String {
    // SAFETY: The function has no arguments and returns a constant of the library.
    let version = unsafe { aoti_torch_abi_version() };
    // One byte each from the top: major, minor, patch (`TORCH_ABI_VERSION` of torch/headeronly/version.h).
    let [major, minor, patch, ..] = version.to_be_bytes();
    format!("{major}.{minor}.{patch}")
}
