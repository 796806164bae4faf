//! Programs that try to get out of what they are put in. Each is run as a builder or a machine is; what they try works
//! where nothing confines them, which is tried too, so that no test passes for another reason.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use grader::confinement::quota::Quota;
use grader::confinement::watch::{Allowance, TooMuch};
use grader::confinement::{Cage, Confinement, Limits, Reach, Route, keep, system};
use grader::supervised::{Started, Supervised};
use tempfile::TempDir;

/// A folder to write to, with a secret and somebody else's file beside it.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(place.own()).unwrap();
        fs::write(place.secret(), "the gradebook\n").unwrap();
        place
    }

    fn own(&self) -> PathBuf {
        self.folder.path().join("own")
    }

    fn secret(&self) -> PathBuf {
        self.folder.path().join("secret")
    }

    fn cage(&self, processes: Option<u64>) -> Cage {
        let read = [system::readable(), system::of_programs([std::env::current_exe().unwrap().to_str().unwrap()])];
        let mut write = system::writable();
        write.push(self.own());
        let limits =
            Limits { file_size: 16 << 20, address_space: 16 << 30, processor: Duration::from_secs(60), processes };
        Cage { reach: Reach { read: read.concat(), write }, limits }
    }

    fn allowance(&self) -> Allowance {
        Allowance { folder: self.own(), quota: Quota { bytes: 32 << 20, files: 1000 }, memory: 1 << 30, tasks: 400 }
    }

    fn command(&self, script: &str) -> Command {
        let mut command = Command::new("bash");
        command.args(["-c", script]).current_dir(self.own()).env("SECRET", self.secret());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}

/// What a script came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// It ended by itself, and said that it did what it was to do, or did not.
    Itself { done: bool },
    /// It was ended for what it used.
    For(TooMuch),
    /// It was ended for its time.
    Overtime,
}

const DONE: Ended = Ended::Itself { done: true };
const REFUSED: Ended = Ended::Itself { done: false };

/// What anything may take on a machine with much other work.
const PATIENCE: Duration = Duration::from_secs(60);

fn run(command: Command, allowance: &Allowance, patience: Duration) -> Ended {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let Started { mut process, .. } = Supervised::start(command).await.unwrap();
        let first = process.pid().map(|pid| pid.as_raw_nonzero().get().cast_unsigned());
        let watch = async {
            match first {
                Some(first) => allowance.watch(first).await,
                None => std::future::pending().await,
            }
        };
        let ended = tokio::select! {
            status = process.exit() => Ended::Itself { done: status.unwrap().success() },
            excess = watch => Ended::For(excess),
            () = tokio::time::sleep(patience) => Ended::Overtime,
        };
        if !matches!(ended, Ended::Itself { .. }) {
            process.kill();
            process.exit().await.unwrap();
        }
        ended
    })
}

impl Place {
    /// The script as a builder.
    fn built(&self, confinement: &Confinement, script: &str) -> Ended {
        self.built_within(PATIENCE, confinement, script)
    }

    fn built_within(&self, patience: Duration, confinement: &Confinement, script: &str) -> Ended {
        let mut command = self.command(script);
        self.cage(Some(400)).hold(&mut command, confinement).unwrap();
        run(command, &self.allowance(), patience)
    }

    /// Whether a script succeeds only where nothing confines it.
    #[track_caller]
    fn assert_refused(&self, script: &str) {
        let mut trusted = self.command(script);
        keep(&mut trusted);
        assert_eq!(run(trusted, &self.allowance(), PATIENCE), DONE, "it fails anyway: {script}");
        let machine = Confinement::of_machine(true);
        assert_eq!(self.built(&machine, script), REFUSED, "{machine:?}: {script}");
    }
}

