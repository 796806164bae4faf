//! Intrusive doubly linked lists: the links lie in the elements themselves, so a list needs no memory of its own.
//!
//! An element is on a list through a field of type [`Links`], and can be on as many lists at once as it has such
//! fields. Lists link these fields with each other, as Linux does (include/linux/list.h), and reach the element around
//! a field by going back its offset: `container_of`.
//!
//! ```
//! use core::{mem::offset_of, ptr::NonNull};
//! use mm::list::{Linked, Links, List};
//!
//! struct Task {
//!     number: u32,
//!     links: Links,
//! }
//!
//! // SAFETY: there are links at that offset.
//! unsafe impl Linked for Task {
//!     const LINKS: usize = offset_of!(Task, links);
//! }
//!
//! let mut tasks = [1, 2, 3].map(|number| Task { number, links: Links::new() });
//! let mut list = List::new();
//! for task in &mut tasks {
//!     // SAFETY: the task is on no list, and is used through the list alone as long as that is in use.
//!     unsafe { list.push_back(NonNull::from(task)) };
//! }
//! // SAFETY: the tasks are still there, and nothing writes to them.
//! let numbers: Vec<u32> = list.iter().map(|task| unsafe { task.as_ref() }.number).collect();
//! assert_eq!(numbers, [1, 2, 3]);
//! ```

use core::marker::PhantomData;
use core::ptr::NonNull;

/// The place of an element in a list.
#[derive(Debug)]
pub struct Links {
    next: Link,
    previous: Link,
}

/// The links of a neighbour; none at the end of the list.
type Link = Option<NonNull<Links>>;

impl Links {
    /// Links of an element that is on no list.
    pub const fn new() -> Self {
        Self { next: None, previous: None }
    }
}

impl Default for Links {
    fn default() -> Self {
        Self::new()
    }
}

/// What can be on a list.
///
/// # Safety
/// `LINKS` is the offset of a field of type [`Links`], as `core::mem::offset_of!` answers it.
pub unsafe trait Linked: Sized {
    /// Where in the type its links are, in bytes.
    const LINKS: usize;
}

/// A list of elements that somebody else owns.
///
/// Nothing points to the list itself, so it may be moved. Every operation takes constant time.
#[derive(Debug)]
pub struct List<T> {
    first: Link,
    last: Link,
    elements: PhantomData<NonNull<T>>,
}

// SAFETY: the list is a few pointers to its elements, which nobody else may use (see `push_front`); where those may be
// sent, so may it.
unsafe impl<T: Send> Send for List<T> {}

impl<T> List<T> {
    /// A list without an element.
    pub const fn new() -> Self {
        Self { first: None, last: None, elements: PhantomData }
    }

    /// Whether there is no element.
    pub const fn is_empty(&self) -> bool {
        self.first.is_none()
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Linked> List<T> {
    /// The first element.
    pub fn first(&self) -> Option<NonNull<T>> {
        self.first.map(element)
    }

    /// The last element.
    pub fn last(&self) -> Option<NonNull<T>> {
        self.last.map(element)
    }

    /// Puts an element before all others.
    ///
    /// # Safety
    /// The pointer may be used for reading and writing all of the element; the element is on no list through these
    /// links. Until it is removed, or the list is used no more, it stays where it is, and nobody touches its links.
    pub unsafe fn push_front(&mut self, new: NonNull<T>) {
        // SAFETY: so the caller promises; there is nothing before the first element.
        unsafe { self.link(None, new, self.first) }
    }

    /// Puts an element behind all others.
    ///
    /// # Safety
    /// As for [`push_front`](Self::push_front).
    pub unsafe fn push_back(&mut self, new: NonNull<T>) {
        // SAFETY: so the caller promises; there is nothing behind the last element.
        unsafe { self.link(self.last, new, None) }
    }

    /// Puts an element before one that is on the list.
    ///
    /// # Safety
    /// As for [`push_front`](Self::push_front), and `at` is on this list.
    pub unsafe fn insert_before(&mut self, at: NonNull<T>, new: NonNull<T>) {
        let at = links(at);
        // SAFETY: so the caller promises; what is before an element on the list is on it too.
        unsafe { self.link((*at.as_ptr()).previous, new, Some(at)) }
    }

    /// Puts an element behind one that is on the list.
    ///
    /// # Safety
    /// As for [`push_front`](Self::push_front), and `at` is on this list.
    pub unsafe fn insert_after(&mut self, at: NonNull<T>, new: NonNull<T>) {
        let at = links(at);
        // SAFETY: so the caller promises; what is behind an element on the list is on it too.
        unsafe { self.link(Some(at), new, (*at.as_ptr()).next) }
    }

    /// Takes an element out, wherever it is.
    ///
    /// # Safety
    /// The element is on this list.
    pub unsafe fn remove(&mut self, old: NonNull<T>) {
        // SAFETY: the element is on the list, so its links are ours.
        let Links { next, previous } = unsafe { links(old).replace(Links::new()) };
        // SAFETY: neighbours of an element on the list are on it too.
        unsafe {
            *self.next_of(previous) = next;
            *self.previous_of(next) = previous;
        }
    }

    /// Takes the first element out.
    pub fn pop_front(&mut self) -> Option<NonNull<T>> {
        let first = self.first()?;
        // SAFETY: it is on the list.
        unsafe { self.remove(first) };
        Some(first)
    }

    /// Takes the last element out.
    pub fn pop_back(&mut self) -> Option<NonNull<T>> {
        let last = self.last()?;
        // SAFETY: it is on the list.
        unsafe { self.remove(last) };
        Some(last)
    }

    /// The elements from the first to the last.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { at: self.first, step: |links| links.next, list: PhantomData }
    }

    /// The elements from the last to the first.
    pub fn iter_back(&self) -> Iter<'_, T> {
        Iter { at: self.last, step: |links| links.previous, list: PhantomData }
    }

