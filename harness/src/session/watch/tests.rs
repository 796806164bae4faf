use super::*;
use crate::lab::SessionId;

const SECOND: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_millis(100);

fn watch(clock: Clock, deadline: Deadline) -> Watch {
    Watch::new(&Boot {
        session: SessionId("s".into()),
        qemu: Vec::new(),
        kernel: "k".into(),
        initrd: "i".into(),
        disk: None,
        arguments: String::new(),
        harts: 1,
        memory: 128,
        clock,
        deadline,
        output_limit: 1 << 20,
        last_words: Vec::new(),
        dialogue: None,
        witness: None,
        sampled: false,
    })
}

fn guest(seconds: u64) -> Deadline {
    Deadline::Guest(seconds * 1_000_000_000)
}

fn running(processor: Duration) -> Option<Sample> {
    Some(Sample { processor, switches: 0, asleep: false })
}

fn asleep(switches: u64) -> Option<Sample> {
    Some(Sample { processor: SECOND, switches, asleep: true })
}

#[test]
fn a_slow_machine_runs_a_guest_out_of_no_time() {
    let mut watch = watch(Clock::Virtual, guest(5));
    // Five seconds of guest time at a fifth of the usual speed, on a machine that is also busy with something else.
    let wall = 1000 * SECOND;
    assert_eq!(watch.look(wall, wall, 0, running(47 * SECOND)), None);
    assert_eq!(watch.look(wall, wall, 0, running(100 * SECOND)), Some(Stop::OutOfTime));
}

#[test]
fn output_costs_processor_time_that_is_not_the_guests() {
    let mut watch = watch(Clock::Virtual, guest(1));
    assert_eq!(watch.look(SECOND, SECOND, 10 << 20, running(100 * SECOND)), None);
    assert_eq!(watch.look(SECOND, SECOND, 0, running(20 * SECOND)), Some(Stop::OutOfTime));
}

#[test]
fn a_machine_that_gives_no_processor_time_is_to_blame_itself() {
    let mut watch = watch(Clock::Virtual, guest(1));
    let day = 24 * 3600 * SECOND;
    assert_eq!(watch.look(day, SECOND, 0, running(SECOND)), None, "a suspended machine is no slow one");
    let stop = watch.look(day, day, 0, running(SECOND));
    assert!(matches!(&stop, Some(Stop::Broken { reason }) if reason.contains("1.0 s of processor time")), "{stop:?}");
}

#[test]
fn only_an_unbroken_sleep_is_a_stall() {
    let mut watch = watch(Clock::Virtual, guest(1));
    let mut now = SECOND;
    let mut look = |bytes, sample| {
        now += STEP;
        watch.look(now, now, bytes, sample)
    };
    for round in 0..10 {
        // Each of these sleeps is interrupted by something else.
        let interruption = match round % 3 {
            0 => look(1, running(SECOND)),
            1 => look(1, asleep(round)),
            _ => look(round, asleep(0)),
        };
        assert_eq!(interruption, None);
        for _ in 0..15 {
            assert_eq!(look(1, asleep(0)), None);
        }
    }
    let stalled = (0..20).find_map(|_| look(1, asleep(0)));
    assert_eq!(stalled, Some(Stop::Stalled));
}

#[test]
fn a_harness_that_is_kept_from_looking_sees_no_stall() {
    let mut watch = watch(Clock::Virtual, guest(1));
    for second in 1..20 {
        let now = second * 10 * SECOND;
        assert_eq!(watch.look(now, now, 0, asleep(0)), None);
    }
}

#[test]
fn a_parallel_guest_that_sleeps_past_its_deadline_is_out_of_time() {
    let mut watch = watch(Clock::Parallel, guest(10));
    let over = (1..1000).find(|&step| watch.look(STEP * step, STEP * step, 0, asleep(0)).is_some());
    assert_eq!(over, Some(120));
}

#[test]
fn a_wall_deadline_is_wall_time_in_which_the_guest_had_the_processor() {
    let mut watch = watch(Clock::Parallel, Deadline::Wall(3_000_000_000));
    assert_eq!(watch.look(2 * SECOND, 2 * SECOND, 0, running(4 * SECOND)), None);
    assert_eq!(watch.look(3 * SECOND, 3 * SECOND, 0, running(6 * SECOND)), Some(Stop::OutOfTime));
    // On a machine that has others to serve.
    assert_eq!(watch.look(9 * SECOND, 5 * SECOND, 0, running(2 * SECOND)), None);
    assert_eq!(watch.look(13 * SECOND, 6 * SECOND, 0, running(3 * SECOND)), Some(Stop::OutOfTime));
    // A guest that does a little now and then for ever is ended, too.
    assert_eq!(watch.look(32 * SECOND, 32 * SECOND, 0, running(2 * SECOND)), Some(Stop::OutOfTime));
}

#[test]
fn a_wall_deadline_ends_a_guest_that_sleeps() {
    let mut watch = watch(Clock::Parallel, Deadline::Wall(3_000_000_000));
    let over = (1..1000).find(|&step| watch.look(STEP * step, STEP * step, 0, asleep(0)).is_some());
    assert_eq!(over, Some(30));
}

#[test]
fn a_processs_times_are_found_behind_any_name() {
    let stat = "42 (a) S b) R 1 42 42 0 -1 4194304 100 0 0 0 150 25 0 0 20 0 4 0 1000 0 0";
    assert_eq!(parse_processor_time(stat, 100), Some(Duration::from_millis(1750)));
    assert_eq!(parse_processor_time("42 (x) R 1", 100), None);
}

#[test]
fn this_process_can_be_sampled() {
    let pid = rustix::process::getpid();
    let idle = loop {
        let before = processor_time(pid).unwrap();
        let sample = sample(pid, before).unwrap();
        if sample.processor == before {
            break sample;
        }
    };
    assert!(!idle.asleep && idle.switches > 0, "its threads were looked at, and one of them runs");
    let busy = sample(pid, Duration::MAX).unwrap();
    assert!(!busy.asleep && busy.switches == 0, "it was not asleep whatever its threads do now");
}
