//! One hart.

use std::collections::{BTreeMap, BTreeSet};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use mm::page::PAGE_SIZE;
use mm::slab::{CACHE_LINE, GENERAL_SIZES, Lab, ObjectAllocator, SlabError, Spec};

use crate::{
    Bench,
    ground::Ground,
    harts::{Threads, alone},
    spec,
};

#[test]
fn the_object_freed_last_is_handed_out_first() {
    alone(|| {
        let bench = Bench::<1>::new();
        let cache = bench.create(64, 8);
        let objects: Vec<_> = (0..10).map(|_| bench.allocate(cache)).collect();
        objects.iter().for_each(|&object| bench.free(cache, object));
        let again: Vec<_> = (0..10).map(|_| bench.allocate(cache)).collect();
        assert!(again.iter().eq(objects.iter().rev()));
    });
}

static CONSTRUCTED: AtomicUsize = AtomicUsize::new(0);

unsafe fn construct(object: NonNull<u8>) {
    CONSTRUCTED.fetch_add(1, Relaxed);
    // SAFETY: objects of this test have eight bytes or more.
    unsafe { object.cast::<u64>().write_unaligned(0x600d_0b1e_c700) };
}

#[test]
fn a_constructor_runs_once_for_each_object_of_a_slab_and_its_work_lasts() {
    alone(|| {
        let bench = Bench::<1>::new();
        for debug in [false, true] {
            CONSTRUCTED.store(0, Relaxed);
            let cache = bench.0.create(&Spec { constructor: Some(construct), debug, ..spec(40, 8) }).unwrap();
            for _ in 0..if cfg!(miri) { 2 } else { 5 } {
                let objects: Vec<_> = (0..if cfg!(miri) { 150 } else { 300 }).map(|_| bench.allocate(cache)).collect();
                for object in objects {
                    // SAFETY: the object is ours.
                    assert_eq!(unsafe { object.cast::<u64>().read() }, 0x600d_0b1e_c700);
                    bench.free(cache, object);
                }
            }
            assert_eq!(CONSTRUCTED.load(Relaxed) as u64 % bench.info(cache).objects_per_slab, 0);
            // Slabs that went back in between were made anew, but most were not.
            assert!(CONSTRUCTED.load(Relaxed) < 5 * 300);
        }
    });
}

#[test]
fn every_page_comes_back_when_a_cache_is_destroyed_and_none_while_objects_live() {
    alone(|| {
        let bench = Bench::<1>::new();
        bench.shrink_all();
        let before = bench.pages();
        for (size, debug) in [(8, false), (64, false), (200, true), (512, false), (1000, false), (4096, true)] {
            let cache = bench.0.create(&Spec { debug, ..spec(size, 8) }).unwrap();
            let objects: Vec<_> = (0..if cfg!(miri) { 70 } else { 200 }).map(|_| bench.allocate(cache)).collect();
            assert_eq!(bench.info(cache).active_objects, objects.len() as u64);
            assert_eq!(bench.destroy(cache), Err(SlabError::Busy));
            objects[1..].iter().for_each(|&object| bench.free(cache, object));
            assert_eq!(bench.destroy(cache), Err(SlabError::Busy));
            assert_eq!(bench.info(cache).slabs, 1, "one object keeps one slab");
            bench.free(cache, objects[0]);
            assert_eq!(bench.destroy(cache), Ok(()));
            bench.shrink_all();
            assert_eq!(bench.pages(), before, "objects of {size} bytes");
        }
    });
}

#[test]
fn shrinking_gives_back_free_slabs_and_leaves_objects_alone() {
    alone(|| {
        let bench = Bench::<1>::new();
        let cache = bench.create(128, 8);
        let per_slab = bench.info(cache).objects_per_slab as usize;
        let objects: Vec<_> = (0..if cfg!(miri) { 3 } else { 10 } * per_slab).map(|_| bench.allocate(cache)).collect();
        let slab = |object: NonNull<u8>| object.addr().get() / PAGE_SIZE;
        let (keep, give): (Vec<_>, Vec<_>) = objects.iter().partition(|&&object| slab(object) == slab(objects[0]));
        give.iter().for_each(|&object| bench.free(cache, object));
        let before = bench.pages();
        let given = bench.shrink(cache);
        assert_eq!(before - bench.pages(), given);
        let info = bench.info(cache);
        assert_eq!((info.slabs, info.active_objects), (1, keep.len() as u64));
        assert_eq!(bench.shrink(cache), 0);
    });
}