    /// An element and those behind it, to the last.
    ///
    /// # Safety
    /// The element is on this list.
    pub unsafe fn iter_from(&self, element: NonNull<T>) -> Iter<'_, T> {
        Iter { at: Some(links(element)), ..self.iter() }
    }

    /// An element and those before it, to the first.
    ///
    /// # Safety
    /// The element is on this list.
    pub unsafe fn iter_back_from(&self, element: NonNull<T>) -> Iter<'_, T> {
        Iter { at: Some(links(element)), ..self.iter_back() }
    }

    /// Puts an element between two that are neighbours, or at an end.
    ///
    /// # Safety
    /// As for [`push_front`](Self::push_front); the others are on the list, one directly behind the other.
    unsafe fn link(&mut self, previous: Link, new: NonNull<T>, next: Link) {
        let new = links(new);
        // SAFETY: the caller lends us the element, and the links of those on the list are ours.
        unsafe {
            new.write(Links { next, previous });
            *self.next_of(previous) = Some(new);
            *self.previous_of(next) = Some(new);
        }
    }

    /// Where it says what is behind an element; behind nothing is the first.
    fn next_of(&mut self, links: Link) -> *mut Link {
        // SAFETY: the links are those of an element on the list.
        links.map_or(&raw mut self.first, |links| unsafe { &raw mut (*links.as_ptr()).next })
    }

    /// Where it says what is before an element; before nothing is the last.
    fn previous_of(&mut self, links: Link) -> *mut Link {
        // SAFETY: the links are those of an element on the list.
        links.map_or(&raw mut self.last, |links| unsafe { &raw mut (*links.as_ptr()).previous })
    }
}

/// The links of an element. The pointer may still be used for all of the element, since it is made from its address
/// alone and from no reference to the field: that is what [`element`] counts on.
fn links<T: Linked>(element: NonNull<T>) -> NonNull<Links> {
    // SAFETY: the field lies within the element.
    unsafe { element.byte_add(T::LINKS) }.cast()
}

/// The element around its links, which is what `container_of` is in C.
fn element<T: Linked>(links: NonNull<Links>) -> NonNull<T> {
    // SAFETY: every pointer to links on a list was made by the function above.
    unsafe { links.byte_sub(T::LINKS) }.cast()
}

/// Elements of a list, one after the other.
#[derive(Debug)]
pub struct Iter<'a, T> {
    at: Link,
    step: fn(&Links) -> Link,
    list: PhantomData<&'a List<T>>,
}

impl<T: Linked> Iterator for Iter<'_, T> {
    type Item = NonNull<T>;

    fn next(&mut self) -> Option<NonNull<T>> {
        let links = self.at?;
        // SAFETY: the element is on the list, which is borrowed, so that it does not change.
        self.at = (self.step)(unsafe { links.as_ref() });
        Some(element(links))
    }
}
