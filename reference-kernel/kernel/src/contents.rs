//! What the kernel writes into objects of test programs, to see later that nobody else wrote there.

use core::ptr::NonNull;

/// Who stands for a constructor.
pub const CONSTRUCTED: u8 = 254;

/// Bytes at either end and in the middle that are written: where an allocator would put links, and what is beside them.
const PIECE: usize = 16;

fn places(bytes: usize) -> impl Iterator<Item = usize> {
    let piece = PIECE.min(bytes);
    [0, bytes / 2 - piece.min(bytes / 2) / 2, bytes - piece]
        .into_iter()
        .flat_map(move |start| start..(start + piece).min(bytes))
}

/// A byte that differs from place to place and from owner to owner.
fn byte(address: usize, owner: u8) -> u8 {
    ((address as u32 ^ u32::from(owner) << 20).wrapping_mul(0x9e37_79b1) >> 24) as u8
}

/// Writes an owner's bytes into an object.
///
/// # Safety
/// So many bytes lie in memory that is mapped, and are that owner's.
pub unsafe fn write(object: NonNull<u8>, bytes: usize, owner: u8) {
    for place in places(bytes) {
        // SAFETY: see above.
        unsafe { object.add(place).write_volatile(byte(object.addr().get() + place, owner)) };
    }
}

/// Whether the object still holds the owner's bytes.
///
/// # Safety
/// As for [`write`].
pub unsafe fn is(object: NonNull<u8>, bytes: usize, owner: u8) -> bool {
    // SAFETY: see above.
    places(bytes).all(|place| unsafe { object.add(place).read_volatile() } == byte(object.addr().get() + place, owner))
}
