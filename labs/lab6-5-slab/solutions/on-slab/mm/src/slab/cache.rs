//! One object cache: arrays of objects at hand of each hart, and the slabs behind them.

use core::{
    ptr::{self, NonNull},
    sync::atomic::{AtomicPtr, Ordering::Relaxed},
};

use super::{
    Harts, Info, NAME, PageSource, SlabError, Spec, Tuning,
    array::ObjectArray,
    caches::Caches,
    debug,
    geometry::Geometry,
    slabs::{List, Slab},
};
use crate::sync::{Here, MAX_HARTS, SpinLock, on_this_hart};

/// An object cache.
#[derive(Debug)]
#[repr(C)]
pub struct Cache<M: Harts> {
    /// What each hart has at hand. Only that hart touches its array, with interrupts off.
    arrays: [AtomicPtr<ObjectArray>; MAX_HARTS],
    /// How slabs are laid out.
    pub geometry: Geometry,
    /// Bytes of an object, as they were asked for.
    pub size: usize,
    /// Makes objects.
    pub constructor: Option<unsafe fn(NonNull<u8>)>,
    /// Whether every operation is checked; then there are no arrays.
    pub debug: bool,
    /// The next of all caches.
    pub next: AtomicPtr<Self>,
    name: [u8; NAME],
    /// What all harts share.
    pub depot: SpinLock<Depot, M>,
}

/// What lies behind the harts' arrays.
#[derive(Debug)]
pub struct Depot {
    partial: List,
    full: List,
    free: List,
    /// Free objects in all slabs.
    free_objects: usize,
    /// Objects that any hart may take, before slabs are looked at.
    shared: *mut ObjectArray,
    next_colour: usize,
    /// Objects of a slab.
    per_slab: usize,
    /// How large arrays are.
    tuning: Tuning,
    /// Damage found in debug mode.
    pub damaged: u64,
}

// SAFETY: array and slabs are the depot's, on whichever hart its lock is held.
unsafe impl Send for Depot {}