/// The machine's means, each way in which a machine can be without some.
fn machines() -> Vec<Confinement> {
    let all = Confinement::of_machine(true);
    let none = || Route::None("the test says so".to_owned());
    let without_namespaces = Confinement { namespaces: none(), counts_by_namespace: false, ..all.clone() };
    let old = Confinement { landlock: all.landlock.min(2), ..without_namespaces.clone() };
    let mut machines = vec![all, without_namespaces, old];
    machines.push(Confinement::none());
    machines
}

fn has_landlock() -> bool {
    let found = Confinement::of_machine(true).landlock >= 4;
    if !found {
        eprintln!("skipped: this machine has no Landlock");
    }
    found
}

#[test]
fn a_builder_works_in_its_own_folder() {
    let place = Place::new();
    for machine in machines() {
        let script = "mkdir -p a/b && echo x >a/b/c && ln -s c a/b/d && mv a/b/c a/e && cc --version >v && rm -r a v";
        assert_eq!(place.built(&machine, script), DONE, "{machine:?}");
    }
}

#[test]
fn a_builder_reads_nothing_that_is_not_its_own_or_the_system_s() {
    if !has_landlock() {
        return;
    }
    let place = Place::new();
    place.assert_refused("cat \"$SECRET\"");
    place.assert_refused("ln -s \"$SECRET\" link; cat link");
    place.assert_refused("ls \"$(dirname \"$SECRET\")\"");
    place.assert_refused("cat /etc/passwd");
    place.assert_refused("cat /proc/$PPID/cmdline || cat /proc/1/cmdline");
    place.assert_refused("test -r /proc/self/environ && cat /proc/self/environ");
}

#[test]
fn a_builder_writes_nothing_that_is_not_its_own() {
    if !has_landlock() {
        return;
    }
    let place = Place::new();
    let beside = place.folder.path().join("beside");
    place.assert_refused(&format!("echo x >'{0}' && rm '{0}'", beside.display()));
    place.assert_refused("mv \"$SECRET\" \"$SECRET.moved\" && mv \"$SECRET.moved\" \"$SECRET\"");
    place.assert_refused("ln -f \"$SECRET\" mine && echo 'all have passed' >>mine");
    assert!(!fs::read_to_string(place.secret()).unwrap().is_empty());
}

#[test]
fn a_file_that_may_be_read_is_not_cut_off_even_where_landlock_does_not_know_how() {
    if !has_landlock() {
        return;
    }
    for machine in machines().into_iter().filter(|machine| machine.landlock > 0) {
        let place = Place::new();
        let tool = place.folder.path().join("tool");
        fs::write(&tool, "of the system").unwrap();
        let mut cage = place.cage(Some(400));
        cage.reach.read.push(tool.clone());
        // `perl` opens for reading and asks to cut off; `truncate(1)` opens for writing, which is refused anyway.
        let scripts = [
            "perl -e 'use Fcntl; sysopen(F, $ARGV[0], O_RDONLY|O_TRUNC) or exit 1' \"$TOOL\"",
            "perl -e 'truncate($ARGV[0], 0) or exit 1' \"$TOOL\"",
        ];
        for script in scripts {
            let mut command = place.command(&format!("cat \"$TOOL\" >mine && {script}"));
            command.env("TOOL", &tool);
            cage.hold(&mut command, &machine).unwrap();
            assert_eq!(run(command, &place.allowance(), PATIENCE), REFUSED, "{machine:?}: {script}");
            assert_eq!(fs::read_to_string(&tool).unwrap(), "of the system", "{machine:?}: {script}");
        }
    }
}

#[test]
fn a_builder_reaches_no_network_and_no_service_of_the_machine() {
    let place = Place::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    place.assert_refused(&format!("exec 3<>/dev/tcp/127.0.0.1/{port}"));
    place.assert_refused(&format!("exec 3<>/dev/udp/127.0.0.1/{port} && echo x >&3"));
    let service = place.own().join("service");
    let _service = std::os::unix::net::UnixListener::bind(&service).unwrap();
    place.assert_refused(
        "perl -MSocket -e 'socket(S, AF_UNIX, SOCK_STREAM, 0) && connect(S, pack_sockaddr_un(\"service\")) or exit 1'",
    );
}

