//! Whose grade changed between two runs, and why.

use super::*;
use crate::compare::{Cause, Change, Side, changes};

impl Scene {
    fn changes(&self, out: &str) -> Vec<Change> {
        let gradebook = self.gradebook(out);
        let runs = gradebook.runs().unwrap();
        let [.., before, after] = &runs[..] else { panic!("{runs:?}") };
        let side = |run: &gradebook::PastRun| Side::read(&gradebook, run.clone()).unwrap();
        changes(&side(before), &side(after))
    }

    /// Has a student hand in what another one has.
    fn hand_in(&self, student: &str, of: &str) {
        let repository = Repository::open_bare(self.folder.join("all.git")).unwrap();
        let commit = repository.find_reference(&format!("refs/heads/{of}")).unwrap().peel_to_commit().unwrap();
        repository.reference(&format!("refs/heads/{student}"), commit.id(), true, "").unwrap();
    }
}

#[test]
fn who_changed_their_submission_is_told_from_whom_the_machine_failed() {
    // Of an even length passes, of an odd one does not.
    let scene = Scene::new(
        &[("a", "fn a() {}"), ("b", "fn of_b() {}"), ("c", "fn cc() {}"), ("d", "fn d()  {}")]
            .map(|(id, text)| (id.to_owned(), Some(text.to_owned()))),
    );
    scene.grade("out", |_| {}, &StandIn::default()).unwrap();
    scene.grade("out", |_| {}, &StandIn::default()).unwrap();
    assert_eq!(scene.changes("out"), []);

    scene.hand_in("a", "b");
    scene.grade("out", |batch| batch.use_cache = false, &StandIn::failing("c", 100)).unwrap();
    let found = scene.changes("out");
    let shown: Vec<(&str, &str, &str)> =
        found.iter().map(|change| (change.student.as_str(), change.before.as_str(), change.after.as_str())).collect();
    assert_eq!(shown, [("a", "0 of 100", "100 of 100"), ("c", "100 of 100", "error")]);
    assert!(matches!(&found[0].causes[..], [Cause::Submission { commits }] if commits.0 != commits.1), "{found:?}");
    assert_eq!(found[1].causes, [Cause::OurFault("the machine is on fire".to_owned())]);
    let check = ("length".to_owned(), "fail 0 of 100".to_owned(), "pass 100 of 100".to_owned());
    assert_eq!(found[0].checks, [check]);
}

#[test]
fn a_grade_that_changed_for_no_reason_is_called_a_fault_of_ours() {
    let scene = Scene::new(&[("a".to_owned(), Some("fn a() {}".to_owned()))]);
    scene.grade("out", |_| {}, &StandIn::default()).unwrap();
    let moody = StandIn { mood: 1, ..StandIn::default() };
    scene.grade("out", |batch| batch.use_cache = false, &moody).unwrap();
    assert_eq!(scene.changes("out")[0].causes, [Cause::Nothing]);
}