impl<M: Harts> Cache<M> {
    /// A cache without arrays, which works straight from its slabs.
    pub fn new(spec: &Spec<'_>, geometry: Geometry) -> Self {
        let mut name = [0; NAME];
        let length = spec.name.floor_char_boundary(NAME);
        name[..length].copy_from_slice(&spec.name.as_bytes()[..length]);
        let depot = Depot {
            partial: List::new(),
            full: List::new(),
            free: List::new(),
            free_objects: 0,
            shared: ObjectArray::none(),
            next_colour: 0,
            per_slab: geometry.objects,
            tuning: Tuning { limit: 0, batch: 1, shared: 0 },
            damaged: 0,
        };
        Self {
            arrays: [const { AtomicPtr::new(ObjectArray::none()) }; MAX_HARTS],
            geometry,
            size: spec.size,
            constructor: spec.constructor,
            debug: spec.debug,
            next: AtomicPtr::new(ptr::null_mut()),
            name,
            depot: SpinLock::new("an object cache", depot),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        let length = self.name.iter().position(|&byte| byte == 0).unwrap_or(NAME);
        str::from_utf8(&self.name[..length]).unwrap_or("?")
    }

    /// Gives the cache its arrays, which come from the general caches: perhaps from this very one.
    ///
    /// # Errors
    /// [`SlabError::NoMemory`]; then it has none, and still works.
    pub fn enable_arrays<P: PageSource>(&self, home: &Caches<M, P>) -> Result<(), SlabError> {
        if self.debug {
            return Ok(());
        }
        let tuning = Tuning::of(self.size, M::harts());
        let make = |places: usize| {
            let memory = home.general(ObjectArray::bytes(places)).ok_or(SlabError::NoMemory)?;
            // SAFETY: it is large enough, and ours.
            Ok(unsafe { ObjectArray::make(memory, places) })
        };
        let mut arrays = [ObjectArray::none(); MAX_HARTS];
        let made = (|| {
            for array in &mut arrays[..M::harts()] {
                *array = make(tuning.limit)?;
            }
            if tuning.shared > 0 { make(tuning.shared) } else { Ok(ObjectArray::none()) }
        })();
        let shared = made.inspect_err(|_| arrays.into_iter().for_each(|array| release_array(home, array)))?;
        self.depot.with(|depot| (depot.shared, depot.tuning) = (shared, tuning));
        for (place, array) in self.arrays.iter().zip(arrays) {
            place.store(array, Relaxed);
        }
        Ok(())
    }

    /// Gives the arrays up; they must be empty, and the cache is used by nobody.
    pub fn release_arrays<P: PageSource>(&self, home: &Caches<M, P>) {
        let shared = self.depot.with(|depot| core::mem::replace(&mut depot.shared, ObjectArray::none()));
        release_array(home, shared);
        for array in &self.arrays {
            release_array(home, array.swap(ObjectArray::none(), Relaxed));
        }
    }

    #[inline(always)]
    fn array(&self, here: &Here<'_, M>) -> *mut ObjectArray {
        // SAFETY: the number of a hart is below `MAX_HARTS`. Saying so spares every operation a check.
        unsafe { core::hint::assert_unchecked(here.hart() < MAX_HARTS) };
        self.arrays[here.hart()].load(Relaxed)
    }

    /// An object; none when memory is short.
    #[inline]
    pub fn allocate<P: PageSource>(&self, home: &Caches<M, P>) -> Option<NonNull<u8>> {
        // SAFETY: this hart's array is this hart's, with interrupts off.
        let object = on_this_hart::<M, _>(|here| unsafe { ObjectArray::pop(self.array(here)) });
        // Nothing is left to do after the call, so that the way without it needs no stack.
        if object.is_some() { object } else { self.allocate_slowly(home) }
    }

    /// Takes an object back.
    ///
    /// # Errors
    /// In debug mode, what is wrong with it.
    ///
    /// # Safety
    /// Unless the cache is in debug mode, the object is one of it that was allocated.
    #[inline]
    pub unsafe fn free<P: PageSource>(&self, home: &Caches<M, P>, object: NonNull<u8>) -> Result<(), SlabError> {
        // SAFETY: as in `allocate`.
        if on_this_hart::<M, _>(|here| unsafe { ObjectArray::push(self.array(here), object) }) {
            return Ok(());
        }
        // SAFETY: see above.
        unsafe { self.free_slowly(home, object) }
    }

    /// As [`allocate`](Self::allocate), when there was nothing at hand.
    #[cold]
    #[inline(never)]
    fn allocate_slowly<P: PageSource>(&self, home: &Caches<M, P>) -> Option<NonNull<u8>> {
        // Perhaps this is another hart by now, or another process was here meanwhile.
        // SAFETY: as there.
        on_this_hart::<M, _>(|here| unsafe { ObjectArray::pop(self.array(here)) }.or_else(|| self.refill(home, here)))
    }

    /// As [`free`](Self::free), when there was no place for the object.
    ///
    /// # Safety
    /// As there.
    #[cold]
    #[inline(never)]
    unsafe fn free_slowly<P: PageSource>(&self, home: &Caches<M, P>, object: NonNull<u8>) -> Result<(), SlabError> {
        on_this_hart::<M, _>(|here| {
            // SAFETY: as there.
            unsafe {
                // Likewise.
                if ObjectArray::push(self.array(here), object) { Ok(()) } else { self.flush(home, here, object) }
            }
        })
    }

    /// Gets a batch of objects for this hart, which has none at hand, and one of them for the caller.
    fn refill<P: PageSource>(&self, home: &Caches<M, P>, here: &Here<'_, M>) -> Option<NonNull<u8>> {
        let array = self.array(here);
        // SAFETY: the array is this hart's, and empty.
        let first = self.depot.with_here(here, |depot| unsafe { depot.hand_out(&self.geometry, array) });
        let object = match first {
            Some(object) => object,
            None => {
                // Pages and constructors take their time, so the lock is not held; others may grow the cache, too.
                let slab = self.grow(home, here)?;
                // SAFETY: as above, and the slab is on no list yet.
                self.depot.with_here(here, |depot| unsafe {
                    depot.free.push_front(slab);
                    depot.free_objects += self.geometry.objects;
                    depot.hand_out(&self.geometry, array)
                })?
            }
        };
        if self.debug {
            // SAFETY: it was taken out of its slab a moment ago.
            return Some(unsafe { debug::hand_out(self, object) });
        }
        Some(object)
    }

    /// Makes room in a full array: its oldest objects go, a batch of them, and `object` comes.
    ///
    /// # Safety
    /// As for [`free`](Self::free).
    unsafe fn flush<P: PageSource>(
        &self,
        home: &Caches<M, P>,
        here: &Here<'_, M>,
        object: NonNull<u8>,
    ) -> Result<(), SlabError> {
        let array = self.array(here);
        let (result, surplus) = self.depot.with_here(here, |depot| {
            let mut result = Ok(());
            // SAFETY: the array is this hart's. What lies in it is free, and so is the object, unless the cache is in
            // debug mode.
            unsafe {
                if self.debug {
                    result = debug::take_back(self, home, depot, object);
                } else if array == ObjectArray::none() {
                    depot.put(home, &self.geometry, object);
                } else {
                    ObjectArray::take_oldest(array, depot.tuning.batch, |object| {
                        if !ObjectArray::push(depot.shared, object) {
                            depot.put(home, &self.geometry, object);
                        }
                    });
                    ObjectArray::push(array, object);
                }
            }
            (result, depot.surplus(depot.free_limit::<M>()))
        });
        self.give_back(home, surplus);
        result
    }

    /// A new slab, whose objects are made.
    fn grow<P: PageSource>(&self, home: &Caches<M, P>, here: &Here<'_, M>) -> Option<*mut Slab> {
        let geometry = &self.geometry;
        let colour = self.depot.with_here(here, |depot| {
            let colour = depot.next_colour;
            depot.next_colour = (colour + 1) % geometry.colours;
            colour
        });
        let pages = home.pages.allocate(geometry.pages)?;
        // SAFETY: the management lies at the slab's end.
        let management = unsafe { pages.add(geometry.management_at()) };
        // SAFETY: both are ours, and as large as the geometry says.
        let slab = unsafe { Slab::make(management, pages, geometry, colour, ptr::from_ref(self).cast()) };
        home.mark(pages, geometry.pages, slab.cast());
        // SAFETY: nobody else knows the slab yet.
        for share in unsafe { (*slab).shares(geometry) } {
            // SAFETY: the share is free and ours.
            unsafe { debug::make(self, share) };
        }
        Some(slab)
    }

    /// Gives slabs back that are on no list any more, and hold no object; answers how many pages that were.
    pub fn give_back<P: PageSource>(&self, home: &Caches<M, P>, mut slabs: List) -> usize {
        let pages = slabs.count * self.geometry.pages;
        while let Some(slab) = slabs.pop_front() {
            // SAFETY: nobody else knows the slab any more.
            let start = unsafe { (*slab).pages };
            home.mark(start, self.geometry.pages, ptr::null_mut());
            if self.geometry.off_slab {
                home.release_general(NonNull::new(slab.cast()));
            }
            // SAFETY: the slab's pages came from there, and no object of it is in use.
            unsafe { home.pages.free(start, self.geometry.pages) };
        }
        pages
    }

    /// Gives back every page that holds no allocated object; answers how many.
    pub fn shrink<P: PageSource>(&self, home: &Caches<M, P>) -> usize {
        M::on_each_hart(&|| {
            on_this_hart::<M, _>(|here| {
                let array = self.array(here);
                // SAFETY: this hart's array is this hart's, with interrupts off.
                self.depot.with_here(here, |depot| unsafe { depot.empty(home, &self.geometry, array) });
            });
        });
        let surplus = self.depot.with(|depot| {
            let shared = depot.shared;
            // SAFETY: the shared array is the depot's.
            unsafe { depot.empty(home, &self.geometry, shared) };
            depot.surplus(0)
        });
        self.give_back(home, surplus)
    }

    /// Whether some object is allocated, given that no hart has one at hand.
    pub fn is_busy(&self) -> bool {
        self.depot.with(|depot| depot.partial.count + depot.full.count > 0)
    }

    /// Statistics; exact if nobody uses the cache meanwhile.
    pub fn info(&self) -> Info {
        self.depot.with(|depot| {
            let active_slabs = depot.partial.count + depot.full.count;
            let slabs = active_slabs + depot.free.count;
            let objects = slabs * self.geometry.objects;
            // SAFETY: arrays live as long as the cache, and their heads can be looked at by all.
            let at_hand = |array: *mut ObjectArray| unsafe { (*array).count() };
            let harts: usize = self.arrays.iter().map(|array| at_hand(array.load(Relaxed))).sum();
            let idle = depot.free_objects + harts + at_hand(depot.shared);
            Info {
                active_objects: objects.saturating_sub(idle) as u64,
                objects: objects as u64,
                object_size: self.size as u64,
                objects_per_slab: self.geometry.objects as u64,
                pages_per_slab: self.geometry.pages as u64,
                limit: depot.tuning.limit as u64,
                batch: depot.tuning.batch as u64,
                active_slabs: active_slabs as u64,
                slabs: slabs as u64,
                damaged: depot.damaged,
            }
        })
    }
}

fn release_array<M: Harts, P: PageSource>(home: &Caches<M, P>, array: *mut ObjectArray) {
    if array != ObjectArray::none() {
        home.release_general(NonNull::new(array.cast()));
    }
}

impl Depot {
    /// Takes a batch of objects out, from the shared array and then from slabs, or as many as there are: the first is
    /// the answer, and the others go into `array`.
    ///
    /// # Safety
    /// The array is this hart's, and there is room in it.
    unsafe fn hand_out(&mut self, geometry: &Geometry, array: *mut ObjectArray) -> Option<NonNull<u8>> {
        let first = self.take(geometry)?;
        for _ in 1..self.tuning.batch {
            let Some(object) = self.take(geometry) else { break };
            // SAFETY: see above.
            unsafe { ObjectArray::push(array, object) };
        }
        Some(first)
    }

