//! Links programs at the address that the kernel gives them.

fn main() {
    println!("cargo:rerun-if-changed=user.ld");
    println!("cargo:rustc-link-arg-bins=-T{}/user.ld", std::env::var("CARGO_MANIFEST_DIR").unwrap());
}
