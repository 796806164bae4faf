//! Whose fault it is that a builder refuses a submission: its own, unless the trusted files do not build without it.
//!
//! Where a message points says little of that: a header of the student's can break a driver of ours, and a header of
//! ours the student's file. So the same tree is built with trusted files in place of the submission's.

use super::chain;
use crate::base_tree::From;
use crate::image::{BuildError, Diagnostic, Level, Outcome, Refusal};

/// Why the refusal says nothing of the submission; `None` where it stands.
///
/// `trusted` is what came of the tree without the submission's files, `is_submitted` whether a path of the repository's
/// is one of those.
pub(super) fn fault_of_ours(
    refusal: &Refusal,
    trusted: &Result<Outcome, BuildError>,
    base: &From,
    in_repository: impl Fn(&str) -> String,
    is_submitted: impl Fn(&str) -> bool,
) -> Option<String> {
    let error = match trusted {
        Ok(Outcome::Built(_)) => return None,
        Ok(Outcome::Refused(_)) => return Some("the course's own tree does not build".to_owned()),
        Err(error) => error,
    };
    let failed = format!("failed to {}", chain(error));
    match (base, error) {
        // It has a solution, so nobody's submission can be built with it.
        (From::Course, _) => Some(format!("without the submission's files, the grader {failed}")),
        // What is handed out is unsolved: names may be missing in it that a submission has to define.
        (From::Handout { .. }, BuildError::OwnTree { diagnostics, .. }) => {
            let same = |one: &Diagnostic| {
                let Some(place) = one.place.as_ref().filter(|place| !is_submitted(&place.file)) else { return false };
                diagnostics.iter().filter(|other| other.level == Level::Error).any(|other| {
                    let there = other.place.as_ref().filter(|there| in_repository(&there.file) == place.file);
                    there.is_some_and(|there| there.line == place.line) && other.message == one.message
                })
            };
            let mut errors = refusal.diagnostics.iter().filter(|said| said.level == Level::Error).peekable();
            (errors.peek().is_some() && errors.all(same)).then(|| {
                format!("what is handed out does not build either, in the same trusted lines: the grader {failed}")
            })
        }
        (From::Handout { .. }, BuildError::Failed { .. } | BuildError::TooMuch { .. }) => None,
        (From::Handout { .. }, _) => Some(format!("without the submission's files, the grader {failed}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Place;

    const OWN: &str = "kernel/list.h";

    fn error(file: &str, line: u32, message: &str) -> Diagnostic {
        Diagnostic {
            level: Level::Error,
            message: message.to_owned(),
            code: None,
            place: (!file.is_empty()).then(|| Place { file: file.to_owned(), line, column: 1 }),
            label: None,
            rendered: String::new(),
        }
    }

    fn handout() -> From {
        From::Handout { repository: "xv6".to_owned(), name: "lab".to_owned(), commit: "c0ffee".to_owned() }
    }

    fn fault(refused: Vec<Diagnostic>, trusted: Result<Outcome, BuildError>, base: &From) -> Option<String> {
        let refusal = Refusal { reason: None, diagnostics: refused, omitted: 0, log: String::new() };
        let in_repository = |file: &str| format!("os/{file}");
        fault_of_ours(&refusal, &trusted, base, in_repository, |file| file == format!("os/{OWN}"))
    }

    fn broken(diagnostics: Vec<Diagnostic>) -> Result<Outcome, BuildError> {
        Err(BuildError::OwnTree { diagnostics, log: String::new() })
    }

    #[test]
    fn a_course_whose_own_solution_does_not_build_blames_nobody_wherever_the_messages_point() {
        let trusted = || broken(vec![error("kernel/pages.c", 3, "expected ';'")]);
        for place in ["os/kernel/pages.c", "os/kernel/list.h", ""] {
            let fault = fault(vec![error(place, 3, "expected ';'")], trusted(), &From::Course).unwrap();
            assert!(fault.contains("kernel/pages.c:3") && fault.contains("expected ';'"), "{fault}");
        }
    }

    #[test]
    fn a_broken_line_of_a_handout_is_ours_only_where_it_is_all_that_is_wrong() {
        let line = || error("kernel/pages.c", 3, "expected ';'");
        let same = || error("os/kernel/pages.c", 3, "expected ';'");
        assert!(fault(vec![same()], broken(vec![line()]), &handout()).is_some());
        for own in [error(&format!("os/{OWN}"), 3, "expected ';'"), error("os/kernel/pages.c", 9, "expected ';'")] {
            assert_eq!(fault(vec![same(), own], broken(vec![line()]), &handout()), None);
        }
    }

    #[test]
    fn a_function_that_is_missing_from_handout_and_submission_alike_is_the_submission_s_to_write() {
        let missing = || error("", 0, "undefined reference to `kallocn'");
        assert_eq!(fault(vec![missing()], broken(vec![missing()]), &handout()), None);
        assert_eq!(fault(Vec::new(), broken(Vec::new()), &handout()), None);
    }

    #[test]
    fn where_the_trusted_files_cannot_be_tried_nobody_is_blamed() {
        for base in [From::Course, handout()] {
            let full = Err(BuildError::DiskFull { path: "/cache".into() });
            let fault = fault(vec![error(&format!("os/{OWN}"), 1, "no")], full, &base).unwrap();
            assert!(fault.contains("the disk is full"), "{fault}");
        }
    }
}
