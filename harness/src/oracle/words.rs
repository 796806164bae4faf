//! The words for requests to page allocators and their answers, in which findings of all oracles are put.

use abi::page::{KERNEL_CLIENT, PageError};

use super::Case;
use crate::trace::{Operation, What};

/// Who asked for an operation of a trace, and in which phase.
pub fn who(operation: &Operation, case: &Case<'_>, at: usize) -> String {
    let phase = case.phases.get(at).copied().unwrap_or_default();
    match operation.client {
        KERNEL_CLIENT => format!("the kernel itself, on hart {}", operation.hart),
        client if phase.is_empty() => format!("client {client}, on hart {}", operation.hart),
        client => format!("client {client}, on hart {}, in phase \"{phase}\"", operation.hart),
    }
}

/// What was asked, and what came back.
pub fn request(operation: &Operation) -> (String, String) {
    match operation.what {
        What::Allocate { pages, answer } => (
            format!("allocate {}", count(pages)),
            match answer {
                Ok(address) => format!("{address:#x}"),
                Err(error) => format!("error {error}"),
            },
        ),
        What::Free { address, pages, answer } => (
            format!("free {} at {address:#x}", count(pages)),
            match answer {
                Ok(()) => "accepted".to_owned(),
                Err(error) => format!("error {error}"),
            },
        ),
        What::Statistics(said) => (
            "statistics".to_owned(),
            format!(
                "{} of {} free; free blocks from order 0 up: {}",
                said.free_pages,
                count(said.managed_pages),
                said.free_blocks.map(|blocks| blocks.to_string()).join(" ")
            ),
        ),
    }
}

/// A number of pages.
pub fn count(pages: u64) -> String {
    if pages == 1 { "1 page".to_owned() } else { format!("{pages} pages") }
}

/// Errors of which any would do.
pub fn errors(errors: &[PageError]) -> String {
    errors.iter().map(|error| error.word()).collect::<Vec<_>>().join(" or ")
}
