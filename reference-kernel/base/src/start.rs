//! Setting up in supervisor mode.

use core::fmt::Write;

use abi::record;

use crate::{
    console, deadline, device_tree, entry, hart::MAX_HARTS, initrd, kernel_space, memory, memory_map::MemoryMap,
    platform, process::Process, scheduler, stop, sv39::PAGE, timer, trap,
};

/// Hart 0, in supervisor mode, without translation and with interrupts off.
pub extern "C" fn first(device_tree: usize) -> ! {
    trap::expect_kernel_traps();
    console::set_up();
    let machine = device_tree::read(device_tree);
    let harts = machine.harts.min(MAX_HARTS);
    platform::set_ram_end(machine.memory.end);
    stop::set_harts(harts);
    let memory = memory::the();
    let options = memory.default_options().with(machine.arguments).unwrap_or_else(|error| panic!("{error}"));
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
    let arena = memory.set_up(&mut map, &options).into_iter().filter(|region| !region.is_empty());
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
pub extern "C" fn secondary(_: usize) -> ! {
    trap::expect_kernel_traps();
    kernel_space::enter();
    scheduler::run()
}
