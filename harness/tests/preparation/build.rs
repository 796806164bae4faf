//! From a tree of sources to an image on disk.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use grader::confinement::Confinement;
use grader::course::Course;
use grader::image::{self, BuildError, Image, Level, Order, Outcome, Progress, Refusal, Toolchain};
use grader::lab::{mutant, solution};
use grader::source_tree::{Overlay, SourceTree, SourceTreeError};

use crate::fake::{Fake, write};

impl Fake {
    fn tree(&self, overlay: Overlay<'_>) -> SourceTree {
        SourceTree::new(&self.base(), &self.lab(), &self.kind(), overlay).unwrap()
    }

    fn with_answer(&self, text: &str) -> SourceTree {
        self.tree(Overlay::Submission(&BTreeMap::from([(PathBuf::from("src/answer.rs"), text.as_bytes().to_vec())])))
    }

    /// Builds, and says what was done on the way.
    fn build(&self, tree: &SourceTree, root: &str) -> (Result<Outcome, BuildError>, Vec<Progress>) {
        let kind = self.kind();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let progress = Mutex::new(Vec::new());
        let outcome = runtime.block_on(async {
            let toolchain = Toolchain::of(&self.kind().build, &self.course.root).await?;
            let trusted = self.tree(Overlay::Reference);
            let order = Order {
                course: &self.course,
                kind: &kind,
                tree,
                trusted: Some(&trusted),
                features: &[],
                toolchain: &toolchain,
                root: Path::new(root),
                cache: &self.cache,
                confinement: &confinement(),
            };
            image::build(&order, &|step| progress.lock().unwrap().push(step)).await
        });
        (outcome, progress.into_inner().unwrap())
    }

    fn image(&self, tree: &SourceTree) -> Image {
        match self.build(tree, "").0 {
            Ok(Outcome::Built(image)) => image,
            other => panic!("not built: {other:?}"),
        }
    }

    fn refusal(&self, tree: &SourceTree, root: &str) -> Refusal {
        match self.build(tree, root).0 {
            Ok(Outcome::Refused(refusal)) => refusal,
            other => panic!("not refused: {other:?}"),
        }
    }

    /// Replaces the kind's builder by a line of shell.
    fn build_with(&self, line: &str) {
        let path = self.path("course/labs/kernels/tiny/kernel.yaml");
        let text = fs::read_to_string(&path).unwrap();
        let (before, rest) = text.split_once("  messages: cargo\n").unwrap();
        let (_, after) = rest.split_once("  environment:").unwrap();
        let builder = format!("  messages: plain\n  limit: 1s\n  command: [sh, -c, \"{line}\"]\n  environment:");
        fs::write(path, format!("{before}{builder}{after}")).unwrap();
    }

    fn change_kind(&self, old: &str, new: &str) {
        let path = self.path("course/labs/kernels/tiny/kernel.yaml");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(old));
        fs::write(path, text.replace(old, new)).unwrap();
    }
}

/// Whatever the machine has.
pub fn confinement() -> Confinement {
    static FOUND: OnceLock<Confinement> = OnceLock::new();
    FOUND.get_or_init(|| Confinement::of_machine(true)).clone()
}

