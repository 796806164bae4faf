//! `grader doctor`

use std::path::Path;
use std::process::ExitCode;

use super::failure::Failure;
use super::{Context, terminal};
use crate::cache::Cache;
use crate::doctor::{self, State};
use crate::owner::Owner;

/// Says what is there, and what to type where something is not.
pub fn doctor(course: Option<&Path>) -> Result<ExitCode, Failure> {
    let kinds = Context::find(course)?.course.kinds()?;
    let cache = Cache::find();
    let findings = doctor::examine(kinds.values(), cache.as_ref().map_err(ToString::to_string));
    let mut text = String::new();
    for finding in &findings {
        let (word, said, remedy) = match &finding.state {
            State::There(which) => ("ok", which, None),
            State::Missing { why, remedy } => ("MISSING", why, Some(remedy)),
            State::Wanting { why, remedy } => ("wanting", why, Some(remedy)),
        };
        text.push_str(&format!("{word:>12} {}: {said}\n", finding.what));
        text.extend(remedy.map(|remedy| format!("{:12} -> {remedy}\n", "")));
    }
    terminal::print(&text)?;
    let fatal = findings.iter().any(doctor::Finding::is_fatal);
    Ok(if fatal { Owner::Harness.exit_code().into() } else { ExitCode::SUCCESS })
}
