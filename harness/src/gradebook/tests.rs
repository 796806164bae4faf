//! What a gradebook keeps, and what it refuses.

use super::*;

fn run() -> Run {
    Run {
        kind: RunKind::Batch,
        roster: "r".to_owned(),
        seed: "derived".to_owned(),
        grader: "0".to_owned(),
        shard: "1/1".to_owned(),
        only: String::new(),
        labs: vec![LabRow {
            lab: "lab".to_owned(),
            title: "A lab".to_owned(),
            version: "v".to_owned(),
            points: crate::grade::Points::whole(10),
        }],
    }
}

fn student(id: &str) -> StudentRow {
    StudentRow { student: id.to_owned(), name: format!("Name of {id}"), team: String::new() }
}

#[test]
fn what_was_learned_is_there_when_the_file_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    let students = ["b", "a", "c"].map(student);
    let found = Found { commit: "1234".to_owned(), late: 7, rule: "the last".to_owned(), ..Found::default() };
    {
        let mut gradebook = Gradebook::create(&path).unwrap();
        let due = students.iter().map(|row| ((row.student.as_str(), "lab"), Terms::default()));
        let id = gradebook.begin(&run(), &students, due).unwrap();
        let updates = [(("a", "lab"), Update::Found(&found)), (("c", "lab"), Update::Missing("no branch"))];
        gradebook.learn(id, updates).unwrap();
    }
    let gradebook = Gradebook::open(&path).unwrap();
    let past = gradebook.run(None).unwrap();
    assert_eq!((past.run.clone(), past.finished), (run(), None));
    let rows = gradebook.rows(past.id).unwrap();
    let shown: Vec<(&str, State)> = rows.iter().map(|row| (row.student.student.as_str(), row.state)).collect();
    assert_eq!(shown, [("b", State::Due), ("a", State::Found), ("c", State::Missing)], "in the order of the roster");
    assert_eq!(rows[1].found, Some(found));
    assert_eq!(rows[2].reason, "no branch");
    assert!(matches!(gradebook.run(Some(9)), Err(GradebookError::NoRun { .. })));
}

#[test]
fn what_is_no_gradebook_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.db");
    assert!(matches!(Gradebook::open(&missing), Err(GradebookError::Missing { .. })) && !missing.exists());
    let text = folder.path().join("text.db");
    std::fs::write(&text, "these are the notes of somebody who put them into a file of this name").unwrap();
    assert!(matches!(Gradebook::open(&text), Err(GradebookError::Foreign { .. })));
    let other = folder.path().join("other.db");
    Connection::open(&other).unwrap().execute_batch("CREATE TABLE mine (x)").unwrap();
    assert!(matches!(Gradebook::create(&other), Err(GradebookError::Foreign { .. })));
    let newer = folder.path().join("newer.db");
    Gradebook::create(&newer).unwrap().connection.pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(Gradebook::open(&newer), Err(GradebookError::TooNew { found: 99, .. })));
}

#[test]
fn two_that_open_a_new_gradebook_at_once_make_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    std::thread::scope(|scope| {
        let open = || scope.spawn(|| Gradebook::create(&path).map(drop));
        let opened: Vec<_> = (0..8).map(|_| open()).collect();
        opened.into_iter().for_each(|opened| opened.join().unwrap().unwrap());
    });
}

#[test]
fn nothing_is_written_where_a_part_of_it_cannot_be() {
    let folder = tempfile::tempdir().unwrap();
    let mut gradebook = Gradebook::create(&folder.path().join(FILE)).unwrap();
    let students = [student("a")];
    let due = [(("a", "lab"), Terms::default()), (("a", "lab"), Terms::default())];
    assert!(gradebook.begin(&run(), &students, due.into_iter()).is_err());
    assert_eq!(gradebook.runs().unwrap(), []);
}

#[test]
fn a_gradebook_of_the_first_version_is_brought_up_to_date_with_all_that_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    let old = Connection::open(&path).unwrap();
    old.execute_batch(MIGRATIONS[0]).unwrap();
    old.pragma_update(None, "application_id", APPLICATION).unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
    old.execute_batch(
        "INSERT INTO runs VALUES (1, 0, 1, 'h', 'batch', 'r', 'derived', '0', '1/1', '');
         INSERT INTO labs VALUES (1, 0, 'lab', 'A lab', 'v', 10.0);
         INSERT INTO students VALUES (1, 0, 'a', 'Ada', '');
         INSERT INTO submissions (run, student, lab, state, reason) VALUES (1, 'a', 'lab', 'missing', 'no branch');",
    )
    .unwrap();
    drop(old);
    let gradebook = Gradebook::open(&path).unwrap();
    let rows = gradebook.rows(1).unwrap();
    assert_eq!((rows[0].student.name.as_str(), rows[0].reason.as_str()), ("Ada", "no branch"));
    let columns: i64 = gradebook
        .connection
        .query_row("SELECT count(*) FROM pragma_table_info('submissions') WHERE name = 'attestation'", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(columns, 1);
}