fn runs(image: &Image) -> bool {
    // The kernel of a real kind is QEMU's to run, so images need not be executable.
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("kernel");
    fs::copy(&image.kernel, &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let run = || std::process::Command::new(&program).stderr(std::process::Stdio::null()).status();
    loop {
        match run() {
            // What another test started meanwhile holds the copy open until it has become another program.
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {
                std::thread::sleep(Duration::from_millis(5));
            }
            status => return status.unwrap().success(),
        }
    }
}

#[test]
fn overlays_lay_in_what_the_lab_takes_and_nothing_else() {
    let fake = Fake::new();
    let own = fake.tree(Overlay::Reference);
    let starter = fake.tree(Overlay::Starter);
    let answer = Path::new("src/answer.rs");
    assert!(starter.taken[answer].ends_with(b"todo!()\n}\n"));
    let path = mutant::files(&fake.lab()).remove(0);
    let mutant = mutant::read(&path, &fake.lab(), &fake.kind(), &fake.course.root).unwrap();
    let mutated = fake.tree(Overlay::Mutant(&mutant));
    let reference = String::from_utf8_lossy(&own.taken[answer]).into_owned();
    assert_eq!(mutated.taken[answer], reference.replace("42", "41").into_bytes());

    let greedy = BTreeMap::from([(answer.to_owned(), b"x".to_vec()), (PathBuf::from("src/main.rs"), b"y".to_vec())]);
    let laid_in = fake.tree(Overlay::Submission(&greedy));
    assert_eq!(laid_in, fake.with_answer("x"), "a file that the lab does not take came in");
    let path = fake.path("course/labs/answer/solutions/other.yaml");
    fs::create_dir_all(path.with_extension("").join("src")).unwrap();
    fs::write(&path, "title: Another way\n").unwrap();
    fs::write(path.with_extension("").join(answer), "other").unwrap();
    let solution = solution::read(&path, &fake.lab(), &fake.kind()).unwrap();
    let other = fake.tree(Overlay::Solution(&solution));
    assert_eq!(other.taken[answer], b"other");

    let digests = [&own, &starter, &mutated, &laid_in, &other].map(|tree| tree.digest.clone());
    assert!(digests.iter().enumerate().all(|(index, one)| !digests[..index].contains(one)));
}

#[test]
fn a_file_that_was_not_taken_never_becomes_the_solution_s() {
    let fake = Fake::new();
    let nothing = BTreeMap::new();
    let tree = SourceTree::new(&fake.base(), &fake.lab(), &fake.kind(), Overlay::Submission(&nothing));
    assert!(matches!(tree, Err(SourceTreeError::Incomplete { .. })), "{tree:?}");
}

#[test]
fn a_folder_becomes_the_tree_and_what_did_not_change_keeps_its_time() {
    let fake = Fake::new();
    let folder = fake.path("slot");
    let own = fake.tree(Overlay::Reference);
    own.materialise(&folder, &[]).unwrap();
    let time = |path: &str| fs::metadata(folder.join(path)).unwrap().modified().unwrap();
    let before = (time("src/main.rs"), time("src/answer.rs"));
    write(&folder.join("src/left-over.rs"), "");
    write(&folder.join("target/kept"), "");
    write(&folder.join("src/bin/more/main.rs"), "");
    std::os::unix::fs::symlink("/etc", folder.join("src/link")).unwrap();

    fake.with_answer("changed").materialise(&folder, &[]).unwrap();
    assert_eq!(time("src/main.rs"), before.0);
    assert!(time("src/answer.rs") > before.1);
    assert_eq!(fs::read_to_string(folder.join("src/answer.rs")).unwrap(), "changed");
    assert!(!folder.join("src/left-over.rs").exists(), "a file of another submission is left");
    assert!(!folder.join("src/bin/more").exists(), "a folder of another submission is left");
    assert!(fs::symlink_metadata(folder.join("src/link")).is_err(), "a link of another submission is left");
    assert!(folder.join("target/kept").exists(), "what the builder keeps is gone");

    // As if the clock had been set back since the builder was at work.
    let tomorrow = std::time::SystemTime::now() + Duration::from_secs(86_400);
    fs::File::options().write(true).open(folder.join("target/kept")).unwrap().set_modified(tomorrow).unwrap();
    fake.with_answer("changed again").materialise(&folder, &[]).unwrap();
    assert!(time("src/answer.rs") > tomorrow, "what was built before seems to be made of the new file");
}

#[test]
fn a_correct_tree_is_built_once_and_then_found() {
    let fake = Fake::new();
    let tree = fake.tree(Overlay::Reference);
    let (_, progress) = fake.build(&tree, "");
    assert_eq!(progress, [Progress::Compiling]);
    let image = fake.image(&tree);
    assert!(image.cached && runs(&image));
    assert_eq!(fake.build(&tree, "").1, [], "a builder was started for what was there");
    assert_eq!(image.programs.keys().collect::<Vec<_>>(), ["hello"]);
    let initrd = || {
        let mut archive = Vec::new();
        image.packed().unwrap().write(&mut archive, &["hello".to_owned()], &BTreeMap::new()).unwrap();
        archive
    };
    assert_eq!(initrd(), initrd());
}

#[test]
fn trees_that_follow_each_other_in_one_folder_do_not_mix() {
    let fake = Fake::new();
    for answer in [41, 42, 43, 42] {
        let image = fake.image(&fake.with_answer(&format!("pub fn answer() -> u32 {{ {answer} }}")));
        assert_eq!(runs(&image), answer == 42, "{answer}");
    }
    assert!(runs(&fake.image(&fake.tree(Overlay::Reference))));
}

#[test]
fn an_image_does_not_depend_on_where_it_was_built() {
    let (one, two) = (Fake::new(), Fake::new());
    let images = [&one, &two].map(|fake| fake.image(&fake.tree(Overlay::Reference)));
    assert_eq!(images[0].digest, images[1].digest);
    let bytes = fs::read(&images[0].kernel).unwrap();
    assert_eq!(bytes, fs::read(&images[1].kernel).unwrap());
    let name = one.folder.path().file_name().unwrap().to_str().unwrap();
    assert!(!String::from_utf8_lossy(&bytes).contains(name), "the kernel names the folder that it was built in");
}

#[test]
fn what_the_compiler_refuses_is_shown_as_it_says_it_with_the_student_s_paths() {
    let fake = Fake::new();
    let tree = fake.with_answer("pub fn answer() -> u32 {\n    \"forty-two\"\n}\n");
    let refusal = fake.refusal(&tree, "");
    let error = refusal.first_error().unwrap();
    let place = error.place.as_ref().unwrap();
    assert_eq!((place.file.as_str(), place.line, place.column), ("src/answer.rs", 2, 5));
    assert_eq!(error.code.as_deref(), Some("E0308"));
    let shown = error.shown(false);
    assert!(shown.contains("--> src/answer.rs:2:5") && shown.contains("^^^") && !shown.contains('\x1b'), "{shown}");
    assert!(error.shown(true).contains("\x1b["));
    assert!(!shown.contains(fake.folder.path().to_str().unwrap()));

    let moved = fake.refusal(&tree, "tiny-kernel");
    let error = moved.first_error().unwrap();
    assert_eq!(error.place.as_ref().unwrap().file, "tiny-kernel/src/answer.rs");
    assert!(error.shown(false).contains("--> tiny-kernel/src/answer.rs:2:5"));
    assert!(moved.diagnostics.iter().all(|diagnostic| !diagnostic.message.starts_with("aborting")));
}

#[test]
fn a_build_reads_no_file_of_the_machine_and_none_of_another_build_s() {
    let fake = Fake::new();
    if confinement().landlock == 0 {
        eprintln!("skipped: this machine has no Landlock");
        return;
    }
    fake.image(&fake.tree(Overlay::Reference));
    let secrets = [fake.path("course/labs/answer/lab.yaml"), fake.path("cache/builds/tiny-own-0/tree/src/answer.rs")];
    for secret in secrets.iter().map(PathBuf::as_path).chain([Path::new("/etc/passwd")]) {
        assert!(secret.exists(), "{}", secret.display());
        let refusal = fake.refusal(&fake.with_answer(&format!("const X: &str = include_str!({secret:?});")), "");
        let message = &refusal.first_error().unwrap().message;
        assert!(message.contains("couldn't read") && message.contains("Permission denied"), "{message}");
    }
}

#[test]
fn a_submission_is_built_of_its_own_files_though_the_clock_was_set_back() {
    let fake = Fake::new();
    let answer = |answer: u32| fake.with_answer(&format!("pub fn answer() -> u32 {{ {answer} }}"));
    assert!(!runs(&fake.image(&answer(41))));
    // As if what was made of the course's own tree had been made tomorrow.
    let tomorrow = std::time::SystemTime::now() + Duration::from_secs(86_400);
    let mut left = vec![fake.path("cache/products")];
    let mut files = 0;
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                left.push(entry.path());
            } else if entry.path().iter().any(|name| name == "target") {
                fs::File::options().write(true).open(entry.path()).unwrap().set_modified(tomorrow).unwrap();
                files += 1;
            }
        }
    }
    assert!(files > 10, "{files} files of the course's own build are kept");
    assert!(!runs(&fake.image(&answer(43))), "the course's own answer stands in for the submission's");
}

