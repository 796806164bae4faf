use std::collections::BTreeSet;
use std::env;
use std::process::Command;

use super::*;

const SOURCE: &str = "#![no_std]
#![no_main]
use core::ptr::read_volatile;
mod page {
    #[inline(always)]
    pub fn inner(at: *const u32) -> u32 {
        unsafe { super::read_volatile(at) } // SAFETY: nobody runs it; it is built to be looked up in.
    }
    #[inline(never)]
    pub fn outer(at: *const u32) -> u32 {
        inner(at) + 1
    }
}
#[unsafe(no_mangle)]
extern \"C\" fn _start(at: *const u32) -> u32 {
    page::outer(at) + 2
}
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
";

/// Where the linker is told to put the program.
const BASE: u64 = 0x8000_0000;

#[test]
fn an_address_of_a_kernel_leads_to_function_file_and_line_inlined_ones_too() {
    let folder = tempfile::tempdir().unwrap();
    // As Cargo calls the compiler: from the workspace's root, with the source relative to it.
    std::fs::create_dir_all(folder.path().join("mm/src")).unwrap();
    std::fs::write(folder.path().join("mm/src/buddy.rs"), SOURCE).unwrap();
    let program = folder.path().join("kernel");
    let mut remap = std::ffi::OsString::from("--remap-path-prefix=");
    remap.push(folder.path());
    remap.push("=");
    let output = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args(["--edition=2024", "--target=riscv64gc-unknown-none-elf", "--crate-name=small", "--crate-type=bin"])
        .args(["-Copt-level=2", "-Cpanic=abort", "-Cdebuginfo=line-tables-only", "-Ccodegen-units=1"])
        .arg(format!("-Clink-arg=-Ttext={BASE:#x}"))
        .arg(remap)
        .arg("-o")
        .arg(&program)
        .arg("mm/src/buddy.rs")
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let symbols = Symbols::open(&program).unwrap();
    let chains: BTreeSet<Vec<String>> = (BASE..BASE + 64)
        .step_by(2)
        .map(|address| symbols.places(address).iter().map(Place::to_string).collect())
        .collect();
    let contains =
        |chain: &[&str]| chains.iter().any(|known| known.iter().map(String::as_str).eq(chain.iter().copied()));
    assert!(contains(&["_start at mm/src/buddy.rs:16"]), "{chains:#?}");
    let inlined = chains.iter().find(|chain| chain.len() == 3).unwrap();
    assert!(inlined[0].starts_with("read_volatile<u32> at library/core/src/ptr/mod.rs:"), "{inlined:?}");
    assert_eq!(inlined[1..], ["inner at mm/src/buddy.rs:7", "small::page::outer at mm/src/buddy.rs:11"]);
    assert_eq!(symbols.places(BASE - 4096), []);
    assert_eq!(symbols.call_places(0), []);
}

#[test]
fn a_file_that_is_no_program_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "no ELF").unwrap();
    for path in [file.path(), Path::new("/nowhere/kernel")] {
        let error = Symbols::open(path).unwrap_err().to_string();
        assert!(error.contains(&path.display().to_string()), "{error}");
    }
}

#[test]
fn the_hash_of_a_build_is_no_part_of_a_name() {
    assert_eq!(plain("mm::page::free::h0123456789abcdef"), "mm::page::free");
    assert_eq!(plain("mm::page::hash"), "mm::page::hash");
    assert_eq!(plain("main"), "main");
}
