//! Writes libtorch's path into the tests, so that they run from any shell without environment variables.

fn main() {
    let lib = std::env::var("DEP_TCH_LIBTORCH_LIB").expect("torch-sys names libtorch's lib folder");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{lib}");
    // libtorch_cpu.so needs CUPTI and the CUDA runtime, which are beside it.
    println!("cargo:rustc-link-arg=-Wl,-rpath-link,{lib}/../../nvidia/cu13/lib");
}
