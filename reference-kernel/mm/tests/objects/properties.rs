//! Long runs of drawn requests against a plain account of what is allocated.

use std::collections::BTreeMap;

use abi::draw::Draw;

use crate::{Bench, harts::alone, spec};
use mm::slab::{ObjectAllocator, Spec};

#[test]
fn objects_are_aligned_and_apart_whatever_the_size_and_pages_come_back() {
    let (rounds, operations) = if cfg!(miri) { (6, 120) } else { (150, 3000) };
    alone(|| {
        let bench = Bench::<1>::new();
        bench.shrink_all();
        let before = bench.pages();
        for round in 0..rounds {
            let mut draw = Draw::new(round);
            let size = 1 + draw.below(if round % 3 == 0 { 4096 } else { 300 }) as usize;
            let align = 1 << draw.below(8);
            let debug = draw.below(4) == 0;
            let cache = bench.0.create(&Spec { debug, ..spec(size, align) }).unwrap();
            let mut held = Vec::new();
            let mut live = BTreeMap::new();
            for operation in 0..operations {
                if draw.below(8) < if operation / 300 % 2 == 0 { 5 } else { 3 } || held.is_empty() {
                    let object = bench.allocate(cache);
                    let start = object.addr().get();
                    assert!(start.is_multiple_of(align), "{size} bytes, aligned to {align}, at {start:#x}");
                    let below: Option<(&usize, &usize)> = live.range(..start + size).next_back();
                    assert!(below.is_none_or(|(at, size)| at + size <= start), "objects of {size} bytes overlap");
                    live.insert(start, size);
                    // SAFETY: the object is ours.
                    unsafe { object.write_bytes(start as u8, size) };
                    held.push(object);
                } else {
                    let index = draw.below(held.len() as u64) as usize;
                    let object = held.swap_remove(index);
                    live.remove(&object.addr().get());
                    bench.free(cache, object);
                }
                assert_eq!(bench.info(cache).active_objects, held.len() as u64);
            }
            held.into_iter().for_each(|object| bench.free(cache, object));
            assert_eq!(bench.destroy(cache), Ok(()));
            bench.shrink_all();
            assert_eq!(bench.pages(), before);
        }
    });
}
