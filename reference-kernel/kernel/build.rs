//! Links the kernel where QEMU's `virt` machine starts to execute, without the thousands of labels that a compiler for
//! RISC-V leaves for the linker.

fn main() {
    println!("cargo:rerun-if-changed=kernel.ld");
    println!("cargo:rustc-link-arg-bins=-T{}/kernel.ld", std::env::var("CARGO_MANIFEST_DIR").unwrap());
    println!("cargo:rustc-link-arg-bins=--discard-locals");
}
