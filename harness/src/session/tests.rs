//! Boots of real QEMUs with kernels of a few instructions. None of these tests depends on how fast the machine is.

mod ending;
mod machine_code;

use std::fs;
use std::future::pending;
use std::path::Path;

use machine_code::Code;
use tempfile::TempDir;

use super::*;
use crate::confinement::Confinement;

const SECOND: u64 = 1_000_000_000;

/// An image with the folder that it lies in.
struct Image {
    _folder: TempDir,
    boot: Boot,
}

fn image(code: &Code) -> Image {
    let folder = tempfile::tempdir().unwrap();
    let kernel = folder.path().join("kernel");
    fs::write(&kernel, code.bytes()).unwrap();
    Image { boot: boot(&kernel), _folder: folder }
}

fn boot(kernel: &Path) -> Boot {
    Boot {
        session: SessionId("small".into()),
        qemu: ["qemu-system-riscv64", "-machine", "virt", "-bios", "none"].map(String::from).into(),
        kernel: kernel.into(),
        initrd: PathBuf::new(),
        disk: None,
        arguments: String::new(),
        harts: 2,
        memory: 32,
        clock: Clock::Virtual,
        deadline: Deadline::Guest(1000 * SECOND),
        output_limit: 1 << 20,
        last_words: Vec::new(),
        dialogue: None,
        witness: None,
        sampled: false,
    }
}