#[test]
fn what_a_submission_s_build_leaves_is_gone_before_the_next() {
    let fake = Fake::new();
    let builder = "[ ! -e left ] && touch left $HOME/left $TMPDIR/left && mkdir -p target/release && \
                   cp src/answer.rs target/release/tiny && cp src/answer.rs target/release/hello";
    fake.build_with(builder);
    for text in ["one", "two"] {
        let image = fake.image(&fake.with_answer(text));
        assert_eq!(fs::read_to_string(&image.kernel).unwrap(), text);
    }
    assert!(!fake.path("cache/builds/tiny-submission-0").exists());
}

#[test]
fn a_kernel_that_is_a_link_to_a_file_of_the_machine_is_not_taken() {
    let fake = Fake::new();
    fake.build_with("mkdir -p target/release && ln -s /etc/passwd target/release/tiny && touch target/release/hello");
    let (outcome, _) = fake.build(&fake.with_answer(""), "");
    let error = outcome.unwrap_err();
    assert!(grader::runner::chain(&error).contains("is a symbolic link"), "{error}");
}

#[test]
fn a_build_without_end_to_its_appetite_is_the_submission_s_fault() {
    let fake = Fake::new();
    fake.build_with("i=0; while :; do i=$((i+1)); echo >file$i; done");
    fake.change_kind("limit: 1s", "limit: 60s");
    let refusal = fake.refusal(&fake.with_answer(""), "");
    assert_eq!(refusal.reason.as_deref(), Some("its build makes more than 50000 files"));
    assert!(!fake.path("cache/builds/tiny-submission-0").exists());
}

