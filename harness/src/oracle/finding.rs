//! What a student reads of a violated rule: which operation, what was asked, what came back, what was due and why.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::trace::OpIndex;

/// One violated rule, in words, with a picture of the memory around it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// The rule's short name.
    pub rule: String,
    /// The operation's number in the trace, from zero.
    pub operation: u64,
    /// Who asked: `client 2 on hart 1, while "give back"`.
    pub who: String,
    /// What was asked.
    pub asked: String,
    /// What came back.
    pub answered: String,
    /// What would have been right.
    pub expected: String,
    /// Why that is so.
    pub why: String,
    /// The memory around it, just before the operation.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub map: Option<Map>,
}

/// A window of memory, as runs of pages in order of address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Map {
    /// Page number (byte address divided by the page size) of the first page shown.
    pub first: u64,
    /// The runs, without gaps.
    pub runs: Vec<Run>,
    /// The pages that the operation is about, if they lie within the window: first page and number.
    pub marked: Option<(u64, u64)>,
}

/// `, in phase "…"`, for the end of who asked; nothing for what no workload makes.
pub fn in_phase(phases: &[&str], at: OpIndex) -> String {
    match phases.get(at).copied().unwrap_or_default() {
        "" => String::new(),
        phase => format!(", in phase \"{phase}\""),
    }
}

/// Pages next to each other in one state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Run {
    /// The number of pages.
    pub pages: u64,
    /// Their state.
    pub state: State,
}

/// The state of pages in a [`Map`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// One free block of this order.
    Free {
        /// Its order.
        order: u32,
    },
    /// One free extent, or a part of it, where free memory is not kept in blocks of orders.
    Extent,
    /// One allocated block.
    Allocated,
    /// No page that can be handed out.
    Outside,
}
