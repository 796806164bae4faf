//! The debug mode: wrong frees are refused, and writes to memory that is not allocated are found out.
//!
//! To either side of an object lies a red zone, which nobody may write to; what is free is full of poison, unless the
//! cache has a constructor, whose work must last. Both are looked at when the object changes hands.

use core::ptr::NonNull;

use super::{
    Harts, PageSource, SlabError,
    cache::{Cache, Depot},
    caches::Caches,
    slabs::Slab,
};

/// Bytes of the red zone behind an object.
pub const RED_ZONE: usize = 8;

/// What red zones are full of.
const RED: u8 = 0xbb;

/// What free objects are full of (Linux 2.6.30, include/linux/poison.h, `POISON_FREE`).
const FREE: u8 = 0x6b;

/// What objects are full of when they are handed out (`POISON_INUSE`).
const IN_USE: u8 = 0x5a;

/// Makes the object of a share of a new slab.
///
/// # Safety
/// The share is one of the cache's, free, and nobody else's.
pub unsafe fn make<M: Harts>(cache: &Cache<M>, share: NonNull<u8>) {
    let lead = cache.geometry.lead;
    if cache.debug {
        // SAFETY: see above.
        let (before, object, after) = unsafe { parts(cache, share) };
        before.fill(RED);
        after.fill(RED);
        if cache.constructor.is_none() {
            object.fill(FREE);
        }
    }
    if let Some(construct) = cache.constructor {
        // SAFETY: the object is the constructor's to write.
        unsafe { construct(share.add(lead)) };
    }
}

/// Checks an object of a cache in debug mode that was taken out of its slab; answers where it begins.
///
/// # Safety
/// The share is one of the cache's, and taken by the caller.
pub unsafe fn hand_out<M: Harts>(cache: &Cache<M>, share: NonNull<u8>) -> NonNull<u8> {
    // SAFETY: see above.
    let (before, object, after) = unsafe { parts(cache, share) };
    let mut intact = before.iter().chain(&*after).all(|&byte| byte == RED);
    if cache.constructor.is_none() {
        intact &= object.iter().all(|&byte| byte == FREE);
        object.fill(IN_USE);
    }
    if !intact {
        before.fill(RED);
        after.fill(RED);
        cache.depot.with(|depot| depot.damaged += 1);
    }
    // SAFETY: the object lies in its share.
    unsafe { share.add(cache.geometry.lead) }
}

/// Takes an object back into the depot of its cache, which is in debug mode, if it is one.
///
/// # Errors
/// What is wrong with it.
///
/// # Safety
/// `depot` is the cache's.
pub unsafe fn take_back<M: Harts, P: PageSource>(
    cache: &Cache<M>,
    home: &Caches<M, P>,
    depot: &mut Depot,
    object: NonNull<u8>,
) -> Result<(), SlabError> {
    let slab = home.slab_of(object.addr().get());
    // SAFETY: a page's word leads to its slab, which cannot go as long as the depot is locked.
    if slab.is_null() || unsafe { (*slab).cache } != core::ptr::from_ref(cache).cast() {
        return Err(SlabError::Foreign);
    }
    let geometry = &cache.geometry;
    let share = object.addr().get().wrapping_sub(geometry.lead);
    // SAFETY: as above.
    let index = unsafe { (*slab).index_of(geometry, share) }.ok_or(SlabError::NotAnObject)?;
    // SAFETY: as above.
    if !unsafe { Slab::is_taken(slab, index) } {
        return Err(SlabError::Twice);
    }
    // SAFETY: the object is taken, and its owner has given it up. The pointer comes from the slab's own pages.
    let intact = unsafe {
        let share = (*slab).share_at(geometry, index);
        let (before, inside, after) = parts(cache, share);
        let intact = before.iter().chain(&*after).all(|&byte| byte == RED);
        before.fill(RED);
        after.fill(RED);
        if cache.constructor.is_none() {
            inside.fill(FREE);
        }
        depot.put_at(geometry, slab, index);
        intact
    };
    if intact {
        return Ok(());
    }
    depot.damaged += 1;
    Err(SlabError::Overrun)
}

/// The red zone before an object, the object, and everything behind it that is its share.
///
/// # Safety
/// The share is one of the cache's, and the caller's alone.
unsafe fn parts<'a, M: Harts>(cache: &Cache<M>, share: NonNull<u8>) -> (&'a mut [u8], &'a mut [u8], &'a mut [u8]) {
    // SAFETY: see above.
    let bytes = unsafe { Slab::bytes(share, &cache.geometry) };
    let (before, rest) = bytes.split_at_mut(cache.geometry.lead);
    let (object, after) = rest.split_at_mut(cache.size);
    (before, object, after)
}
