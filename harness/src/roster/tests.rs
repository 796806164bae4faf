//! What a teaching assistant's roster can say, and what is said of a wrong one.

use std::fs;

use tempfile::TempDir;

use super::*;

fn labs() -> Vec<LabId> {
    ["lab6-1-bestfit", "lab6-2-buddy"].map(|id| LabId(id.to_owned())).into()
}

fn buddy() -> LabId {
    LabId("lab6-2-buddy".to_owned())
}

fn read(files: &[(&str, &str)]) -> (TempDir, Result<Roster, RosterError>) {
    let folder = TempDir::new().expect("a folder");
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("a file");
    }
    let roster = Roster::read(&folder.path().join(files[0].0), &labs());
    (folder, roster)
}

fn right(files: &[(&str, &str)]) -> (TempDir, Roster) {
    let (folder, roster) = read(files);
    (folder, roster.unwrap_or_else(|error| panic!("{error}")))
}

/// Each line of what is said of a wrong roster, without the file's folder.
fn complaints(files: &[(&str, &str)]) -> Vec<String> {
    let (folder, roster) = read(files);
    let text = roster.expect_err("it is wrong").to_string();
    let root = format!("{}/", folder.path().display());
    text.lines().skip(1).map(|line| line.replace(&root, "")).collect()
}

#[test]
fn a_table_alone_is_a_roster() {
    let (_folder, roster) = right(&[(
        "class.csv",
        "id,name,repository,branch,due\n\
         007,Ada,https://git.example.org/os/course-{id}.git,,2026-11-20 23:59 Europe/Berlin\n\
         s2,\"Hopper, Grace\",/srv/git/{id},work-{lab},\n",
    )]);
    let [ada, grace] = &roster.students[..] else { panic!("{roster:?}") };
    assert_eq!((ada.id.as_str(), grace.name.as_str()), ("007", "Hopper, Grace"));
    let assignment = roster.assignment(ada, &buddy());
    assert_eq!(assignment.repository, "https://git.example.org/os/course-007.git");
    assert_eq!(assignment.wanted, Wanted::Branch("lab6-2-buddy".into()));
    assert_eq!(assignment.due.unwrap().to_string(), "2026-11-20 23:59:00 +01:00 (Europe/Berlin)");
    let assignment = roster.assignment(grace, &buddy());
    assert_eq!(assignment.repository, "/srv/git/s2");
    assert_eq!((assignment.wanted, assignment.due), (Wanted::Branch("work-lab6-2-buddy".into()), None));
}

#[test]
fn one_bare_repository_can_have_a_branch_of_each_student() {
    let (folder, roster) =
        right(&[("class.yaml", "repository: all.git\nbranch: \"{id}/{lab}\"\nstudents: [{ id: s1 }, { id: 0042 }]\n")]);
    let assignment = roster.assignment(&roster.students[1], &buddy());
    assert_eq!(assignment.repository, folder.path().join("all.git").display().to_string());
    assert_eq!(assignment.wanted, Wanted::Branch("0042/lab6-2-buddy".into()), "zeros in front belong to an id");
}

#[test]
fn what_a_row_says_beats_the_lab_s_and_the_lab_s_beats_the_class_s() {
    let (_folder, roster) = right(&[
        (
            "class.yaml",
            "zone: Europe/Berlin\nrepository: \"r/{id}\"\ndue: 2026-11-01 12:00\n\
             labs: { lab6-2-buddy: { due: 2026-11-08 12:00, tag: done } }\nstudents: class.csv\n",
        ),
        (
            "class.csv",
            "id,due,branch,extension,Matrikelnummer\n\
             s1,,,,1\ns2,2026-11-10 12:00,,,2\ns3,,mine,\"2d, lab6-2-buddy=1w\",3\n",
        ),
    ]);
    let shown = |student: usize, lab: &str| {
        let assignment = roster.assignment(&roster.students[student], &LabId(lab.to_owned()));
        let due = assignment.due.unwrap().to_string();
        format!("{} {}", assignment.wanted, &due[..10])
    };
    assert_eq!(shown(0, "lab6-1-bestfit"), "branch lab6-1-bestfit 2026-11-01");
    assert_eq!(shown(0, "lab6-2-buddy"), "tag done 2026-11-08");
    assert_eq!(shown(1, "lab6-2-buddy"), "tag done 2026-11-10");
    assert_eq!(shown(2, "lab6-2-buddy"), "branch mine 2026-11-15");
    assert_eq!(shown(2, "lab6-1-bestfit"), "branch mine 2026-11-03");
}

