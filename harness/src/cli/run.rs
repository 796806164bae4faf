//! `grader run`

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::failure::Failure;
use super::reports::Publisher;
use super::{Context, Run, judges, terminal};
use crate::cache::Cache;
use crate::confinement::policy::{Policy, Whose};
use crate::event::Listener;
use crate::grade::{Grade, Outcome};
use crate::lab::{Check, Deadline, KindId, Lab, LabId, Session};
use crate::owner::Owner;
use crate::report::live::Live;
use crate::run_folder::RunFolder;
use crate::runner::{self, Cancel, Job, RunError, Turns};
use crate::shell::quoted;
use crate::source_tree::Overlay;
use crate::subject;
use crate::submission::{Origin, Pick, Request, Search, Submission, Trusted};

/// Runs that are kept in the cache, a lab; older ones go.
const KEPT_RUNS: usize = 20;

/// Grades a submission, and reports.
pub fn run(context: &Context, options: &Run) -> Result<ExitCode, Failure> {
    let mut publisher = Publisher::begin(&options.reports)?;
    let (grade, folder) = match grade(context, options) {
        Ok(graded) => graded,
        Err(failure) => return publisher.without_grade(failure),
    };
    let kept = quoted(&folder.path().display().to_string());
    let code = publisher.publish(&grade).map_err(|failure| {
        failure.with_help(format!("the grade itself is kept; this writes the reports of it again: grader replay {kept} --json FILE --junit FILE"))
    })?;
    eprintln!("{:>12} grader replay {kept}", "Judge again");
    Ok(code)
}

/// Grades a submission; answers where the run is kept, too.
fn grade(context: &Context, options: &Run) -> Result<(Grade, RunFolder), Failure> {
    let Context { cache, course } = context;
    let mut lab = course.lab(&options.lab, judges())?;
    for file in &options.trace {
        add_trace(&mut lab, file)?;
    }
    let kinds = course.kinds()?;
    let kernel = options.kernel.clone().map(KindId);
    let from = std::env::current_dir().map_err(Failure::no_current_folder)?;
    let search = Search {
        from: &from,
        course,
        kinds: &kinds,
        lab: &lab,
        cache,
        trusted: &Trusted::default(),
        kernel: kernel.as_ref(),
        handout: options.handout.as_deref(),
    };
    let submission = Submission::find(&request(options), &search)?;
    let kind = kinds.get(&submission.kind).ok_or_else(|| {
        Failure::caller(format!("grade lab {}: it can be solved in no kernel kind of this course", lab.id))
    })?;
    let wanted = wanted(&lab, &kind.id, options)?;
    let overlay = match (&submission.origin, &submission.files) {
        (Origin::Reference, _) | (_, Err(_)) => Overlay::Reference,
        (_, Ok(files)) => Overlay::Submission(files),
    };
    let command = command(options);
    let resume = |failure: Failure| match failure.owner {
        Owner::Harness if failure.help.is_none() => {
            let kept = cache.root().display();
            failure.with_help(format!("nothing is lost: what was built is kept in {kept}; then type again: {command}"))
        }
        _ => failure,
    };
    let folder = match &options.out {
        Some(folder) => RunFolder::at(folder),
        None => next_folder(cache, &lab.id).map_err(&resume)?,
    };
    let job = Job {
        turns: &Turns::of_machine(),
        cache,
        course,
        lab: &lab,
        kind,
        submission: &submission,
        overlay,
        wanted: &wanted,
        policy: &policy(options),
        seed: options.seed.unwrap_or_default(),
        command: &command,
        folder: Some(&folder),
    };
    let hides = lab.checks.iter().any(|check| !check.visibility.is_visible()) && !options.reports.show_hidden;
    let mut live = Live::new(io::IsTerminal::is_terminal(&io::stderr()), terminal::colours(&io::stderr()));
    live.hides(hides);
    if submission.origin == Origin::Reference {
        let note = format!(
            "this repository is the course's own and has no branch {}, so its reference solution is graded",
            lab.id
        );
        live.event(&crate::event::Event::Note(&note));
    }
    let grade = finish(&job, &mut live).map_err(resume)?;
    drop(live);
    if grade.outcome() == Outcome::Error {
        let kept = folder.path().display();
        eprintln!(
            "{:>12} {}, when that is mended; until then, builds are kept, and this run in {kept}",
            "Resume",
            if hides { grade.visible().reproduce } else { grade.reproduce.clone() }
        );
    }
    Ok((grade, folder))
}