#[test]
fn free_slabs_beyond_the_limit_go_back_by_themselves() {
    alone(|| {
        let bench = Bench::<1>::new();
        let cache = bench.create(256, 8);
        let count = if cfg!(miri) { 250 } else { 2000 };
        let objects: Vec<_> = (0..count).map(|_| bench.allocate(cache)).collect();
        let most = bench.info(cache).slabs;
        objects.into_iter().for_each(|object| bench.free(cache, object));
        let info = bench.info(cache);
        let kept = info.slabs * info.objects_per_slab;
        assert!(kept <= info.limit + 2 * info.batch + 2 * info.objects_per_slab, "{info:?}, {most} slabs before");
        assert!(info.slabs > 0, "some are kept for later");
    });
}

#[test]
fn partial_slabs_are_filled_before_free_ones_are_begun() {
    alone(|| {
        let bench = Bench::<1>::new();
        let cache = bench.create(1024, 8);
        let mut objects: Vec<_> = (0..60).map(|_| bench.allocate(cache)).collect();
        let slab = |object: NonNull<u8>| object.addr().get() / PAGE_SIZE;
        // Every second slab loses all of its objects, the others one.
        let slabs: BTreeSet<_> = objects.iter().map(|&object| slab(object)).collect();
        let doomed: BTreeSet<_> = slabs.iter().copied().step_by(2).collect();
        let mut punctured = BTreeSet::new();
        objects.retain(|&object| {
            let goes = doomed.contains(&slab(object)) || punctured.insert(slab(object));
            if goes {
                bench.free(cache, object);
            }
            !goes
        });
        // Empties this hart's array, and the free slabs.
        bench.shrink(cache);
        let before = bench.info(cache);
        let holes = before.objects - before.active_objects;
        let again: Vec<_> = (0..holes).map(|_| bench.allocate(cache)).collect();
        assert_eq!(bench.info(cache).slabs, before.slabs, "{before:?}");
        again.into_iter().chain(objects).for_each(|object| bench.free(cache, object));
    });
}

#[test]
fn successive_slabs_begin_at_successive_cache_lines() {
    alone(|| {
        let bench = Bench::<1>::new();
        let cache = bench.create(320, 8);
        let mut lowest = BTreeMap::new();
        let mut order = Vec::new();
        for _ in 0..if cfg!(miri) { 80 } else { 200 } {
            let address = bench.allocate(cache).addr().get();
            let page = address / PAGE_SIZE;
            if !lowest.contains_key(&page) {
                order.push(page);
            }
            lowest.entry(page).and_modify(|low: &mut usize| *low = address.min(*low)).or_insert(address);
        }
        let info = bench.info(cache);
        assert_eq!(info.pages_per_slab, 1);
        let offsets: Vec<_> = order.iter().map(|page| lowest[page] % PAGE_SIZE).collect();
        // How many lines are left over depends on where management lies; whatever it is, they are used in turn.
        let lines: Vec<_> =
            offsets[..offsets.len() - 1].iter().map(|offset| (offset - offsets[0]) / CACHE_LINE).collect();
        let colours = lines.iter().max().unwrap() + 1;
        assert!(colours > 1, "{offsets:?}");
        assert!(lines.iter().enumerate().all(|(slab, &line)| line == slab % colours), "{offsets:?}");
    });
}

#[test]
fn debug_mode_refuses_wrong_frees_and_finds_damage() {
    alone(|| {
        let bench = Bench::<1>::new();
        let cache = bench.0.create(&Spec { debug: true, ..spec(48, 16) }).unwrap();
        let other = bench.0.create(&Spec { debug: true, ..spec(48, 16) }).unwrap();
        let (a, b) = (bench.allocate(cache), bench.allocate(cache));
        assert!(a.addr().get().is_multiple_of(16));
        bench.free(cache, a);
        assert_eq!(bench.try_free(cache, a), Err(SlabError::Twice));
        // SAFETY: the addresses are only looked at.
        unsafe {
            assert_eq!(bench.try_free(cache, b.add(8)), Err(SlabError::NotAnObject));
            assert_eq!(bench.try_free(cache, b.sub(16)), Err(SlabError::NotAnObject));
        }
        assert_eq!(bench.try_free(other, b), Err(SlabError::Foreign));
        assert_eq!(bench.try_free(cache, NonNull::dangling()), Err(SlabError::Foreign));
        assert_eq!(bench.info(cache).active_objects, 1);
        for place in [-1, 48] {
            let object = bench.allocate(cache);
            // SAFETY: one byte too far is still in the object's share.
            unsafe { object.offset(place).write(1) };
            assert_eq!(bench.try_free(cache, object), Err(SlabError::Overrun));
        }
        assert_eq!(bench.info(cache).damaged, 2);
        let object = bench.allocate(cache);
        bench.free(cache, object);
        // SAFETY: nobody has the object, and that is the point.
        unsafe { object.add(20).write(1) };
        let again = bench.allocate(cache);
        assert_eq!((again, bench.info(cache).damaged), (object, 3));
        bench.free(cache, again);
        bench.free(cache, b);
        assert_eq!((bench.destroy(cache), bench.destroy(other)), (Ok(()), Ok(())));
    });
}

