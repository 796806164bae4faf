//! Several harts.

use std::ptr::NonNull;
use std::sync::Mutex;

use abi::draw::Draw;
use mm::slab::Handle;

use crate::{
    Bench,
    harts::{alone, become_hart, on_threads},
};

#[test]
fn objects_at_hand_of_other_harts_come_back_when_a_cache_shrinks() {
    alone(|| {
        let bench = Bench::<4>::new();
        let cache = bench.create(64, 8);
        for hart in 0..4 {
            become_hart(hart);
            let objects: Vec<_> = (0..50).map(|_| bench.allocate(cache)).collect();
            objects.into_iter().for_each(|object| bench.free(cache, object));
        }
        become_hart(0);
        assert!(bench.info(cache).slabs > 0);
        bench.shrink(cache);
        assert_eq!(bench.info(cache).slabs, 0);
        assert_eq!(bench.destroy(cache), Ok(()));
    });
}

#[test]
fn what_one_hart_frees_another_can_have() {
    alone(|| {
        let bench = Bench::<2>::new();
        let cache = bench.create(64, 8);
        let objects: Vec<_> = (0..1000).map(|_| bench.allocate(cache)).collect();
        let slabs = bench.info(cache).slabs;
        become_hart(1);
        objects.into_iter().for_each(|object| bench.free(cache, object));
        become_hart(0);
        let objects: Vec<_> = (0..800).map(|_| bench.allocate(cache)).collect();
        assert!(bench.info(cache).slabs <= slabs);
        objects.into_iter().for_each(|object| bench.free(cache, object));
        become_hart(0);
    });
}

#[test]
fn harts_that_allocate_free_and_shrink_at_once_never_share_an_object() {
    const HARTS: usize = 3;
    let rounds = if cfg!(miri) { 60 } else { 4000 };
    alone(|| {
        let bench = Bench::<HARTS>::new();
        bench.shrink_all();
        let before = bench.pages();
        let caches = [bench.create(24, 8), bench.create(600, 64)];
        let exchange: Mutex<Vec<Held>> = Mutex::new(Vec::new());
        on_threads(HARTS, |hart| {
            let mut draw = Draw::for_client(5, hart as u8);
            let mut held = Vec::new();
            for round in 0..rounds {
                let which = draw.below(2) as usize;
                match draw.below(16) {
                    0..7 => {
                        let object = bench.allocate(caches[which]);
                        let word = draw.next();
                        // SAFETY: the object is ours.
                        unsafe { object.cast::<u64>().write(word) };
                        held.push(Held { which, object, word });
                    }
                    7..14 => {
                        let Some(held) = held.pop() else { continue };
                        give(&bench, &caches, held);
                    }
                    14 => exchange.lock().unwrap().append(&mut held),
                    _ => {
                        let taken = exchange.lock().unwrap().pop();
                        held.extend(taken);
                        if round % 64 == 0 {
                            bench.shrink(caches[which]);
                        }
                    }
                }
            }
            held.into_iter().for_each(|held| give(&bench, &caches, held));
        });
        exchange.into_inner().unwrap().into_iter().for_each(|held| give(&bench, &caches, held));
        assert_eq!(caches.map(|cache| bench.info(cache).active_objects), [0, 0]);
        assert_eq!(caches.map(|cache| bench.destroy(cache)), [Ok(()), Ok(())]);
        bench.shrink_all();
        assert_eq!(bench.pages(), before);
    });
}

/// An object of one of two caches, with what was written to it.
struct Held {
    which: usize,
    object: NonNull<u8>,
    word: u64,
}

// SAFETY: whoever has it owns the object.
unsafe impl Send for Held {}

fn give<const HARTS: usize>(bench: &Bench<HARTS>, caches: &[Handle], held: Held) {
    // SAFETY: the object is ours.
    assert_eq!(unsafe { held.object.cast::<u64>().read() }, held.word, "somebody else wrote to an object");
    bench.free(caches[held.which], held.object);
}