/// Without confinement, so that a shell can stand in for QEMU.
async fn run(
    boot: &Boot,
    on: impl FnMut(Progress<'_>),
    cancel: impl Future<Output = ()>,
) -> Result<Transcript, BootError> {
    super::run(boot, &Confinement::none(), on, cancel).await
}

async fn run_to_end(boot: &Boot) -> Result<Transcript, BootError> {
    run(boot, |_| {}, pending()).await
}

async fn transcript(boot: &Boot) -> Transcript {
    run_to_end(boot).await.unwrap()
}

#[tokio::test]
async fn the_status_that_the_guest_powers_off_with_is_known() {
    for status in [0, 1, 7, 255] {
        let image = image(&Code::one_hart().print("bye\n").power_off(status));
        let transcript = transcript(&image.boot).await;
        assert_eq!(transcript.stop, Stop::PoweredOff { status: status.into() });
        assert_eq!(transcript.serial, b"bye\n");
    }
}

#[tokio::test]
async fn a_reset_ends_the_boot_too() {
    let image = image(&Code::one_hart().print("again\n").reset());
    let transcript = transcript(&image.boot).await;
    assert_eq!((transcript.stop, transcript.serial), (Stop::PoweredOff { status: 0 }, b"again\n".to_vec()));
}

#[tokio::test]
async fn a_guest_that_prints_without_end_is_cut_at_the_limit() {
    let image = image(&Code::one_hart().print("y").print_forever());
    let boot = Boot { output_limit: 100_000, ..image.boot.clone() };
    let transcript = transcript(&boot).await;
    assert_eq!(transcript.stop, Stop::Flooded);
    assert_eq!(transcript.serial.len(), 100_000);
    assert!(transcript.serial.starts_with(b"yxxx"));
}

#[tokio::test]
async fn as_much_output_as_is_allowed_is_no_flood() {
    let image = image(&Code::one_hart().print("12345678").power_off(0));
    let boot = Boot { output_limit: 8, ..image.boot.clone() };
    assert_eq!(transcript(&boot).await.stop, Stop::PoweredOff { status: 0 });
    let boot = Boot { output_limit: 7, ..boot };
    let transcript = transcript(&boot).await;
    assert_eq!((transcript.stop, transcript.serial), (Stop::Flooded, b"1234567".to_vec()));
}

#[tokio::test]
async fn a_guest_that_hangs_silently_runs_out_of_its_own_time() {
    let image = image(&Code::default().spin());
    let boot = Boot { deadline: Deadline::Guest(1_000_000), ..image.boot.clone() };
    let transcript = transcript(&boot).await;
    assert_eq!(transcript.stop, Stop::OutOfTime);
    assert!(transcript.processor.as_secs() >= 2, "{:?}", transcript.processor);
    // Where it hung is seen on the way out, several times. A hart whose turn has not come stands in the machine's own
    // code.
    let seen: Vec<u64> = transcript.glimpses.iter().flatten().map(|glimpse| glimpse.pc).collect();
    let (hung, waiting): (Vec<u64>, Vec<u64>) = seen.iter().partition(|pc| (0x8000_0000..0x8000_1000).contains(*pc));
    assert!(hung.len() > 1 && waiting.iter().all(|&pc| pc == 0x1000), "{seen:x?}");
}

#[tokio::test]
async fn a_deadline_in_wall_time_ends_a_guest_on_either_clock() {
    let image = image(&Code::default().spin());
    for clock in [Clock::Virtual, Clock::Parallel] {
        let boot = Boot { deadline: Deadline::Wall(SECOND / 10), clock, ..image.boot.clone() };
        assert_eq!(transcript(&boot).await.stop, Stop::OutOfTime);
    }
}

#[tokio::test]
async fn a_guest_that_says_its_last_words_and_spins_is_ended_at_once() {
    let image = image(&Code::one_hart().print("up\npanic: kfree\nlater\n").spin());
    let boot = Boot { last_words: vec!["^panic: ".to_owned()], ..image.boot.clone() };
    let transcript = transcript(&boot).await;
    assert_eq!(transcript.stop, Stop::GaveUp { line: "panic: kfree".to_owned() });
    assert!(transcript.processor.as_secs() < 2, "{:?}", transcript.processor);
}

#[tokio::test]
async fn a_guest_that_nothing_can_wake_has_stalled() {
    let image = image(&Code::default().sleep_forever());
    assert_eq!(transcript(&image.boot).await.stop, Stop::Stalled);
}

#[tokio::test]
async fn a_guest_that_waits_for_a_distant_timer_has_not_stalled() {
    // Nearly six minutes of guest time, which pass at once.
    let image = image(&Code::one_hart().sleep_until(0x7fff_ffff).print("up\n").power_off(0));
    let transcript = transcript(&image.boot).await;
    assert_eq!((transcript.stop, transcript.serial), (Stop::PoweredOff { status: 0 }, b"up\n".to_vec()));
}

#[tokio::test]
async fn under_the_parallel_clock_a_sleeping_guest_gets_all_of_its_time() {
    // Its timer rings after three seconds of the host's time, well after a stall would have been seen.
    let image = image(&Code::one_hart().sleep_until(30_000_000).print("up\n").power_off(0));
    let boot = Boot { clock: Clock::Parallel, ..image.boot.clone() };
    assert_eq!(transcript(&boot).await.stop, Stop::PoweredOff { status: 0 });
}

#[tokio::test]
async fn two_boots_of_one_image_say_the_same_to_the_byte() {
    let code = Code::one_hart().print_device_tree(8192).print_instructions(2000).power_off(0);
    let image = image(&code);
    let (one, other) = tokio::join!(transcript(&image.boot), transcript(&image.boot));
    assert_eq!(one.serial.len(), 8192 + 2000);
    assert_eq!(one.serial, other.serial);
}

#[tokio::test]
async fn progress_tells_every_byte_once() {
    let image = image(&Code::one_hart().print_instructions(50_000).power_off(0));
    let mut heard = Vec::new();
    let transcript = run(&image.boot, |progress| heard.extend_from_slice(progress.new), pending()).await.unwrap();
    assert_eq!(heard, transcript.serial);
}

#[tokio::test]
async fn a_missing_qemu_is_an_error_that_names_it_and_what_to_do() {
    let image = image(&Code::default().spin());
    let boot = Boot { qemu: vec!["/nowhere/qemu-system-riscv64".into()], ..image.boot.clone() };
    let error = run_to_end(&boot).await.unwrap_err();
    assert!(matches!(&error, BootError::Spawn { .. }), "{error:?}");
    assert!(error.to_string().contains("/nowhere/qemu-system-riscv64"));
    assert!(error.help().unwrap().contains("grader doctor"));
    let boot = Boot { qemu: vec![image.boot.kernel.to_string_lossy().into_owned()], ..image.boot.clone() };
    assert!(run_to_end(&boot).await.unwrap_err().help().unwrap().contains("not executable"));
}

#[tokio::test]
async fn an_argument_that_qemu_refuses_is_an_error_with_its_own_words() {
    let mut image = image(&Code::default().spin());
    image.boot.qemu.extend(["-cpu", "z80"].map(String::from));
    let error = run_to_end(&image.boot).await.unwrap_err();
    assert!(matches!(&error, BootError::Refused { message, .. } if message.contains("z80")), "{error:?}");
}
