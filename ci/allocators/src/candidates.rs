//! The allocators that are compared, each behind three functions that can be measured.

use core::{
    alloc::Layout,
    cell::UnsafeCell,
    mem::MaybeUninit,
    ptr::{self, NonNull},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use user::{heap_test::meter::Function, umalloc};

/// What every block is aligned to.
const ALIGNMENT: usize = 16;

/// An allocator.
pub struct Candidate {
    /// Its name.
    pub name: &'static str,
    /// Gives it memory to hand out, once; none of it takes memory by itself but umalloc, which has no use for this.
    pub give: fn(*mut u8, usize),
    /// `allocate(bytes, 0) -> address or zero`
    pub allocate: Function,
    /// `free(address, bytes)`
    pub free: Function,
    /// `reallocate(address, bytes) -> address or zero`, with the block's bytes so far in [`BEFORE`].
    pub reallocate: Function,
    /// Whether it takes memory from the kernel as it needs it.
    pub grows: bool,
}

/// The bytes of the block that is reallocated.
pub static BEFORE: AtomicUsize = AtomicUsize::new(0);

/// All of them.
pub const ALL: [Candidate; 7] = [
    Candidate {
        name: "umalloc",
        give: |_, _| {},
        allocate: umalloc_allocate,
        free: umalloc_free,
        reallocate: umalloc_reallocate,
        grows: true,
    },
    // The same with its memory taken from the kernel beforehand, as the others have it.
    Candidate {
        name: "umalloc given",
        give: umalloc_give,
        allocate: umalloc_allocate,
        free: umalloc_free,
        reallocate: umalloc_reallocate,
        grows: false,
    },
    candidate::<Dlmalloc>("dlmalloc"),
    candidate::<Talc>("talc"),
    candidate::<Rlsf>("rlsf"),
    candidate::<Buddy>("buddy_system"),
    candidate::<LinkedList>("linked_list"),
];

fn umalloc_give(_: *mut u8, bytes: usize) {
    // What is given is nothing to it; so it takes as much, and has it free.
    let all = umalloc::umalloc(bytes - 64);
    // SAFETY: it is a block, or null.
    unsafe { umalloc::ufree(all) };
}

extern "C" fn umalloc_allocate(bytes: usize, _: usize) -> usize {
    umalloc::umalloc(bytes).expose_provenance()
}

extern "C" fn umalloc_free(address: usize, _: usize) -> usize {
    // SAFETY: the trace frees what it was given, once.
    unsafe { umalloc::ufree(ptr::with_exposed_provenance_mut(address)) };
    0
}

extern "C" fn umalloc_reallocate(address: usize, bytes: usize) -> usize {
    // SAFETY: as above.
    unsafe { umalloc::urealloc(ptr::with_exposed_provenance_mut(address), bytes) }.expose_provenance()
}

/// An allocator over memory that it is given.
trait Heap: Sized + 'static {
    /// The one of this process.
    fn heap() -> &'static Single<Self>;

    unsafe fn give(&mut self, start: *mut u8, bytes: usize);
    fn allocate(&mut self, layout: Layout) -> *mut u8;
    unsafe fn free(&mut self, block: NonNull<u8>, layout: Layout);

    /// Allocate, copy, free, unless the allocator knows better.
    unsafe fn reallocate(&mut self, block: NonNull<u8>, before: Layout, after: Layout) -> *mut u8 {
        let moved = self.allocate(after);
        if !moved.is_null() {
            // SAFETY: both blocks are that long, and different.
            unsafe {
                ptr::copy_nonoverlapping(block.as_ptr(), moved, before.size().min(after.size()));
                self.free(block, before);
            }
        }
        moved
    }
}

/// A value that the only thread of a process uses.
struct Single<T>(UnsafeCell<T>);

// SAFETY: these programs have one thread.
unsafe impl<T> Sync for Single<T> {}

