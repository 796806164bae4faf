//! Links as programs of the reference kernel are linked.

fn main() {
    let user = "../../reference-kernel/ulib/user.ld";
    println!("cargo:rerun-if-changed={user}");
    println!("cargo:rustc-link-arg-bins=-T{}/{user}", std::env::var("CARGO_MANIFEST_DIR").unwrap());
    println!("cargo:rustc-link-arg-bins=--strip-debug");
}