/// Has the sessions that replay the lab's own traces replay this one, too.
fn add_trace(lab: &mut Lab, path: &Path) -> Result<(), Failure> {
    let shown = path.display();
    let content = std::fs::read(path).map_err(|error| Failure::caller(format!("read trace {shown}: {error}")))?;
    let text = String::from_utf8_lossy(&content);
    subject::heap::check_trace(&text).map_err(|bad| Failure::caller(format!("read trace {shown}: {bad}")))?;
    let name: String = path.file_stem().unwrap_or_default().to_string_lossy().chars().take(40).collect();
    let name = name.replace(|character: char| !character.is_ascii_alphanumeric() && character != '-', "_");
    let mut added = false;
    for session in &mut lab.sessions {
        if let Some(line) = subject::heap::replay(&session.run, &name) {
            if session.files.insert(subject::heap::trace_file(&name), content.clone()).is_some() {
                return Err(Failure::caller(format!("replay trace {shown}: another one is called {name}, too")));
            }
            session.run.push(line);
            // A trace may be of any length.
            session.output_limit += 16 * content.len() as u64 + (1 << 20);
            if let Deadline::Guest(nanoseconds) = &mut session.deadline {
                *nanoseconds += 5_000_000_000;
            }
            added = true;
        }
    }
    let none = || Failure::caller(format!("replay trace {shown}: lab {} has no session that replays traces", lab.id));
    if added { Ok(()) } else { Err(none()) }
}

/// Runs a job to its end, or until it is interrupted.
pub fn finish(job: &Job<'_>, listener: &mut dyn Listener) -> Result<Grade, Failure> {
    let runtime = runtime()?;
    let grade = runtime.block_on(async {
        let cancel = on_interrupt();
        runner::grade(job, listener, &cancel).await
    });
    // What was started is ended by its own guards; a build script that ignores that must not keep us.
    runtime.shutdown_timeout(std::time::Duration::from_secs(5));
    grade.map_err(|error: RunError| Failure { owner: error.owner(), error: Box::new(error), help: None })
}

/// What gradings run in.
pub fn runtime() -> Result<Runtime, Failure> {
    raise_open_files()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build();
    runtime.map_err(|error| Failure::harness(format!("start the runtime: {error}")))
}

/// Files that a grading may have open at a time, those of the processes that it starts not counted.
const OPEN_FILES: u64 = 64;

/// Raises the bound on open files as far as the system lets everybody.
fn raise_open_files() -> Result<(), Failure> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= OPEN_FILES) {
        return Ok(());
    }
    let raised = maximum.map_or(OPEN_FILES, |maximum| maximum.min(OPEN_FILES));
    let set = setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum });
    if raised < OPEN_FILES || set.is_err() {
        let least =
            format!("a process may have {raised} files open here, and grading needs {OPEN_FILES}: see `ulimit -n`");
        return Err(Failure::harness(format!("open files: {least}")));
    }
    Ok(())
}

/// Told when the user or the system asks the process to end.
pub fn on_interrupt() -> Cancel {
    use tokio::signal::unix::{SignalKind, signal};
    let (tell, cancel) = watch::channel(false);
    let listen = |kind| signal(kind).ok();
    let (interrupt, terminate, hangup) =
        (listen(SignalKind::interrupt()), listen(SignalKind::terminate()), listen(SignalKind::hangup()));
    tokio::spawn(async move {
        let wait = async |signal: Option<tokio::signal::unix::Signal>| match signal {
            Some(mut signal) => drop(signal.recv().await),
            None => std::future::pending().await,
        };
        tokio::select! {
            () = wait(interrupt) => {}
            () = wait(terminate) => {}
            () = wait(hangup) => {}
        }
        let _ = tell.send(true);
        std::future::pending::<()>().await;
    });
    cancel
}

