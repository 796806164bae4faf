//! Whatever happens to the harness, QEMU does not outlive it; whatever happens to QEMU, the harness knows.

use std::env;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tempfile::TempDir;

use super::*;

/// The folder that the helper process boots in.
const FOLDER: &str = "GRADER_TEST_FOLDER";

/// Ample on any machine: whoever waits that long for a process has found a fault.
const PATIENCE: Duration = Duration::from_secs(60);

/// A guest that never ends, whose QEMU, or a shell in its place, leaves its number in a file.
struct Endless {
    folder: TempDir,
    boot: Boot,
}

impl Endless {
    fn new(shell: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let boot = endless(folder.path(), shell);
        Self { folder, boot }
    }

    fn pid_file(&self) -> PathBuf {
        self.folder.path().join("pid")
    }
}

fn endless(folder: &Path, shell: &str) -> Boot {
    let kernel = folder.join("kernel");
    fs::write(&kernel, Code::default().spin().bytes()).unwrap();
    let mut boot = boot(&kernel);
    let file = folder.join("pid");
    let script = format!("echo $$ >{0}.new; mv {0}.new {0}; {shell}", file.display());
    boot.qemu.splice(0..1, ["sh".into(), "-c".into(), script, "sh".into()]);
    boot
}

const QEMU: &str = "exec qemu-system-riscv64 \"$@\"";

/// Waits for a file that a process writes its number to.
fn pid(file: &Path) -> Pid {
    let started = Instant::now();
    loop {
        if let Some(pid) = fs::read_to_string(file).ok().and_then(|text| Pid::from_raw(text.trim().parse().ok()?)) {
            return pid;
        }
        assert!(started.elapsed() < PATIENCE, "{} does not come", file.display());
        thread::sleep(Duration::from_millis(5));
    }
}

/// Dead, or waiting for a parent that does not care.
fn is_gone(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    test_kill_process(pid).is_err() || stat.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" Z"))
}

fn assert_goes(pid: Pid) {
    let started = Instant::now();
    while !is_gone(pid) {
        assert!(started.elapsed() < PATIENCE, "process {pid} lives on");
        thread::sleep(Duration::from_millis(5));
    }
}

async fn pid_of(endless: &Endless) -> Pid {
    let file = endless.pid_file();
    tokio::task::spawn_blocking(move || pid(&file)).await.unwrap()
}

#[tokio::test]
async fn a_cancelled_boot_leaves_nothing_running() {
    let endless = Endless::new(QEMU);
    let cancel = async {
        pid_of(&endless).await;
    };
    let error = run(&endless.boot, |_| {}, cancel).await.unwrap_err();
    assert!(matches!(error, BootError::Cancelled { .. }), "{error:?}");
    assert!(is_gone(pid(&endless.pid_file())));
}

#[tokio::test]
async fn what_qemu_was_wrapped_in_is_ended_with_it() {
    let endless = Endless::new("qemu-system-riscv64 \"$@\" & echo $! >child.new; mv child.new child; wait");
    let child = endless.folder.path().join("child");
    let mut boot = endless.boot.clone();
    boot.qemu[2] = boot.qemu[2].replace("child", child.to_str().unwrap());
    let file = child.clone();
    let cancel = async {
        tokio::task::spawn_blocking(move || pid(&file)).await.unwrap();
    };
    run(&boot, |_| {}, cancel).await.unwrap_err();
    assert_goes(pid(&child));
}

#[tokio::test]
async fn a_boot_that_is_dropped_is_killed() {
    let endless = Endless::new(QEMU);
    tokio::select! {
        _ = run_to_end(&endless.boot) => panic!("it does not end"),
        _ = pid_of(&endless) => {}
    }
    assert_goes(pid(&endless.pid_file()));
}

