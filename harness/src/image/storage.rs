//! Text put into an array of a kernel's, as its kind asks for: how a script reaches a kernel that reads no initrd.

use object::read::elf::{ElfFile64, FileHeader as _, ProgramHeader as _};
use object::{Endianness, Object as _, ObjectSymbol as _};

/// Why the text cannot be put there. The array is in a trusted file, so that is never a submission's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// The file is no ELF file.
    #[error("read the kernel as an ELF file: {0}")]
    Unreadable(String),
    /// Nothing has the name.
    #[error("find the symbol `{0}` in the kernel, which its kind names for scripts")]
    NoSymbol(String),
    /// It has no bytes in the file.
    #[error("write to `{0}`: it has no bytes in the kernel's file; give the array a first element that is not zero")]
    NoBytes(String),
    /// The text is too long.
    #[error("write {length} bytes to `{symbol}`, which has room for {room}")]
    TooLong {
        /// The array.
        symbol: String,
        /// The text's length, with the byte that ends it.
        length: usize,
        /// The array's.
        room: usize,
    },
}

/// The ELF file with the text and a zero byte at the start of the symbol's storage, and zeros in the rest of it.
///
/// # Errors
/// When there is no such symbol, or no room.
pub fn fill(mut file: Vec<u8>, symbol: &str, text: &str) -> Result<Vec<u8>, StorageError> {
    let unreadable = |error: object::Error| StorageError::Unreadable(error.to_string());
    let (start, size) = {
        let elf = ElfFile64::<Endianness>::parse(&file[..]).map_err(unreadable)?;
        let found = elf.symbols().find(|found| found.name() == Ok(symbol));
        let found = found.ok_or_else(|| StorageError::NoSymbol(symbol.to_owned()))?;
        let (address, size) = (found.address(), found.size());
        let endian = elf.endian();
        let headers = elf.elf_header().program_headers(endian, &file[..]).map_err(unreadable)?;
        let in_file = headers.iter().find_map(|header| {
            let offset = address.checked_sub(header.p_vaddr(endian))?;
            let within = header.p_type(endian) == object::elf::PT_LOAD && offset + size <= header.p_filesz(endian);
            within.then(|| header.p_offset(endian) + offset)
        });
        let start = in_file.ok_or_else(|| StorageError::NoBytes(symbol.to_owned()))?;
        (start as usize, size as usize)
    };
    let length = text.len() + 1;
    if length > size {
        return Err(StorageError::TooLong { symbol: symbol.to_owned(), length, room: size });
    }
    let storage = file.get_mut(start..start + size).ok_or_else(|| StorageError::NoBytes(symbol.to_owned()))?;
    storage.fill(0);
    storage[..text.len()].copy_from_slice(text.as_bytes());
    Ok(file)
}