#[test]
fn a_builder_has_no_privileges_and_sends_no_signals() {
    let place = Place::new();
    if rustix::process::getuid().is_root() {
        place.assert_refused("mknod device c 1 3 && rm device");
        place.assert_refused("chown 12345 . && chown 0 .");
    }
    let machine = Confinement::of_machine(true);
    if machine.landlock < 6 && matches!(machine.namespaces, Route::None(_)) {
        eprintln!("skipped: this machine keeps nobody from sending signals to the same user's processes");
        return;
    }
    let mut bystander = Command::new("sleep").arg("1000").spawn().unwrap();
    place.assert_refused(&format!("kill -0 {}", bystander.id()));
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}

#[test]
fn nothing_that_a_builder_starts_outlives_it() {
    for machine in machines() {
        let place = Place::new();
        // It leaves its session and its parent, and shows by a lock that it lives.
        let script = "(setsid bash -c 'exec 9>lock; flock 9; : >held; sleep 1000' </dev/null &) ; \
                      while [ ! -e held ]; do sleep 0.01; done";
        assert_eq!(place.built(&machine, script), DONE, "{machine:?}");
        let lock = File::open(place.own().join("lock")).unwrap();
        assert!(lock.try_lock().is_ok(), "{machine:?}: something lives on");
    }
}

#[test]
fn a_builder_ends_as_it_would_by_itself() {
    use std::os::unix::process::ExitStatusExt as _;
    for machine in machines() {
        let place = Place::new();
        let status = |script: &str| {
            let mut command = place.command(script);
            place.cage(Some(400)).hold(&mut command, &machine).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { Supervised::start(command).await.unwrap().process.exit().await.unwrap() })
        };
        assert_eq!(status("exit 7").code(), Some(7), "{machine:?}");
        assert_eq!(status("kill -SEGV $$").signal(), Some(11), "{machine:?}");
        assert_eq!(status("kill -KILL $$").signal(), Some(9), "{machine:?}");
    }
}

/// Runs a builder until it is killed; only its parent, the next test, runs it.
#[test]
#[ignore = "a part of the test that follows it"]
fn helper_that_builds_until_it_is_killed() {
    let Some(own) = std::env::var_os("GRADER_TEST_FOLDER").map(PathBuf::from) else { return };
    let number: usize = std::env::var("GRADER_TEST_MACHINE").unwrap().parse().unwrap();
    let place = Place::new();
    let mut cage = place.cage(Some(400));
    cage.reach.write.push(own.clone());
    let script = "(setsid bash -c 'exec 9>lock; flock 9; : >held; sleep 1000' </dev/null &) ; sleep 1000";
    let mut command = place.command(script);
    command.current_dir(own);
    cage.hold(&mut command, &machines()[number]).unwrap();
    let _ = run(command, &place.allowance(), PATIENCE);
}

#[test]
fn nothing_that_a_builder_starts_outlives_a_grader_that_is_killed() {
    for number in 0..machines().len() {
        let folder = tempfile::tempdir().unwrap();
        let mut grader = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "confinement::helper_that_builds_until_it_is_killed", "--ignored"])
            .env("GRADER_TEST_FOLDER", folder.path())
            .env("GRADER_TEST_MACHINE", number.to_string())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        eventually("the builder starts", || folder.path().join("held").exists());
        grader.kill().unwrap();
        grader.wait().unwrap();
        let lock = File::open(folder.path().join("lock")).unwrap();
        eventually("all is gone", || lock.try_lock().is_ok());
    }
}