const fn candidate<H: Heap>(name: &'static str) -> Candidate {
    Candidate {
        name,
        give: give::<H>,
        allocate: allocate::<H>,
        free: free::<H>,
        reallocate: reallocate::<H>,
        grows: false,
    }
}

/// The allocator of this process.
fn own<H: Heap>() -> &'static mut H {
    // SAFETY: one thread, and nobody keeps it from one call to the next.
    unsafe { &mut *H::heap().0.get() }
}

fn layout(bytes: usize) -> Layout {
    Layout::from_size_align(bytes, ALIGNMENT).expect("traces ask for sizes that there can be")
}

fn give<H: Heap>(start: *mut u8, bytes: usize) {
    // SAFETY: the process has just taken the memory from the kernel for this.
    unsafe { own::<H>().give(start, bytes) }
}

extern "C" fn allocate<H: Heap>(bytes: usize, _: usize) -> usize {
    own::<H>().allocate(layout(bytes)).expose_provenance()
}

extern "C" fn free<H: Heap>(address: usize, bytes: usize) -> usize {
    if let Some(block) = NonNull::new(ptr::with_exposed_provenance_mut(address)) {
        // SAFETY: the trace frees what it was given, once.
        unsafe { own::<H>().free(block, layout(bytes)) };
    }
    0
}

extern "C" fn reallocate<H: Heap>(address: usize, bytes: usize) -> usize {
    match NonNull::new(ptr::with_exposed_provenance_mut(address)) {
        None => allocate::<H>(bytes, 0),
        // SAFETY: as above.
        Some(block) => unsafe {
            own::<H>().reallocate(block, layout(BEFORE.load(Relaxed)), layout(bytes)).expose_provenance()
        },
    }
}

/// Where [`Dlmalloc`] gets memory: all at once.
struct Once(UnsafeCell<(*mut u8, usize)>);

// SAFETY: as for [`Single`].
unsafe impl Send for Once {}

// SAFETY: the region is handed out once, whole.
unsafe impl dlmalloc::Allocator for Once {
    fn alloc(&self, bytes: usize) -> (*mut u8, usize, u32) {
        // SAFETY: one thread.
        let (start, all) = unsafe { self.0.get().replace((ptr::null_mut(), 0)) };
        if bytes <= all { (start, all, 0) } else { (ptr::null_mut(), 0, 0) }
    }

    fn remap(&self, _: *mut u8, _: usize, _: usize, _: bool) -> *mut u8 {
        ptr::null_mut()
    }

    fn free_part(&self, _: *mut u8, _: usize, _: usize) -> bool {
        false
    }

    fn free(&self, _: *mut u8, _: usize) -> bool {
        false
    }

    fn can_release_part(&self, _: u32) -> bool {
        false
    }

    fn allocates_zeros(&self) -> bool {
        true
    }

    fn page_size(&self) -> usize {
        4096
    }
}

type Dlmalloc = dlmalloc::Dlmalloc<Once>;

impl Heap for Dlmalloc {
    fn heap() -> &'static Single<Self> {
        static HEAP: Single<Dlmalloc> =
            Single(UnsafeCell::new(Dlmalloc::new_with_allocator(Once(UnsafeCell::new((ptr::null_mut(), 0))))));
        &HEAP
    }

    unsafe fn give(&mut self, start: *mut u8, bytes: usize) {
        *self.allocator_mut() = Once(UnsafeCell::new((start, bytes)));
    }

    fn allocate(&mut self, layout: Layout) -> *mut u8 {
        // SAFETY: no bytes are never asked for.
        unsafe { self.malloc(layout.size(), ALIGNMENT) }
    }

    unsafe fn free(&mut self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller vouches for the block.
        unsafe { dlmalloc::Dlmalloc::free(self, block.as_ptr(), layout.size(), ALIGNMENT) }
    }

    unsafe fn reallocate(&mut self, block: NonNull<u8>, before: Layout, after: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe { self.realloc(block.as_ptr(), before.size(), ALIGNMENT, after.size()) }
    }
}

type Talc = talc::base::Talc<talc::source::Manual, talc::DefaultBinning>;

