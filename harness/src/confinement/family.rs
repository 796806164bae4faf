//! Processes with all that they started, as the system lists them.

use std::fs;

/// What a family uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Use {
    /// Processes and threads.
    pub tasks: u64,
    /// Bytes of memory that are in use. What several share counts for each.
    pub memory: u64,
}

/// What a process and all its descendants use. Nothing escapes where the first of them takes in orphans.
///
/// Processes that come and go meanwhile may be missed, as may what the system does not list.
pub fn measure(first: u32) -> Use {
    let page = rustix::param::page_size() as u64;
    let mut used = Use::default();
    let mut due = vec![first];
    while let Some(process) = due.pop() {
        let resident = fs::read_to_string(format!("/proc/{process}/statm"))
            .ok()
            .and_then(|text| text.split_ascii_whitespace().nth(1)?.parse::<u64>().ok());
        used.memory += resident.unwrap_or(0) * page;
        for thread in fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten() {
            used.tasks += 1;
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            due.extend(children.split_ascii_whitespace().filter_map(|number| number.parse::<u32>().ok()));
        }
    }
    used
}