#[tokio::test]
async fn a_panic_of_the_harness_ends_qemu() {
    let endless = Endless::new(QEMU);
    let (boot, file) = (endless.boot.clone(), endless.pid_file());
    let task = tokio::spawn(async move {
        run(&boot, |_| assert!(!file.exists(), "a panic, as the test wants it"), pending()).await.map(|_| ())
    });
    assert!(task.await.unwrap_err().is_panic());
    assert_goes(pid(&endless.pid_file()));
}

/// Boots until it is killed; only its parent, the next test, runs it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a part of the test that follows it"]
async fn helper_that_boots_until_it_is_killed() {
    let Some(folder) = env::var_os(FOLDER).map(PathBuf::from) else { return };
    run_to_end(&endless(&folder, QEMU)).await.unwrap();
}

#[test]
fn the_death_of_the_harness_ends_qemu() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = Command::new(env::current_exe().unwrap())
        .args(["--exact", "session::tests::ending::helper_that_boots_until_it_is_killed", "--ignored"])
        .env(FOLDER, folder.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let qemu = pid(&folder.path().join("pid"));
    assert!(!is_gone(qemu));
    harness.kill().unwrap();
    harness.wait().unwrap();
    assert_goes(qemu);
}

#[tokio::test]
async fn a_qemu_that_somebody_else_kills_says_nothing_of_the_guest() {
    let endless = Endless::new(QEMU);
    let kill = async {
        kill_process(pid_of(&endless).await, Signal::KILL).unwrap();
    };
    let (transcript, ()) = tokio::join!(run_to_end(&endless.boot), kill);
    let Stop::Broken { reason } = transcript.unwrap().stop else { panic!() };
    assert!(reason.contains("signal 9") && reason.contains("memory"), "{reason}");
}

#[tokio::test]
async fn a_qemu_that_somebody_else_asks_to_end_says_nothing_of_the_guest() {
    // Without a shell, which would not be QEMU yet when the signal comes.
    let image = image(&Code::one_hart().print("up").spin());
    let up = std::sync::OnceLock::new();
    let told = |progress: Progress<'_>| {
        // The guest runs, so QEMU has its signal handlers.
        if progress.bytes == 2 && up.set(()).is_ok() {
            kill_process(child_that_runs(&image.boot.kernel), Signal::TERM).unwrap();
        }
    };
    let Stop::Broken { reason } = run(&image.boot, told, pending()).await.unwrap().stop else { panic!() };
    assert!(reason.contains("terminating on signal 15"), "{reason}");
}

/// The child of this process that has the kernel's path on its command line.
fn child_that_runs(kernel: &Path) -> Pid {
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let runs = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|&byte| byte == 0).any(|word| word == kernel.as_os_str().as_encoded_bytes())
    };
    processes.filter(runs).find_map(Pid::from_raw).unwrap()
}

#[tokio::test]
async fn a_qemu_that_gives_up_in_the_middle_is_broken_and_quoted() {
    let endless = Endless::new("echo up; echo 'qemu: warning: slow' >&2; echo 'qemu: disk on fire' >&2; exit 1");
    let transcript = transcript(&endless.boot).await;
    let reason = "QEMU ended with status 1 and said: qemu: disk on fire".to_owned();
    assert_eq!((transcript.stop, transcript.serial), (Stop::Broken { reason }, b"up\n".to_vec()));
}

#[tokio::test]
async fn warnings_of_qemu_do_not_make_the_guests_status_its_own() {
    let endless = Endless::new("echo 'qemu-system-riscv64: warning: no timers' >&2; exit 1");
    assert_eq!(transcript(&endless.boot).await.stop, Stop::PoweredOff { status: 1 });
}

#[tokio::test]
async fn a_machine_without_memory_is_our_fault_and_says_so() {
    let endless = Endless::new("echo \"qemu: cannot set up guest memory 'ram': Cannot allocate memory\" >&2; exit 1");
    let error = run_to_end(&endless.boot).await.unwrap_err();
    assert!(error.to_string().contains("cannot set up guest memory 'ram'"), "{error}");
    assert!(error.help().unwrap().contains("too little memory"));
}
