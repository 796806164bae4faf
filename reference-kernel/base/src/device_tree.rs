//! What the machine and whoever started it say at boot (Devicetree Specification v0.4).

use core::{ops::Range, slice};

/// What the kernel wants to know.
#[derive(Debug, Clone)]
pub struct Machine {
    /// The number of harts, which are numbered from zero.
    pub harts: usize,
    /// RAM.
    pub memory: Range<usize>,
    /// Where the device tree itself lies.
    pub device_tree: Range<usize>,
    /// Where the initial RAM disk lies.
    pub initrd: Range<usize>,
    /// `/chosen/bootargs`: QEMU's `-append`.
    pub arguments: &'static str,
}

/// Reads the device tree at `address`, before there is translation.
///
/// # Panics
/// When it says nothing of what the kernel cannot do without.
pub fn read(address: usize) -> Machine {
    let header: *const u32 = core::ptr::with_exposed_provenance(address);
    // SAFETY: QEMU passes the address of a device tree, whose second word is its size, and which stays where it is.
    let bytes: &'static [u8] = unsafe {
        let size = u32::from_be(header.add(1).read()) as usize;
        slice::from_raw_parts(header.cast(), size)
    };
    let tree = match fdt::Fdt::new(bytes) {
        Ok(tree) => tree,
        Err(error) => panic!("the device tree at {address:#x} cannot be read: {error:?}"),
    };
    let harts =
        tree.find_node("/cpus").map_or(0, |cpus| cpus.children().filter(|node| node.name.starts_with("cpu@")).count());
    let region = tree.find_node("/memory").and_then(|memory| memory.reg()?.next());
    let Some((start_of_memory, bytes_of_memory)) =
        region.and_then(|region| Some((region.starting_address as usize, region.size?)))
    else {
        panic!("the device tree names no memory");
    };
    let chosen = tree.find_node("/chosen");
    let initrd = |name| chosen?.property(name)?.as_usize();
    let (Some(start), Some(end)) = (initrd("linux,initrd-start"), initrd("linux,initrd-end")) else {
        panic!("there is no initrd: pass QEMU one with -initrd");
    };
    let arguments = chosen.and_then(|chosen| chosen.property("bootargs")?.as_str()).unwrap_or("");
    Machine {
        harts,
        memory: start_of_memory..start_of_memory + bytes_of_memory,
        device_tree: address..address + bytes.len(),
        initrd: start..end,
        arguments: arguments.trim_end_matches('\0'),
    }
}
