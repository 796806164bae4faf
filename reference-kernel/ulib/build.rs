//! Links programs at the address that the kernel gives them, and without debug information or the compiler's own
//! labels: they are loaded into memory whole, and only the kernel's addresses are ever looked up. Of use to every
//! package with programs.

fn main() {
    println!("cargo:rerun-if-changed=../ulib/user.ld");
    println!("cargo:rustc-link-arg-bins=-T{}/../ulib/user.ld", std::env::var("CARGO_MANIFEST_DIR").unwrap());
    println!("cargo:rustc-link-arg-bins=--strip-debug");
    println!("cargo:rustc-link-arg-bins=--discard-locals");
}