    fn take(&mut self, geometry: &Geometry) -> Option<NonNull<u8>> {
        // SAFETY: the shared array is the depot's.
        if let Some(object) = unsafe { ObjectArray::pop(self.shared) } {
            return Some(object);
        }
        // Slabs in use are filled up before a free one is begun, so that free ones can be given back.
        let slab = match self.partial.first() {
            Some(slab) => slab,
            None => {
                let slab = self.free.pop_front()?;
                // SAFETY: it is on no list now.
                unsafe { self.partial.push_front(slab) };
                slab
            }
        };
        self.free_objects -= 1;
        // SAFETY: slabs on lists are ours, and one that is not full has a free object.
        unsafe {
            let object = Slab::take(slab, geometry);
            if (*slab).taken == geometry.objects {
                self.partial.remove(slab);
                self.full.push_front(slab);
            }
            Some(object)
        }
    }

    /// Puts an object back into its slab.
    ///
    /// # Safety
    /// It is one of this cache's, taken out of its slab, and used by nobody.
    unsafe fn put<M: Harts, P: PageSource>(&mut self, home: &Caches<M, P>, geometry: &Geometry, object: NonNull<u8>) {
        let share = object.addr().get();
        let slab = home.slab_of(share);
        // SAFETY: the object is one of ours, so its slab is, too.
        unsafe {
            let index = (*slab).index_of(geometry, share).expect("an object that is freed begins where one does");
            self.put_at(geometry, slab, index);
        }
    }

