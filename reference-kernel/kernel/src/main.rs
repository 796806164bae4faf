//! A small RISC-V kernel that carries the page-allocator labs.
//!
//! A hart begins in [`entry`], in machine mode, and leaves it for good but for what [`machine`] keeps working.
//! Hart 0 sets everything up in [`main`]; then all harts run processes, in [`scheduler`].

#![no_std]
#![no_main]

mod address_space;
mod backtrace;
mod console;
mod contents;
#[cfg(feature = "kmem")]
mod counted;
mod cross_call;
mod csr;
mod deadline;
mod device_tree;
mod ending;
mod entry;
mod exec;
mod hart;
mod heap;
mod initrd;
mod kernel_space;
mod list_trace;
mod lists;
mod locks;
mod machine;
mod memory_map;
mod notes;
mod object_calls;
mod object_pages;
mod object_trace;
mod objects;
mod page_calls;
mod pages;
mod panic;
mod platform;
mod pool;
mod pools;
mod power;
mod process;
mod scheduler;
mod shared;
mod sleep;
mod spin;
mod stamp;
mod stop;
mod sv39;
mod switch;
mod syscall;
mod timer;
mod trace;
mod trampoline;
mod trap;
mod uart;

extern crate alloc;

use core::fmt::Write;

use abi::record;

use crate::{hart::MAX_HARTS, memory_map::MemoryMap, process::Process, sv39::PAGE};

/// Whether there are object caches. A lab that needs none is compiled faster without.
const OBJECTS: bool = cfg!(any(feature = "slab", not(feature = "lab")));

/// Hart 0, in supervisor mode, without translation and with interrupts off.
extern "C" fn main(device_tree: usize) -> ! {
    trap::expect_kernel_traps();
    console::set_up();
    let machine = device_tree::read(device_tree);
    let harts = machine.harts.min(MAX_HARTS);
    platform::set_ram_end(machine.memory.end);
    stop::set_harts(harts);
    let options = pools::default_options().with(machine.arguments).unwrap_or_else(|error| panic!("{error}"));
    if let Some(after) = options.deadline {
        deadline::set(after);
    }
    if let Some(turn) = options.tick {
        timer::set_turn(turn);
    }
    console::lock().record(|out| {
        write!(out, "\"r\":\"boot\",\"format\":{},\"kernel\":\"reference\",\"harts\":{harts}", record::FORMAT)?;
        write!(out, ",\"memory_pages\":{},\"pages\":\"{}\"", machine.memory.len() / PAGE, options.pages.word())
    });

    let mut map = MemoryMap::new(machine.memory.clone());
    for taken in [&kernel_space::image(), &machine.device_tree, &machine.initrd] {
        map.remove(taken);
    }
    let arena = pools::set_up(&mut map, &options);
    heap::begin();
    pools::print_record(&mut console::lock());
    // A wild write just outside of the arena must not go unnoticed.
    let guards = arena.flat_map(|region| [region.start - PAGE..region.start, region.end..region.end + PAGE]);
    kernel_space::build(&machine.memory, &[machine.initrd.clone(), machine.device_tree], guards);
    kernel_space::enter();

    initrd::set(&machine.initrd);
    Process::start_init();
    entry::start_harts(harts);
    scheduler::run()
}

/// Every other hart, likewise, once hart 0 is done.
extern "C" fn secondary(_: usize) -> ! {
    trap::expect_kernel_traps();
    kernel_space::enter();
    scheduler::run()
}
