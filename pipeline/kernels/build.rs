//! Writes the way to libtorch into the tests, so that they run from any shell with no variable set.

fn main() {
    let lib = std::env::var("DEP_TCH_LIBTORCH_LIB").expect("torch-sys names libtorch's lib folder");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{lib}");
    // libtorch_cpu.so asks for CUPTI and the CUDA runtime, which lie beside it.
    println!("cargo:rustc-link-arg=-Wl,-rpath-link,{lib}/../../nvidia/cu13/lib");
}
