//! Writes the way to libtorch into the binary, so that it runs from any shell with no variable set.

fn main() {
    // Else every file of the repository would be a reason to build the program again.
    println!("cargo:rerun-if-changed=build.rs");
    let lib = std::env::var("DEP_TCH_LIBTORCH_LIB").expect("torch-sys names libtorch's lib folder");
    // Installed, it finds libtorch by its place beside it (scripts/install.sh); where it was built, by
    // libtorch's own.
    println!("cargo:rustc-link-arg=-Wl,-rpath,$ORIGIN/../lib/capfilt/torch/lib");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{lib}");
    // libtorch_cpu.so asks for CUPTI and the CUDA runtime, which lie beside it.
    println!("cargo:rustc-link-arg=-Wl,-rpath-link,{lib}/../../nvidia/cu13/lib");
}