#[test]
fn memory_by_size_is_aligned_and_disjoint_and_comes_back() {
    alone(|| {
        let bench = Bench::<1>::new();
        bench.shrink_all();
        let before = bench.pages();
        let mut pieces = Vec::new();
        for bytes in (1..if cfg!(miri) { 40 } else { 200 })
            .chain([255, 256, 257, 511, 512, 513, 1024, 2048, 4096, 4097, 9000, 40_000])
        {
            let start = bench.0.kmalloc(bytes).unwrap();
            let align = match bytes {
                _ if bytes >= PAGE_SIZE => PAGE_SIZE,
                _ if bytes.is_power_of_two() => bytes.clamp(16, 64),
                _ => 16,
            };
            assert!(start.addr().get().is_multiple_of(align), "{bytes} bytes at {start:p}");
            // SAFETY: so much was asked for.
            unsafe { start.write_bytes(bytes as u8, bytes) };
            pieces.push((start, bytes));
        }
        for (start, bytes) in pieces {
            for place in [0, bytes / 2, bytes - 1] {
                // SAFETY: as above.
                assert_eq!(unsafe { start.add(place).read() }, bytes as u8);
            }
            // SAFETY: it came from there.
            assert_eq!(unsafe { bench.0.kfree(start) }, Ok(()));
        }
        assert_eq!(bench.0.kmalloc(0), None);
        // SAFETY: it lies in no page.
        assert_eq!(unsafe { bench.0.kfree(NonNull::dangling()) }, Err(SlabError::Foreign));
        bench.shrink_all();
        assert_eq!(bench.pages(), before);
    });
}

#[test]
fn caches_that_cannot_be_are_refused() {
    alone(|| {
        let bench = Bench::<1>::new();
        for (size, align) in [(0, 8), (4097, 8), (8, 3), (8, 0), (8, 8192)] {
            assert_eq!(bench.0.create(&spec(size, align)), Err(SlabError::Invalid), "{size} bytes, aligned to {align}");
        }
    });
}

#[test]
fn when_memory_is_short_requests_are_refused_and_nothing_is_lost() {
    alone(|| {
        // However few pages there are, down to those for the first caches.
        let needed = (1..).find(|&most| {
            let caches = Box::new(Lab::<Threads<1>, _>::new(Ground::new(most)));
            // SAFETY: as in `Bench`. What was made of it is lost, as the kernel would be.
            unsafe { caches.set_up() }.is_ok()
        });
        let needed = needed.unwrap();
        assert!(needed < 40, "the first caches take {needed} pages");
        for spare in if cfg!(miri) { 3..5 } else { 0..12 } {
            let bench = Bench::<1>::with_pages(needed + spare);
            bench.shrink_all();
            let before = bench.pages();
            let Ok(cache) = bench.0.create(&spec(512, 8)) else { continue };
            for _ in 0..3 {
                let objects: Vec<_> = std::iter::from_fn(|| bench.try_allocate(cache)).collect();
                objects.into_iter().for_each(|object| bench.free(cache, object));
            }
            assert_eq!(bench.destroy(cache), Ok(()));
            bench.shrink_all();
            assert_eq!(bench.pages(), before);
        }
    });
}

#[test]
fn statistics_of_all_caches_can_be_shown() {
    alone(|| {
        let bench = Bench::<1>::new();
        let cache = bench.create(77, 1);
        let mut sizes = BTreeSet::new();
        bench.0.each(&mut |cache| assert!(sizes.insert(bench.info(cache).object_size)));
        assert!(GENERAL_SIZES.iter().all(|&size| sizes.contains(&(size as u64))));
        assert!(sizes.contains(&77));
        assert_eq!(bench.destroy(cache), Ok(()));
    });
}
