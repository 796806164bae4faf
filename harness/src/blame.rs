//! The line of the submission's at which a session ended, where it ended at one.

use std::path::Path;

use crate::excerpt::Places;
use crate::grade::{GradedSubmission, Problem};
use crate::image::Place;
use crate::serial::reading::Ending;

/// Where a panic was, or what a hart was at when the time was up: the innermost line in a file of the submission's.
///
/// What the guest says of itself is a claim, so a file counts only if it is one that was taken.
pub fn of(ending: &Ending, places: &Places, submission: &GradedSubmission) -> Option<Problem> {
    let own = |file: &str, line: u32| {
        let file = submission.files.get_key_value(file).filter(|_| line > 0)?.0;
        let file = Path::new(&submission.root).join(file).display().to_string();
        Some(Place { file, line, column: 1 })
    };
    // A place is `function at file:line`, and those that it was compiled into behind it.
    let named = |text: &String| {
        text.split(", in ").find_map(|frame| {
            let (file, line) = frame.rsplit_once(" at ")?.1.rsplit_once(':')?;
            own(file, line.parse().ok()?)
        })
    };
    let found = |place: Place, kind: &str| Problem { place, kind: kind.to_owned(), message: ending.to_string() };
    match ending {
        Ending::Panicked(panic) => {
            let called = || panic.backtrace.iter().find_map(|address| named(places.get(&address.0)?));
            own(&panic.file, panic.line).or_else(called).map(|place| found(place, "panic"))
        }
        Ending::Deadline(deadline) => {
            let mut addresses = deadline.harts.iter().flat_map(|hart| std::iter::once(&hart.pc).chain(&hart.backtrace));
            addresses.find_map(|address| named(places.get(&address.0)?)).map(|place| found(place, "hang"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::serial::record::{Address, Panic};

    fn submission() -> GradedSubmission {
        GradedSubmission {
            what: String::new(),
            repository: None,
            branch: None,
            commit: None,
            committed: None,
            root: "reference-kernel".to_owned(),
            files: BTreeMap::from([("mm/src/page/buddy.rs".to_owned(), String::new())]),
            ignored: Vec::new(),
        }
    }

    fn panicked(file: &str, backtrace: &[u64]) -> Ending {
        let backtrace = backtrace.iter().map(|address| Address(*address)).collect();
        Ending::Panicked(Panic { hart: 0, file: file.to_owned(), line: 7, message: "no".to_owned(), backtrace })
    }

    #[test]
    fn a_panic_in_a_file_of_the_submission_s_is_at_its_line_of_the_repository() {
        let problem = of(&panicked("mm/src/page/buddy.rs", &[]), &Places::new(), &submission()).unwrap();
        assert_eq!((problem.place.file.as_str(), problem.place.line), ("reference-kernel/mm/src/page/buddy.rs", 7));
        assert_eq!(problem.message, "the kernel panicked on hart 0 at mm/src/page/buddy.rs:7: no");
    }

    #[test]
    fn a_panic_elsewhere_is_at_the_innermost_call_out_of_the_submission_s_files() {
        let places = Places::from([
            (1, "core::option::unwrap at library/core/src/option.rs:9".to_owned()),
            (2, "mm::split at mm/src/page/list.rs:3, in mm::Buddy::allocate at mm/src/page/buddy.rs:41".to_owned()),
            (3, "mm::Buddy::free at mm/src/page/buddy.rs:50".to_owned()),
        ]);
        let problem = of(&panicked("library/core/src/option.rs", &[1, 2, 3]), &places, &submission()).unwrap();
        assert_eq!(problem.place.line, 41);
    }

    #[test]
    fn a_file_that_only_the_guest_names_is_none_of_the_submission_s() {
        assert_eq!(of(&panicked("../../etc/passwd", &[]), &Places::new(), &submission()), None);
        assert_eq!(of(&Ending::PoweredOff, &Places::new(), &submission()), None);
    }
}