    /// Puts an object back into its slab, by its place there.
    ///
    /// # Safety
    /// As for [`put`](Self::put).
    pub unsafe fn put_at(&mut self, geometry: &Geometry, slab: *mut Slab, index: usize) {
        self.free_objects += 1;
        // SAFETY: see above.
        unsafe {
            let was_full = (*slab).taken == geometry.objects;
            Slab::put(slab, index);
            let empty = (*slab).taken == 0;
            if was_full || empty {
                if was_full {
                    self.full.remove(slab)
                } else {
                    self.partial.remove(slab)
                }
                // A slab that has only just got a free object is the last to be taken from: it may yet get more.
                if empty { self.free.push_back(slab) } else { self.partial.push_front(slab) }
            }
        }
    }

    /// Puts all objects of an array back into their slabs.
    ///
    /// # Safety
    /// The array is this hart's or the depot's.
    unsafe fn empty<M: Harts, P: PageSource>(
        &mut self,
        home: &Caches<M, P>,
        geometry: &Geometry,
        array: *mut ObjectArray,
    ) {
        // SAFETY: see above.
        while let Some(object) = unsafe { ObjectArray::pop(array) } {
            // SAFETY: what lies in arrays is free.
            unsafe { self.put(home, geometry, object) };
        }
    }

    /// Free objects that slabs keep for later (Linux 2.6.30, mm/slab.c, `free_limit`).
    fn free_limit<M: Harts>(&self) -> usize {
        (1 + M::harts()) * self.tuning.batch + self.per_slab
    }

    /// Takes out free slabs, as long as there are more free objects than `most`.
    fn surplus(&mut self, most: usize) -> List {
        let mut surplus = List::new();
        while self.free_objects > most
            && let Some(slab) = self.free.pop_front()
        {
            // SAFETY: it is on no list now.
            unsafe { surplus.push_front(slab) };
            self.free_objects -= self.per_slab;
        }
        surplus
    }
}