#[test]
fn what_a_build_leaves_counts_though_it_has_ended_before_anybody_looked() {
    let fake = Fake::new();
    // Large files that take no time to make.
    fake.build_with("mkdir -p target; for name in one two three; do fallocate --length 1000MiB target/$name; done");
    let refusal = fake.refusal(&fake.with_answer("pub fn answer() -> u32 { 42 }\n"), "");
    assert_eq!(refusal.reason.as_deref(), Some("its build writes more than 2048 MiB"));
}

#[test]
fn a_source_that_keeps_the_compiler_busy_for_ever_is_the_submission_s_fault() {
    let fake = Fake::new();
    fake.build_with("while :; do :; done");
    fake.change_kind("limit: 1s", "limit: 4s");
    let kept_busy = "its build takes more than 2 s of processor time";
    match fake.build(&fake.with_answer(""), "").0 {
        Ok(Outcome::Refused(refusal)) => assert_eq!(refusal.reason.as_deref(), Some(kept_busy)),
        // On a machine with no time for it.
        Err(BuildError::Overtime { .. }) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_builder_sees_none_of_our_environment() {
    let fake = Fake::new();
    fake.build_with("env >seen; mkdir -p target/release; cp seen target/release/tiny; cp seen target/release/hello");
    let image = fake.image(&fake.tree(Overlay::Reference));
    let seen = fs::read_to_string(&image.kernel).unwrap();
    let known = [
        "PATH",
        "HOME",
        "TMPDIR",
        "CARGO_HOME",
        "RUSTUP_HOME",
        "RUSTUP_TOOLCHAIN",
        "LC_ALL",
        "PWD",
        "OLDPWD",
        "SHLVL",
        "_",
    ];
    let of_kind = ["CARGO_TERM_COLOR", "CARGO_TERM_PROGRESS_WHEN", "CARGO_TARGET_DIR", "RUSTC_WRAPPER"];
    for name in seen.lines().filter_map(|line| Some(line.split_once('=')?.0)) {
        assert!(known.contains(&name) || of_kind.contains(&name), "{name}");
    }
    let home = seen.lines().find_map(|line| line.strip_prefix("HOME=")).unwrap();
    assert!(Path::new(home).starts_with(fake.path("cache/builds")), "{home}");
}

#[test]
fn warnings_are_kept_with_the_image() {
    let fake = Fake::new();
    let tree = fake.with_answer("pub fn answer() -> u32 { let unused = 1; 42 }\n");
    for _ in 0..2 {
        let image = fake.image(&tree);
        assert!(
            image.warnings.iter().any(|warning| warning.level == Level::Warning && warning.message.contains("unused"))
        );
    }
}

#[test]
fn a_flood_of_errors_is_bounded_and_counted() {
    let fake = Fake::new();
    let many: String = (0..400).map(|number| format!("fn f{number}() -> u32 {{ missing{number} }}\n")).collect();
    let refusal = fake.refusal(&fake.with_answer(&many), "");
    assert!(refusal.diagnostics.len() <= 100);
    assert!(refusal.omitted >= 300, "{}", refusal.omitted);
}

#[test]
fn a_reference_that_does_not_build_is_our_fault() {
    let fake = Fake::new();
    write(&fake.path("course/tiny-kernel/src/answer.rs"), "broken");
    let (outcome, _) = fake.build(&fake.tree(Overlay::Reference), "");
    assert!(matches!(outcome, Err(BuildError::OwnTree { .. })), "{outcome:?}");
}

#[test]
fn faults_of_the_machine_are_told_from_those_of_the_source() {
    let fake = Fake::new();
    fake.change_kind("    - cargo\n    - build", "    - no-such-builder\n    - build");
    let (outcome, _) = fake.build(&fake.with_answer("broken"), "");
    assert!(matches!(&outcome, Err(BuildError::ToolMissing { program, .. }) if program == "no-such-builder"));

    let fake = Fake::new();
    fake.change_kind("  kernel: target", "  target: riscv99-unknown-none\n  kernel: target");
    let error = fake.build(&fake.with_answer("broken"), "").0.unwrap_err();
    assert!(error.to_string().contains("rustup target add riscv99-unknown-none"), "{error}");

    let fake = Fake::new();
    fake.change_kind("target/release/tiny", "target/release/tinny");
    let (outcome, _) = fake.build(&fake.tree(Overlay::Reference), "");
    assert!(matches!(outcome, Err(BuildError::OutputMissing { .. })), "{outcome:?}");
}

#[test]
fn dependencies_that_cannot_be_had_are_our_fault_with_the_command_to_type() {
    let fake = Fake::new();
    let manifest = fs::read_to_string(fake.path("course/tiny-kernel/Cargo.toml")).unwrap();
    write(
        &fake.path("course/tiny-kernel/Cargo.toml"),
        &(manifest + "\n[dependencies]\nno-such-crate-of-ours = \"9\"\n"),
    );
    write(
        &fake.path("course/tiny-kernel/Cargo.lock"),
        "version = 4\n\n[[package]]\nname = \"no-such-crate-of-ours\"\nversion = \"9.0.0\"\nsource = \"registry+https://github.com/rust-lang/crates.io-index\"\nchecksum = \"0000000000000000000000000000000000000000000000000000000000000000\"\n\n[[package]]\nname = \"tiny\"\nversion = \"0.1.0\"\ndependencies = [\n \"no-such-crate-of-ours\",\n]\n",
    );
    // Without a network, as the offline variant of the command fails at once.
    fake.change_kind("  kernel: target", "  fetch: [cargo, fetch, --locked, --offline]\n  kernel: target");
    let (outcome, progress) = fake.build(&fake.tree(Overlay::Reference), "");
    let Err(error @ BuildError::Dependencies { .. }) = outcome else { panic!("{outcome:?}") };
    assert!(error.to_string().contains("&& cargo fetch --locked --offline"), "{error}");
    assert!(progress.iter().any(|step| matches!(step, Progress::Fetching(_))));
}

/// A builder that starts something which would leave a mark two seconds later, and waits for it.
fn slow(fake: &Fake) -> PathBuf {
    fake.build_with("sh -c 'touch begun; sleep 2; touch mark' & echo started; wait");
    fake.path("cache/builds/tiny-own-0/tree/mark")
}

#[test]
fn a_builder_that_does_not_end_is_ended_with_all_that_it_started() {
    let fake = Fake::new();
    let mark = slow(&fake);
    let (outcome, _) = fake.build(&fake.tree(Overlay::Reference), "");
    assert!(matches!(outcome, Err(BuildError::Overtime { .. })), "{outcome:?}");
    std::thread::sleep(Duration::from_millis(2500));
    assert!(mark.with_file_name("begun").exists(), "the builder cannot have left a mark");
    assert!(!mark.exists(), "a grandchild lived on");
}

#[test]
fn a_build_that_is_given_up_ends_all_that_it_started() {
    let fake = Fake::new();
    let mark = slow(&fake);
    fake.change_kind("limit: 1s", "limit: 60s");
    let (kind, tree) = (fake.kind(), fake.tree(Overlay::Reference));
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let toolchain = Toolchain::of(&fake.kind().build, &fake.course.root).await.unwrap();
        let (course, cache, root) = (&fake.course, &fake.cache, Path::new(""));
        let confinement = confinement();
        let (toolchain, confinement) = (&toolchain, &confinement);
        let order = Order {
            course,
            kind: &kind,
            tree: &tree,
            trusted: None,
            features: &[],
            toolchain,
            root,
            cache,
            confinement,
        };
        let (started, wait) = tokio::sync::oneshot::channel();
        let started = Mutex::new(Some(started));
        let watch = |step| {
            if step == Progress::Compiling {
                started.lock().unwrap().take().unwrap().send(()).unwrap();
            }
        };
        let build = image::build(&order, &watch);
        tokio::select! {
            outcome = build => panic!("it ended: {outcome:?}"),
            () = async { wait.await.unwrap(); tokio::time::sleep(Duration::from_millis(700)).await } => {}
        }
    });
    std::thread::sleep(Duration::from_millis(2500));
    assert!(mark.with_file_name("begun").exists(), "the builder cannot have left a mark");
    assert!(!mark.exists(), "a grandchild lived on");
}