/// Whoever names a repository grades somebody else's.
fn policy(options: &Run) -> Policy {
    let whose = if options.repo.is_some() { Whose::SomebodyElses } else { Whose::Own };
    Policy { whose, waived: options.allow_unconfined.clone() }
}

fn request(options: &Run) -> Request {
    let pick = match (&options.branch, &options.rev, options.worktree) {
        (Some(branch), ..) => Pick::Branch(branch.clone()),
        (_, Some(revision), _) => Pick::Revision(revision.clone()),
        (.., true) => Pick::WorkTree,
        _ => Pick::Usual,
    };
    Request { repository: options.repo.clone(), pick }
}

/// The checks that pass all filters.
fn wanted<'l>(lab: &'l Lab, kind: &KindId, options: &Run) -> Result<BTreeSet<&'l str>, Failure> {
    let matches = |patterns: &[regex::Regex], name: &str| {
        patterns.is_empty() || patterns.iter().any(|pattern| pattern.is_match(name))
    };
    let mut wanted: BTreeSet<&str> = lab
        .checks
        .iter()
        .filter(|check| check.kernels.includes(kind))
        .filter(|check| matches(&options.check, &check.id.0))
        .filter(|check| check.sessions.iter().any(|session| matches(&options.session, &session.0)))
        .map(|check| check.id.0.as_str())
        .collect();
    if wanted.is_empty() {
        let shown = |check: &&Check| check.visibility.is_visible() || options.reports.show_hidden;
        let shown: Vec<&Check> = lab.checks.iter().filter(shown).collect();
        let checks: Vec<&str> = shown.iter().map(|check| check.id.0.as_str()).collect();
        let read = |session: &&Session| shown.iter().any(|check| check.sessions.contains(&session.id));
        let sessions: Vec<&str> = lab.sessions.iter().filter(read).map(|session| session.id.0.as_str()).collect();
        return Err(Failure::caller(format!("find checks of lab {} that match", lab.id)).with_help(format!(
            "its checks are {}; its sessions {}",
            checks.join(", "),
            sessions.join(", ")
        )));
    }
    // What a check needs stands before it.
    for check in lab.checks.iter().rev() {
        if wanted.contains(check.id.0.as_str()) {
            wanted.extend(check.needs.iter().map(|id| id.0.as_str()));
        }
    }
    wanted.retain(|id| lab.checks.iter().any(|check| check.id.0 == **id && check.kernels.includes(kind)));
    Ok(wanted)
}

/// The command that grades the same again, to be typed in the same folder.
fn command(options: &Run) -> String {
    let mut words = vec!["grader run --lab".to_owned(), quoted(&options.lab)];
    let mut option = |name: &str, value: &Option<String>| {
        if let Some(value) = value {
            words.push(format!("{name} {}", quoted(value)));
        }
    };
    option("--repo", &options.repo);
    option("--branch", &options.branch);
    option("--rev", &options.rev);
    option("--kernel", &options.kernel);
    option("--handout", &options.handout);
    for trace in &options.trace {
        words.push(format!("--trace {}", quoted(&trace.display().to_string())));
    }
    if !options.allow_unconfined.is_empty() {
        let names: Vec<&str> = options.allow_unconfined.iter().map(|protection| protection.name()).collect();
        words.push(format!("--allow-unconfined {}", names.join(",")));
    }
    if options.worktree {
        words.push("--worktree".to_owned());
    }
    words.join(" ")
}

/// A folder of its own for a run in the cache; the oldest ones go.
fn next_folder(cache: &Cache, lab: &LabId) -> Result<RunFolder, Failure> {
    let runs = cache.folder(&format!("runs/{lab}"))?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let mut kept: Vec<PathBuf> =
        std::fs::read_dir(&runs).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    // Names begin with the time, so the oldest come first.
    kept.sort();
    for old in kept.iter().take((kept.len() + 1).saturating_sub(KEPT_RUNS)) {
        // One that cannot be removed is in the way of nothing.
        let _ = std::fs::remove_dir_all(old);
    }
    Ok(RunFolder::at(runs.join(format!("{:013}-{}", now.as_millis(), std::process::id()))))
}
