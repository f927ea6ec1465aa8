//! Writes libtorch's path into the tests, so that they run from any shell without environment variables, and
//! libtorch's version into the library, for `capfilt --version`.

fn main() {
    let lib = std::env::var("DEP_TCH_LIBTORCH_LIB").expect("torch-sys names libtorch's lib folder");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{lib}");
    // libtorch_cpu.so needs CUPTI and the CUDA runtime, which are beside it.
    println!("cargo:rustc-link-arg=-Wl,-rpath-link,{lib}/../../nvidia/cu13/lib");
    println!("cargo:rustc-env=CAPFILT_LIBTORCH_VERSION={}", version(&format!("{lib}/../include")));
}

/// Version in libtorch's headers: `#define TORCH_VERSION_MAJOR 2` and so on.
fn version(include: &str) -> String {
    let header = format!("{include}/torch/headeronly/version.h");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={header}");
    let text = std::fs::read_to_string(&header).unwrap_or_else(|error| panic!("{header}: {error}"));
    let number = |part: &str| {
        let define = format!("#define TORCH_VERSION_{part} ");
        let number = text.lines().find_map(|line| line.strip_prefix(&define));
        number.unwrap_or_else(|| panic!("{header} has no line {define}")).trim().to_owned()
    };
    ["MAJOR", "MINOR", "PATCH"].map(number).join(".")
}