#[test]
fn a_c_compiler_s_errors_are_read_from_plain_output() {
    let fake = Fake::new();
    fake.build_with("echo CC answer; echo \\\"src/answer.rs:3:7: error: expected ';'\\\" >&2; exit 2");
    let refusal = fake.refusal(&fake.with_answer("int x"), "tiny-kernel");
    let error = refusal.first_error().unwrap();
    let place = error.place.as_ref().unwrap();
    assert_eq!((place.file.as_str(), place.line, place.column), ("tiny-kernel/src/answer.rs", 3, 7));
    assert!(refusal.log.contains("CC answer"));
}

#[test]
fn a_full_disk_is_ours_and_a_source_that_only_says_so_is_not() {
    let fake = Fake::new();
    fake.build_with("echo 'error: could not write output: No space left on device' >&2; exit 101");
    let (outcome, _) = fake.build(&fake.with_answer(""), "");
    assert!(matches!(outcome, Err(BuildError::DiskFull { .. })), "{outcome:?}");

    let fake = Fake::new();
    fake.refusal(&fake.with_answer("compile_error!(\"No space left on device\");"), "");
}

#[test]
fn two_graders_at_once_build_the_same_tree_once() {
    let fake = Fake::new();
    let tree = fake.tree(Overlay::Reference);
    let built: Vec<bool> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(|| fake.image(&tree).cached)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(built.iter().filter(|cached| !**cached).count(), 1, "{built:?}");
}

#[test]
fn the_course_s_digest_follows_what_decides_a_grade() {
    let fake = Fake::new();
    let digest = |course: &Course| course.digest(&fake.lab(), &fake.kind()).unwrap();
    let before = digest(&fake.course);
    write(&fake.path("course/labs/other/notes.md"), "");
    assert_eq!(digest(&fake.course), before);
    write(&fake.path("course/tiny-kernel/src/bin/hello.rs"), "fn main() {}");
    assert_ne!(digest(&fake.course), before);
}