#[test]
fn everything_that_is_wrong_is_said_at_once_with_its_line() {
    let said = complaints(&[(
        "class.csv",
        "id,name,repository,due,extension\n\
         s1,Ada,r/{id},2026-11-20 23:59,\n\
         s1,Grace,r/{id}-2,,\n\
         ../x,Eve,r/x,,\n\
         s4,Mal,r/{login},,\n\
         s5,,,,\n\
         s6,,r/s6,,lab6-2-budy=1d\n\
         S6,,r/7,,soon\n",
    )]);
    let due = [
        ("2:15", "no time zone"),
        ("3:1", "`s1` is there twice, first in line 2"),
        ("4:1", "`../x` is not an id"),
        ("5:1", "`{login}`"),
        ("6:1", "needs the key `repository`"),
        ("7:11", "no lab `lab6-2-budy` (did you mean `lab6-2-buddy`?"),
        ("8:1", "`S6` is there twice, first in line 7"),
        ("8:10", "`soon` is not an extension"),
    ];
    assert_eq!(said.len(), due.len(), "{said:#?}");
    for (said, (place, what)) in said.iter().zip(due) {
        assert!(said.starts_with(&format!("class.csv:{place}")) && said.contains(what), "{said} where {what} was due");
    }
}

#[test]
fn two_students_hand_in_the_same_only_as_a_group() {
    let roster = |group: &str| format!("id,group,repository\ns1,a,r/x\ns2,{group},r/x\n");
    right(&[("class.csv", &roster("a"))]);
    for group in ["b", ""] {
        let said = complaints(&[("class.csv", &roster(group))]);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].starts_with("class.csv:3:1: student s2 hands in what line 2 hands in already"), "{said:?}");
    }
}

#[test]
fn a_column_that_was_misspelt_is_not_passed_over() {
    let said = complaints(&[("class.csv", "id,repositry\ns1,r/x\n")]);
    assert!(said.iter().any(|line| line.contains("class.csv:1:4") && line.contains("`repository`")), "{said:?}");
    let said = complaints(&[("class.yaml", "zone: Berlin\nstudent: []\nlabs: { lab7: {} }\n")]);
    for what in ["class.yaml:1:7: `Berlin` is not a time zone", "no key `student`", "no lab `lab7`"] {
        assert!(said.iter().any(|line| line.contains(what)), "{what} in {said:#?}");
    }
}

#[test]
fn a_table_in_an_old_code_is_named_and_not_misread() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("class.csv");
    fs::write(&path, b"id,name,repository\ns1,Ada,r/1\ns2,M\xfcller,r/2\n").unwrap();
    let error = Roster::read(&path, &labs()).unwrap_err().to_string();
    assert!(error.contains("class.csv:3:1: this is no UTF-8"), "{error}");
}

#[test]
fn ten_thousand_students_are_read_in_no_time() {
    let mut text = "id,name,repository,group\n".to_owned();
    (0..10_000).for_each(|number| text.push_str(&format!("s{number},Name {number},r/{{id}},g{number}\n")));
    let start = std::time::Instant::now();
    let (_folder, roster) = right(&[("class.csv", &text)]);
    assert_eq!(roster.students.len(), 10_000);
    assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
}
