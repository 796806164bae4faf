//! Classes graded with a stand-in for the runner, so that what is tested is the batch and nothing takes long.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::AtomicU32;

use git2::{Repository, Signature, Time};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::watch;

mod changes;
mod shards;

use super::*;
use crate::confinement::policy::Whose;
use crate::event::Listener;
use crate::grade::Grade;
use crate::gradebook::canonical;
use crate::lab::read::Judges;
use crate::runner::{Job, RunError};
use crate::{oracle, subject};

const LAB: &str = "lab6-2-buddy";
const FILE: &str = "mm/src/page/buddy.rs";

/// A course, a class, and a folder for what comes of it.
pub struct Scene {
    folder: PathBuf,
    _temporary: Option<TempDir>,
    course: Course,
    cache: Cache,
    kinds: BTreeMap<KindId, Kind>,
    labs: Vec<Lab>,
}

/// What each student of a class hands in; `None` is nobody's branch.
fn class(students: usize) -> Vec<(String, Option<String>)> {
    let text = |number: usize| match number % 10 {
        // Two of ten hand in the same.
        3 | 7 => Some("fn same() {}".to_owned()),
        5 => None,
        _ => Some(format!("fn of_{number}() {{}}")),
    };
    (0..students).map(|number| (format!("s{number:03}"), text(number))).collect()
}

impl Scene {
    fn new(students: &[(String, Option<String>)]) -> Self {
        let temporary = TempDir::new().expect("a folder");
        let folder = temporary.path().to_owned();
        let repository = Repository::init_bare(folder.join("all.git")).expect("a repository");
        for (student, text) in students {
            let Some(text) = text else { continue };
            let blob = |text: &str| repository.blob(text.as_bytes()).expect("a blob");
            let mut index = git2::Index::new().expect("an index");
            for (path, content) in [("Cargo.toml", ""), ("mm/Cargo.toml", ""), (FILE, text.as_str())] {
                let id = blob(content);
                let entry = git2::IndexEntry {
                    ctime: git2::IndexTime::new(0, 0),
                    mtime: git2::IndexTime::new(0, 0),
                    dev: 0,
                    ino: 0,
                    mode: 0o100_644,
                    uid: 0,
                    gid: 0,
                    file_size: 0,
                    id,
                    flags: 0,
                    flags_extended: 0,
                    path: path.as_bytes().to_vec(),
                };
                index.add(&entry).expect("an entry");
            }
            let tree = repository.find_tree(index.write_tree_to(&repository).expect("a tree")).expect("the tree");
            let who = Signature::new("A", "a@example.org", &Time::new(1000, 0)).expect("a signature");
            let branch = format!("refs/heads/{student}");
            repository.commit(Some(&branch), &who, &who, "Work", &tree, &[]).expect("a commit");
        }
        let mut roster = String::from("id,name,repository,branch\n");
        students.iter().for_each(|(id, _)| roster.push_str(&format!("{id},Name of {id},all.git,{{id}}\n")));
        fs::write(folder.join("class.csv"), roster).expect("a roster");
        Self { _temporary: Some(temporary), ..Self::at(folder) }
    }

    fn at(folder: PathBuf) -> Self {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the course");
        let cache = Cache::at(folder.join("cache")).expect("a cache");
        let course = Course::find(Some(&root), &root, &cache).expect("the course");
        let judges = Judges { oracles: oracle::NAMES, subjects: &subject::SUBJECTS };
        let labs = vec![course.lab(LAB, judges).expect("the lab")];
        let kinds = course.kinds().expect("kinds");
        Self { folder, _temporary: None, course, cache, kinds, labs }
    }

    fn roster(&self) -> Roster {
        Roster::read(&self.folder.join("class.csv"), &[self.labs[0].id.clone()]).expect("a roster")
    }