impl Heap for Talc {
    fn heap() -> &'static Single<Self> {
        static HEAP: Single<Talc> = Single(UnsafeCell::new(Talc::new(talc::source::Manual)));
        &HEAP
    }

    unsafe fn give(&mut self, start: *mut u8, bytes: usize) {
        // SAFETY: the memory is this allocator's for good. Where it is too small to begin with, nothing is handed out.
        unsafe { self.claim(start, bytes) };
    }

    fn allocate(&mut self, layout: Layout) -> *mut u8 {
        // SAFETY: no bytes are never asked for.
        unsafe { talc::base::Talc::allocate(self, layout) }.map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn free(&mut self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller vouches for the block.
        unsafe { self.deallocate(block.as_ptr(), layout) }
    }

    unsafe fn reallocate(&mut self, block: NonNull<u8>, before: Layout, after: Layout) -> *mut u8 {
        // SAFETY: as above.
        if unsafe { self.try_realloc_in_place(block.as_ptr(), before, after.size()) } {
            return block.as_ptr();
        }
        let moved = Heap::allocate(self, after);
        if !moved.is_null() {
            // SAFETY: it only grows where it cannot stay; both blocks are that long, and different.
            unsafe {
                ptr::copy_nonoverlapping(block.as_ptr(), moved, before.size());
                self.deallocate(block.as_ptr(), before);
            }
        }
        moved
    }
}

type Rlsf = rlsf::Tlsf<'static, u32, u32, 20, 32>;

impl Heap for Rlsf {
    fn heap() -> &'static Single<Self> {
        static HEAP: Single<Rlsf> = Single(UnsafeCell::new(Rlsf::new()));
        &HEAP
    }

    unsafe fn give(&mut self, start: *mut u8, bytes: usize) {
        // SAFETY: the memory is this allocator's for good.
        let _ =
            self.insert_free_block(unsafe { core::slice::from_raw_parts_mut(start.cast::<MaybeUninit<u8>>(), bytes) });
    }

    fn allocate(&mut self, layout: Layout) -> *mut u8 {
        rlsf::Tlsf::allocate(self, layout).map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn free(&mut self, block: NonNull<u8>, _: Layout) {
        // SAFETY: the caller vouches for the block.
        unsafe { self.deallocate(block, ALIGNMENT) }
    }

    unsafe fn reallocate(&mut self, block: NonNull<u8>, _: Layout, after: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe { rlsf::Tlsf::reallocate(self, block, after) }.map_or(ptr::null_mut(), NonNull::as_ptr)
    }
}

type Buddy = buddy_system_allocator::Heap<32>;

impl Heap for Buddy {
    fn heap() -> &'static Single<Self> {
        static HEAP: Single<Buddy> = Single(UnsafeCell::new(Buddy::empty()));
        &HEAP
    }

    unsafe fn give(&mut self, start: *mut u8, bytes: usize) {
        // SAFETY: the memory is this allocator's for good.
        unsafe { self.init(start.expose_provenance(), bytes) }
    }

    fn allocate(&mut self, layout: Layout) -> *mut u8 {
        self.alloc(layout).map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn free(&mut self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller vouches for the block.
        unsafe { self.dealloc(block, layout) }
    }
}

type LinkedList = linked_list_allocator::Heap;

impl Heap for LinkedList {
    fn heap() -> &'static Single<Self> {
        static HEAP: Single<LinkedList> = Single(UnsafeCell::new(LinkedList::empty()));
        &HEAP
    }

    unsafe fn give(&mut self, start: *mut u8, bytes: usize) {
        // SAFETY: the memory is this allocator's for good.
        unsafe { self.init(start, bytes) }
    }

    fn allocate(&mut self, layout: Layout) -> *mut u8 {
        self.allocate_first_fit(layout).map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn free(&mut self, block: NonNull<u8>, layout: Layout) {
        // SAFETY: the caller vouches for the block.
        unsafe { self.deallocate(block, layout) }
    }
}
