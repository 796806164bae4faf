//! Loading programs: ELF executables in the initrd (System V ABI, chapter 5).

use alloc::vec::Vec;

use abi::syscall::Error;
use elf::{ElfBytes, abi as elf_abi, endian::LittleEndian};

use crate::{
    address_space::{AddressSpace, LIMIT, Locked},
    initrd,
    pages::OutOfPages,
    process::Name,
    sv39::{Flags, MapError, PAGE},
    trampoline::register,
};

/// The program that is started first.
pub const INIT: &str = "bin/init";

/// The most arguments of a program.
pub const MOST_ARGUMENTS: usize = 32;

/// The most bytes of all arguments of a program together.
pub const ARGUMENT_BYTES: usize = 2048;

impl From<MapError> for Error {
    fn from(error: MapError) -> Self {
        match error {
            MapError::OutOfPages => Self::NoMemory,
            MapError::Taken => Self::NotExecutable,
        }
    }
}

/// Loads the program of that path with arguments.
///
/// # Errors
/// [`Error::NotFound`], [`Error::NotExecutable`] or [`Error::NoMemory`].
pub fn load(path: &str, arguments: &[Vec<u8>]) -> Result<(Name, AddressSpace), Error> {
    let file = initrd::file(path).ok_or(Error::NotFound)?;
    let elf = ElfBytes::<LittleEndian>::minimal_parse(file).map_err(|_| Error::NotExecutable)?;
    if elf.ehdr.e_machine != elf_abi::EM_RISCV || elf.ehdr.e_type != elf_abi::ET_EXEC {
        return Err(Error::NotExecutable);
    }
    let mut space = AddressSpace::new().map_err(|OutOfPages| Error::NoMemory)?;
    let mut memory = space.lock();
    let mut end = 0;
    let segments = elf.segments().ok_or(Error::NotExecutable)?;
    for segment in segments.iter().filter(|segment| segment.p_type == elf_abi::PT_LOAD && segment.p_memsz > 0) {
        let start = segment.p_vaddr as usize;
        let segment_end = start.checked_add(segment.p_memsz as usize).ok_or(Error::NotExecutable)?;
        let content = file.get(segment.p_offset as usize..).and_then(|rest| rest.get(..segment.p_filesz as usize));
        let content = content.ok_or(Error::NotExecutable)?;
        let flags = flags(segment.p_flags).ok_or(Error::NotExecutable)?;
        // Nothing is ever mapped at address zero, and a segment has its pages to itself.
        if start < PAGE || !start.is_multiple_of(PAGE) || segment_end > LIMIT || segment.p_filesz > segment.p_memsz {
            return Err(Error::NotExecutable);
        }
        memory.map_zeroed(start, segment_end, flags)?;
        memory.fill(start, content);
        end = end.max(segment_end);
    }
    let top = memory.add_stack(end)?;
    let (stack, array) = push_arguments(&mut memory, top, arguments);
    drop(memory);
    let frame = space.frame();
    frame.pc = elf.ehdr.e_entry as usize;
    frame.registers[register::SP] = stack;
    frame.registers[register::A0] = arguments.len();
    frame.registers[register::A0 + 1] = array;
    Ok((Name::new(path.strip_prefix("bin/").unwrap_or(path)), space))
}

/// What a segment's flags allow; nothing may be both writable and executable.
fn flags(segment: u32) -> Option<Flags> {
    let pairs =
        [(elf_abi::PF_R, Flags::READ), (elf_abi::PF_W, Flags::READ | Flags::WRITE), (elf_abi::PF_X, Flags::EXECUTE)];
    let flags =
        pairs.into_iter().filter(|(bit, _)| segment & bit != 0).fold(Flags::empty(), |all, (_, flag)| all | flag);
    (!flags.is_empty() && !flags.contains(Flags::WRITE | Flags::EXECUTE)).then_some(flags)
}

/// Puts the arguments below `top`: their bytes, and below them a pair of address and length each. Answers where the
/// stack begins, and where the pairs do.
fn push_arguments(memory: &mut Locked<'_>, top: usize, arguments: &[Vec<u8>]) -> (usize, usize) {
    const PAIR: usize = 2 * size_of::<usize>();
    let bytes: usize = arguments.iter().map(|argument| argument.len()).sum();
    let mut at = top - bytes;
    let array = (at - arguments.len() * PAIR) & !0xf; // as the calling convention aligns the stack
    for (index, argument) in arguments.iter().enumerate() {
        memory.fill(at, argument);
        for (word, value) in [at, argument.len()].into_iter().enumerate() {
            memory.fill(array + index * PAIR + word * size_of::<usize>(), &value.to_le_bytes());
        }
        at += argument.len();
    }
    (array, array)
}