    fn out(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn grade(&self, name: &str, change: impl FnOnce(&mut Batch<'_>), grader: &StandIn) -> Result<Summary, BatchError> {
        let (roster, out) = (self.roster(), self.out(name));
        let mut batch = Batch {
            course: &self.course,
            cache: &self.cache,
            kinds: &self.kinds,
            labs: &self.labs,
            roster: &roster,
            kernel: None,
            handout: None,
            policy: Policy { whose: Whose::SomebodyElses, waived: Vec::new() },
            seed: Choice::Derived,
            seed_name: "derived".to_owned(),
            out: &out,
            jobs: 2,
            shard: Shard::WHOLE,
            which: Which::All,
            use_cache: true,
            fail_fast: false,
        };
        change(&mut batch);
        let (_tell, cancel) = watch::channel(false);
        super::grade(&batch, grader, &mut Silent, &cancel)
    }

    fn gradebook(&self, name: &str) -> Gradebook {
        Gradebook::open(&self.out(name).join(gradebook::FILE)).expect("a gradebook")
    }

    fn statuses(&self, name: &str) -> Vec<(String, String)> {
        let gradebook = self.gradebook(name);
        let run = gradebook.run(None).expect("a run");
        let rows = gradebook.rows(run.id).expect("rows");
        rows.iter().map(|row| (row.student.student.clone(), row.status().to_owned())).collect()
    }

    fn canonical(&self, name: &str) -> String {
        let gradebook = self.gradebook(name);
        let run = gradebook.run(None).expect("a run");
        canonical(&gradebook, run.id).expect("a text")
    }
}

/// Grades by what is in the files alone, and counts how often it was asked.
#[derive(Default)]
pub struct StandIn {
    graded: AtomicU32,
    /// For these the machine fails, so many times.
    faults: Mutex<Vec<(String, u32)>>,
    pause: Duration,
    /// What a grader must not have.
    mood: usize,
}

impl StandIn {
    fn count(&self) -> u32 {
        self.graded.load(Relaxed)
    }

    fn failing(student: &str, times: u32) -> Self {
        Self { faults: Mutex::new(vec![(student.to_owned(), times)]), ..Self::default() }
    }

    fn fails(&self, branch: &str) -> bool {
        let mut faults = self.faults.lock().unwrap();
        let fault = faults.iter_mut().find(|(student, times)| student == branch && *times > 0);
        fault.map(|(_, times)| *times -= 1).is_some()
    }
}

impl Grader for StandIn {
    fn with(&self, _: &Lab, _: &Kind) -> Option<String> {
        Some("a stand-in".to_owned())
    }

    fn grade(&self, job: &Job<'_>, _: &mut dyn Listener) -> Result<Grade, RunError> {
        self.graded.fetch_add(1, Relaxed);
        std::thread::sleep(self.pause);
        let files = job.submission.files.clone().unwrap_or_default();
        let length = files.values().map(Vec::len).sum::<usize>();
        let branch = match &job.submission.origin {
            crate::submission::Origin::Commit { name, .. } => name.clone(),
            _ => String::new(),
        };
        let verdict = match (self.fails(&branch), (length + self.mood) % 2) {
            (true, _) => json!({ "verdict": "error", "reason": "the machine is on fire" }),
            (false, 0) => json!({ "verdict": "pass" }),
            (false, _) => json!({ "verdict": "fail", "reason": "it has an odd length" }),
        };
        let earned = if verdict["verdict"] == "pass" { 100.0 } else { 0.0 };
        let mut check = json!({
            "id": "length", "title": "It has an even length", "proof": "trace", "sessions": ["mixed"],
            "points": { "earned": earned, "max": 100.0 },
        });
        check.as_object_mut().unwrap().extend(verdict.as_object().unwrap().clone());
        let grade: Grade = serde_json::from_value(json!({
            "schema": "grader/grade/v1",
            "lab": { "id": LAB, "title": "Buddy", "version": job.lab.version, "kernel": "reference" },
            "submission": runner_submission(job),
            "seed": format!("{length:#018x}"),
            "reproduce": format!("{} --seed {length:#018x}", job.command),
            "tools": { "grader": "0", "course": "c", "compiler": "rustc", "qemu": "7" },
            "partial": false,
            "points": { "earned": earned, "max": 100.0 },
            "build": { "outcome": "built", "source": "" },
            "sessions": [],
            "checks": [check],
            "times": { "started": 0, "total": 0.1, "build": 0.0, "boots": 0.0, "harness": 0.0, "sessions": {} },
        }))
        .expect("a grade");
        let folder = job.folder.expect("a folder");
        folder.begin()?;
        folder.save_grade(&grade)?;
        Ok(grade)
    }
}

fn runner_submission(job: &Job<'_>) -> serde_json::Value {
    serde_json::to_value(crate::runner::submission_of(job, BTreeMap::new())).expect("JSON")
}

#[test]
fn a_class_is_graded_once_each_and_what_was_not_handed_in_is_missing_and_no_zero() {
    let scene = Scene::new(&class(20));
    let grader = StandIn::default();
    let summary = scene.grade("out", |_| {}, &grader).unwrap();
    assert!(!summary.unfinished);
    let statuses = scene.statuses("out");
    assert_eq!(statuses.len(), 20);
    for (student, status) in &statuses {
        let due = if student.ends_with('5') { "missing" } else { "passed or failed" };
        assert!(due.contains(status.as_str()), "{student} is {status}");
    }
    // Of eighteen submissions four have the same content.
    assert_eq!(grader.count(), 15);
    let again = StandIn::default();
    scene.grade("out", |_| {}, &again).unwrap();
    assert_eq!(again.count(), 0, "nothing changed, so nothing is graded");
    let elsewhere = StandIn::default();
    scene.grade("elsewhere", |_| {}, &elsewhere).unwrap();
    assert_eq!((elsewhere.count(), scene.canonical("elsewhere")), (0, scene.canonical("out")));
    let anew = StandIn::default();
    scene.grade("anew", |batch| batch.use_cache = false, &anew).unwrap();
    assert_eq!((anew.count(), scene.canonical("anew")), (18, scene.canonical("out")));
}

#[test]
fn a_fault_of_ours_is_tried_again_and_if_it_stays_it_is_an_error_and_no_zero() {
    let scene = Scene::new(&class(4));
    let twice = StandIn::failing("s001", 2);
    scene.grade("out", |_| {}, &twice).unwrap();
    assert!(scene.statuses("out").iter().all(|(_, status)| status != "error"));
    let scene = Scene::new(&class(4));
    scene.grade("out", |_| {}, &StandIn::failing("s001", 100)).unwrap();
    let gradebook = scene.gradebook("out");
    let rows = gradebook.rows(gradebook.run(None).unwrap().id).unwrap();
    assert_eq!((rows[1].status(), rows[1].attempts, &rows[1].grade), ("error", 3, &None));
    assert_eq!(rows[1].reason, "the machine is on fire");
    // When the machine is mended, the run goes on, and comes to the same as one that nothing disturbed.
    scene.grade("out", |batch| batch.which = Which::Resume, &StandIn::default()).unwrap();
    assert!(scene.statuses("out").iter().all(|(_, status)| status != "error"));
    let undisturbed = Scene { folder: scene.folder.clone(), ..Scene::at(scene.folder.clone()) };
    undisturbed.grade("undisturbed", |batch| batch.use_cache = false, &StandIn::default()).unwrap();
    assert_eq!(scene.canonical("out"), undisturbed.canonical("undisturbed"));
}

#[test]
fn fail_fast_stops_at_the_first_fault_of_ours() {
    let scene = Scene::new(&class(40));
    let grader = StandIn { pause: Duration::from_millis(5), ..StandIn::failing("s000", 100) };
    let summary = scene.grade("out", |batch| batch.fail_fast = true, &grader).unwrap();
    assert!(summary.unfinished);
    assert!(scene.statuses("out").iter().any(|(_, status)| status == "not graded yet"));
}

#[test]
fn only_some_can_be_graded_and_those_that_failed_alone_again() {
    let scene = Scene::new(&class(10));
    scene
        .grade("out", |batch| batch.which = Which::Only(regex::Regex::new("s00[12]").unwrap()), &StandIn::default())
        .unwrap();
    assert_eq!(scene.statuses("out").len(), 2);
    let error =
        scene.grade("out", |batch| batch.which = Which::Only(regex::Regex::new("x").unwrap()), &StandIn::default());
    assert!(matches!(error, Err(BatchError::Nobody)));
    scene.grade("out", |_| {}, &StandIn::failing("s002", 100)).unwrap();
    let before = scene.statuses("out");
    let grader = StandIn::default();
    scene.grade("out", |batch| (batch.which, batch.use_cache) = (Which::Failed, false), &grader).unwrap();
    let not_passed = before.iter().filter(|(_, status)| status != "passed" && status != "missing").count();
    assert_eq!(grader.count() as usize, not_passed);
    let after = scene.statuses("out");
    assert_eq!(after.len(), before.len(), "the others are still there");
    assert!(after.iter().all(|(_, status)| status != "error"));
}

#[test]
fn what_changed_since_a_run_began_is_named_when_it_is_to_go_on() {
    let scene = Scene::new(&class(4));
    scene.grade("out", |_| {}, &StandIn::default()).unwrap();
    let resume = |batch: &mut Batch<'_>| {
        batch.which = Which::Resume;
        batch.seed_name = "0x1".to_owned();
        batch.shard = "1/2".parse().unwrap();
    };
    let error = scene.grade("out", resume, &StandIn::default()).unwrap_err().to_string();
    assert!(error.contains("the seed, the shard"), "{error}");
}

#[test]
fn two_graders_do_not_grade_into_the_same_folder() {
    let scene = Scene::new(&class(2));
    fs::create_dir_all(scene.out("out")).unwrap();
    let _lock = alone(&scene.out("out")).unwrap();
    let error = scene.grade("out", |_| {}, &StandIn::default());
    assert!(matches!(error, Err(BatchError::Busy { .. })));
}

/// Names the folder of the class for the process that is to be killed, the folder in it to grade into, and the part.
const CHILD: &str = "GRADER_TEST_CLASS";

#[test]
#[ignore = "the process that other tests kill"]
fn grades_a_class_until_it_is_killed() {
    let told = std::env::var(CHILD).expect("the folder of a class");
    let [folder, out, shard] = told.split('\n').collect::<Vec<_>>()[..] else { panic!("{told:?}") };
    let scene = Scene::at(PathBuf::from(folder));
    let grader = StandIn { pause: Duration::from_millis(10), ..StandIn::default() };
    let shard = shard.parse().expect("a part");
    let summary = scene.grade(out, |batch| (batch.which, batch.shard) = (Which::Resume, shard), &grader);
    assert!(!summary.expect("a graded class").unfinished);
}

impl Scene {
    /// Grades in a process of its own, which is killed after this time if it takes that long; answers whether it was.
    fn grade_and_kill(&self, out: &str, shard: &str, after: Duration) -> bool {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "batch::tests::grades_a_class_until_it_is_killed", "--ignored"])
            .env(CHILD, format!("{}\n{out}\n{shard}", self.folder.display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let from = std::time::Instant::now();
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                assert!(status.success(), "{status}");
                return false;
            }
            if from.elapsed() > after {
                child.kill().unwrap();
                child.wait().unwrap();
                return true;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn a_run_that_is_killed_at_any_moment_and_goes_on_comes_to_the_same_as_one_that_is_not() {
    const MOST_KILLS: u64 = 200;
    let scene = Scene::new(&class(20));
    scene.grade("undisturbed", |batch| batch.use_cache = false, &StandIn::default()).unwrap();
    let mut kills = 0;
    // From before the gradebook is there to after everything is done, in steps that never repeat.
    let wait = |kills: u64| Duration::from_micros((kills * 7_919 + 2_000) % 150_000 + kills * 2_000);
    while scene.grade_and_kill("out", "1/1", wait(kills)) {
        kills += 1;
        assert!(kills < MOST_KILLS, "it never comes to an end");
    }
    assert!(kills > 0);
    assert_eq!(scene.canonical("out"), scene.canonical("undisturbed"), "after {kills} kills");
    let drafts = fs::read_dir(scene.out("out").join(TRANSCRIPTS)).unwrap().flatten();
    assert_eq!(drafts.filter(|entry| entry.file_name().to_string_lossy().starts_with(".new")).count(), 0);
}