#[track_caller]
fn eventually(what: &str, mut happened: impl FnMut() -> bool) {
    let from = Instant::now();
    while !happened() {
        assert!(from.elapsed() < Duration::from_secs(60), "not: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_builder_that_fills_the_disk_is_ended() {
    let place = Place::new();
    let machine = Confinement::of_machine(true);
    let fills = "for i in $(seq 100); do dd if=/dev/zero of=$i bs=1M count=10; done";
    assert_eq!(place.built(&machine, fills), Ended::For(TooMuch::Disk(32 << 20)));
    let place = Place::new();
    assert_eq!(place.built(&machine, "dd if=/dev/zero of=large bs=1M count=100"), REFUSED);
    assert!(fs::metadata(place.own().join("large")).unwrap().len() <= 16 << 20);
    let place = Place::new();
    let litters = "i=0; while :; do i=$((i+1)); : >$i; done";
    assert_eq!(place.built(&machine, litters), Ended::For(TooMuch::Files(1000)));
    let place = Place::new();
    let digs = "while :; do mkdir d && cd d; done";
    assert_eq!(place.built(&machine, digs), Ended::For(TooMuch::Depth));
    grader::confinement::quota::remove(&place.own()).unwrap();
}

#[test]
fn a_builder_that_starts_processes_without_end_is_ended_with_all_of_them() {
    for machine in machines() {
        let place = Place::new();
        // Each shows by a lock that it lives; none of them can be waited for.
        // Were nothing to stop it, it would end at a thousand of them.
        let bomb = "exec 9>lock; flock -s 9; bomb() { [ $1 -lt 9 ] && { bomb $(($1 + 1)) & bomb $(($1 + 1)) & }; sleep 1000; }; bomb 0";
        let ended = place.built_within(Duration::from_secs(2), &machine, bomb);
        assert_ne!(ended, DONE, "{machine:?}");
        let lock = File::open(place.own().join("lock")).unwrap();
        assert!(lock.try_lock().is_ok(), "{machine:?}: something lives on");
    }
}

#[test]
fn a_builder_gets_no_more_memory_than_it_may() {
    let place = Place::new();
    let machine = Confinement::of_machine(true);
    let several = "for i in 1 2 3 4 5 6; do perl -e '$x = \"x\" x (400 << 20); sleep 100' & done; wait";
    assert_eq!(place.built(&machine, several), Ended::For(TooMuch::Memory(1 << 30)));
}

#[test]
fn a_machine_starts_no_program_and_reads_what_it_is_given() {
    let place = Place::new();
    let given = place.folder.path().join("kernel");
    fs::write(&given, "").unwrap();
    let machine = Confinement::of_machine(true);
    let succeeds = |script: &str| {
        let mut command = place.command(script);
        let mut cage = place.cage(None);
        cage.reach.read.push(given.clone());
        cage.hold(&mut command, &machine).unwrap();
        command.spawn().unwrap().wait().unwrap().success()
    };
    assert!(succeeds("true"));
    if machine.seccomp {
        assert!(!succeeds("(true); exit 0") && !succeeds("/bin/true; exit 0"));
    }
    if has_landlock() {
        assert!(succeeds(&format!("exec cat '{}'", given.display())));
        assert!(!succeeds("exec cat \"$SECRET\""));
    }
}

#[test]
fn files_that_the_grader_has_open_are_not_handed_on() {
    let place = Place::new();
    let secret = File::open(place.secret()).unwrap();
    rustix::io::fcntl_setfd(&secret, rustix::io::FdFlags::empty()).unwrap();
    let number = std::os::fd::AsRawFd::as_raw_fd(&secret);
    assert_eq!(place.built(&Confinement::of_machine(true), &format!("cat <&{number}")), REFUSED);
}

#[test]
fn programs_in_a_home_are_reached_without_the_home() {
    let home = tempfile::tempdir().unwrap();
    let program = home.path().join("bin/compiler");
    fs::create_dir_all(program.parent().unwrap()).unwrap();
    fs::write(&program, "").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let reached = system::of_programs([program.to_str().unwrap()]);
    assert!(reached.iter().all(|path| path.starts_with(home.path())), "{reached:?}");
    assert_eq!(system::of_programs(["sh"]), Vec::<PathBuf>::new());
}
