//! What is ready to be graded, heaviest first, with nothing graded by two workers at the same time.

use std::collections::{BinaryHeap, HashMap};
use std::sync::{Condvar, Mutex, PoisonError};

/// Submissions by their numbers.
#[derive(Debug, Default)]
pub struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// By expected milliseconds; of equal ones the first in the roster first.
    ready: BinaryHeap<(u64, std::cmp::Reverse<usize>)>,
    /// Those that have the same content as one that is being graded, by its key.
    in_flight: HashMap<String, Vec<(u64, usize)>>,
    closed: bool,
}

/// Keeps others from grading the same; lets them go on when it is dropped, however the work ended.
#[derive(Debug)]
pub struct Claim<'q> {
    queue: &'q Queue,
    key: &'q str,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.queue.release(self.key);
    }
}

impl Queue {
    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let value = change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
        value
    }

    /// Adds a submission, with the milliseconds that it will probably take.
    pub fn push(&self, weight: u64, item: usize) {
        self.with(|state| state.ready.push((weight, std::cmp::Reverse(item))));
    }

    /// Waits for the heaviest submission that is ready; `None` when there will be no more.
    pub fn pop(&self) -> Option<(u64, usize)> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if state.closed {
                return None;
            }
            if let Some((weight, std::cmp::Reverse(item))) = state.ready.pop() {
                return Some((weight, item));
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes on what has this key, until the claim is dropped; `None` where somebody else is at it. Then the submission
    /// comes back into the queue when they are done.
    pub fn claim<'q>(&'q self, key: &'q str, weight: u64, item: usize) -> Option<Claim<'q>> {
        self.with(|state| match state.in_flight.get_mut(key) {
            Some(waiting) => {
                waiting.push((weight, item));
                None
            }
            None => {
                state.in_flight.insert(key.to_owned(), Vec::new());
                Some(Claim { queue: self, key })
            }
        })
    }

    fn release(&self, key: &str) {
        self.with(|state| {
            let waiting = state.in_flight.remove(key).unwrap_or_default();
            state.ready.extend(waiting.into_iter().map(|(weight, item)| (weight, std::cmp::Reverse(item))));
        });
    }

    /// Has every worker go home.
    pub fn close(&self) {
        self.with(|state| state.closed = true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heaviest_comes_first_and_of_equals_the_first_in_the_roster() {
        let queue = Queue::default();
        for (weight, item) in [(5, 0), (9, 1), (5, 2), (7, 3)] {
            queue.push(weight, item);
        }
        let order: Vec<usize> = (0..4).filter_map(|_| Some(queue.pop()?.1)).collect();
        assert_eq!(order, [1, 3, 0, 2]);
        queue.close();
        assert_eq!(queue.pop(), None);
    }

    #[test]
    fn who_has_the_same_content_waits_and_comes_back() {
        let queue = Queue::default();
        let first = queue.claim("a", 1, 0);
        assert!(first.is_some() && queue.claim("a", 1, 1).is_none() && queue.claim("b", 1, 2).is_some());
        drop(first);
        assert_eq!(queue.pop(), Some((1, 1)));
        assert!(queue.claim("a", 1, 1).is_some());
    }
}
