//! Memory, read from outside when the machine is off: whether blocks that the trace says are held hold what trusted code
//! says it wrote into them.
//!
//! A kernel's allocator can reach the books from which trusted code knows which pages to look at, and the page tables
//! through which it looks. Physical memory that lies in a file of the harness's own, it cannot keep from being read. What
//! must stand there follows from the trace alone ([`abi::stamp`]).

use std::collections::BTreeMap;
use std::io;

use abi::page::{KERNEL_CLIENT, PAGE_SIZE};
use abi::stamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::list_trace;
use crate::serial::ktap::Status;
use crate::serial::reading::Reading;
use crate::session::Stop;
use crate::trace::{Operation, Pool, What};

/// The most pages of a boot that are read.
const MOST: usize = 32;

/// A page as it was found when the machine was off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Page {
    /// Its physical address.
    pub address: u64,
    /// The words of it at [`stamp::WORDS`].
    pub words: Vec<u64>,
}

/// Whether a test program of the script keeps blocks, so that there is something to be found.
pub fn is_worth_reading<'a>(script: impl IntoIterator<Item = &'a String>) -> bool {
    script.into_iter().any(|line| line.split_ascii_whitespace().any(|word| word == "--keep"))
}

/// Reads some of the pages that are held in the end by what a boot reports; none where that cannot be known.
///
/// `read` answers the word at a physical address.
///
/// # Errors
/// The first of `read`.
pub fn sample(reading: &Reading, stop: &Stop, mut read: impl FnMut(u64) -> io::Result<u64>) -> io::Result<Vec<Page>> {
    let held = held(reading, stop).unwrap_or_default();
    // An allocator has its links at the beginning of a block, if anywhere; what is behind may be mapped elsewhere.
    let places = held.iter().flat_map(|(start, block)| {
        let middle = start + block.pages / 2 * PAGE_SIZE;
        [Some(*start), (middle > *start).then_some(middle)]
    });
    let pages: Vec<u64> = places.flatten().collect();
    let step = pages.len().div_ceil(MOST).max(1);
    let page = |address: u64| {
        let words = stamp::WORDS.iter().map(|word| read(address + 8 * word)).collect::<io::Result<_>>()?;
        Ok(Page { address, words })
    };
    pages.into_iter().step_by(step).map(page).collect()
}

/// Why what a boot reports is not what was found in its memory, if it is not.
///
/// Where the guest's own checks found something they have said so, and the checks that read them judge that.
pub fn dispute(reading: &Reading, stop: &Stop, found: &[Page]) -> Option<String> {
    let mut results = reading.ktap.iter().flat_map(|document| document.what.leaves());
    if found.is_empty() || results.any(|(_, test)| test.status == Status::Failed) {
        return None;
    }
    let held = held(reading, stop)?;
    found.iter().find_map(|Page { address, words }| {
        let (_, block) = held.range(..=address).next_back()?;
        let mut pairs = stamp::WORDS.iter().map(|word| address + 8 * word).zip(words);
        let (at, word) = pairs.find(|(at, word)| stamp::word(*at, block.generation) != **word)?;
        Some(format!(
            "the block that is held in the end at {address:#x} was written to with {:#x} at {at:#x}, and in the machine's \
             memory there is {word:#x}",
            stamp::word(at, block.generation)
        ))
    })
}

/// A block that a test program holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Block {
    pages: u64,
    generation: u32,
}

/// Blocks by their first byte's address.
type Blocks = BTreeMap<u64, Block>;

/// Blocks that test programs hold in the end; `None` where the trace is not all that happened, or makes no sense: then
/// oracles say what is wrong.
fn held(reading: &Reading, stop: &Stop) -> Option<Blocks> {
    let is_known = matches!(stop, Stop::PoweredOff { .. }) && reading.trace_is_whole() && reading.distrust().is_none();
    let pool = &reading.traced.as_ref().filter(|_| is_known)?.pool;
    // The kernel's own pages come and go after its checks.
    if pool.name != "arena" {
        return None;
    }
    if reading.lists.is_empty() { held_of_pool(pool, &reading.trace) } else { held_of_lists(pool, &reading.lists) }
}

fn is_within(pool: &Pool, address: u64, pages: u64) -> bool {
    pool.regions.iter().any(|region| {
        let offset = address.checked_sub(region.managed_start).map(|offset| offset / PAGE_SIZE);
        address.is_multiple_of(PAGE_SIZE)
            && offset.and_then(|offset| offset.checked_add(pages)).is_some_and(|end| end <= region.managed_pages)
    })
}

/// The kernel numbers blocks in the order in which it hands them out.
fn held_of_pool(pool: &Pool, trace: &[Operation]) -> Option<Blocks> {
    let mut held: BTreeMap<u64, (u8, Block)> = BTreeMap::new();
    let mut generation = 0_u32;
    for operation in trace {
        match operation.what {
            What::Allocate { pages, answer: Ok(address) } => {
                let before = held
                    .range(..=address)
                    .next_back()
                    .is_none_or(|(start, (_, block))| address - start >= block.pages * PAGE_SIZE);
                if !before || pages == 0 || !is_within(pool, address, pages) {
                    return None;
                }
                let end = address + pages * PAGE_SIZE;
                if held.range(address..end).next().is_some() {
                    return None;
                }
                generation = generation.wrapping_add(1);
                held.insert(address, (operation.client, Block { pages, generation }));
            }
            What::Free { address, pages, answer: Ok(()) } => {
                let (_, block) = held.remove(&address)?;
                if block.pages != pages {
                    return None;
                }
            }
            _ => {}
        }
    }
    let of_programs = held.into_iter().filter(|(_, (client, _))| *client != KERNEL_CLIENT);
    Some(of_programs.map(|(start, (_, block))| (start, block)).collect())
}

/// Page lists number a page by the stamp at which it was asked for.
fn held_of_lists(pool: &Pool, trace: &[list_trace::Operation]) -> Option<Blocks> {
    let mut by_page: BTreeMap<u64, Vec<&list_trace::Operation>> = BTreeMap::new();
    for operation in trace {
        match operation.what {
            list_trace::What::Allocate(Some(page)) | list_trace::What::Free(page) => {
                by_page.entry(page).or_default().push(operation);
            }
            _ => {}
        }
    }
    let mut held = Blocks::new();
    for (page, operations) in by_page {
        let frees = operations.iter().filter(|operation| matches!(operation.what, list_trace::What::Free(_))).count();
        match operations.len() - frees {
            allocations if allocations == frees => {}
            allocations if allocations == frees + 1 && is_within(pool, page, 1) => {
                let last = operations.iter().max_by_key(|operation| operation.begin)?;
                let is_last = operations.iter().all(|operation| operation.end <= last.end);
                // While several clients are at work, which of two came last is not certain.
                if is_last && matches!(last.what, list_trace::What::Allocate(_)) {
                    held.insert(page, Block { pages: 1, generation: last.begin as u32 });
                }
            }
            _ => return None,
        }
    }
    Some(held)
}

#[cfg(test)]
mod tests;
