//! Builds the kernel and its programs, puts the programs and a script into an initrd, and boots QEMU.
//!
//! `cargo run -- [--harts N] [--memory MIB] [--parallel] [--options "BOOT OPTIONS"] [--program FILE] [LINE OF THE SCRIPT]…`

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

const TARGET: &str = "riscv64gc-unknown-none-elf";

/// What is run unless the command line says otherwise.
const SCRIPT: [&str; 2] = ["hello", "usertests"];

const USAGE: &str =
    "usage: cargo run -- [--harts N] [--memory MIB] [--parallel] [--options \"BOOT OPTIONS\"] [--program FILE] [LINE]…
  --harts N      harts, 1 to 8; 4 unless said otherwise
  --memory MIB   memory; 128 unless said otherwise
  --parallel     one host thread a hart, and not the exact instruction count
  --options      boot options: pages=trusted|lab|stack arena=PAGES+SKEW,… trace=off tick=NS deadline=NS
  --program      a program for the initrd beside the usual ones, by the path of its ELF file
  LINE           lines of the script, each a program with its arguments in quotes";

struct Arguments {
    harts: String,
    memory: String,
    parallel: bool,
    options: String,
    programs: Vec<PathBuf>,
    script: Vec<String>,
}

fn main() -> ExitCode {
    let Some(arguments) = parse(env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match boot(&arguments) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("failed to {error}");
            ExitCode::from(3)
        }
    }
}

fn parse(mut words: impl Iterator<Item = String>) -> Option<Arguments> {
    let mut arguments = Arguments {
        harts: "4".into(),
        memory: "128".into(),
        parallel: false,
        options: String::new(),
        programs: Vec::new(),
        script: Vec::new(),
    };
    while let Some(word) = words.next() {
        match word.as_str() {
            "--harts" => arguments.harts = words.next()?,
            "--memory" => arguments.memory = words.next()?,
            "--parallel" => arguments.parallel = true,
            "--options" => arguments.options = words.next()?,
            "--program" => arguments.programs.push(words.next()?.into()),
            option if option.starts_with('-') => return None,
            _ => arguments.script.push(word),
        }
    }
    if arguments.script.is_empty() {
        arguments.script = SCRIPT.map(str::to_owned).to_vec();
    }
    Some(arguments)
}

fn boot(arguments: &Arguments) -> Result<u8, String> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--release", "--locked", "--target", TARGET, "-p", "kernel", "-p", "ulib", "-p", "user"])
        // A lab's branch says in .cargo/config.toml what its kernel is built with.
        .args(["--features", &env::var("KERNEL_FEATURES").unwrap_or_default()])
        .current_dir(&workspace)
        .status();
    match built {
        Ok(status) if status.success() => {}
        Ok(_) => return Err("build the kernel: see above".into()),
        Err(error) => return Err(format!("start cargo: {error}")),
    }
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from);
    let binaries = target.join(TARGET).join("release");
    let initrd = binaries.join("initrd");
    make_initrd(&workspace, &binaries, arguments)
        .and_then(|archive| fs::write(&initrd, archive))
        .map_err(|error| format!("make {}: {error}", initrd.display()))?;

    let mut qemu = Command::new("qemu-system-riscv64");
    qemu.args(["-machine", "virt", "-bios", "none", "-nographic"]);
    qemu.args(["-smp", &arguments.harts, "-m", &arguments.memory, "-append", &arguments.options]);
    qemu.arg("-kernel").arg(binaries.join("kernel")).arg("-initrd").arg(&initrd);
    if !arguments.parallel {
        qemu.args(["-icount", "shift=0,sleep=off"]);
    }
    let status = qemu.status().map_err(|error| {
        format!("start qemu-system-riscv64: {error}; on Debian and Ubuntu: apt install qemu-system-misc")
    })?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX))
}

/// The script and every program, as a cpio archive.
fn make_initrd(workspace: &Path, binaries: &Path, arguments: &Arguments) -> io::Result<Vec<u8>> {
    let mut archive = Vec::new();
    append(&mut archive, "script", (arguments.script.join("\n") + "\n").as_bytes());
    let mut programs = Vec::new();
    for package in ["ulib", "user"] {
        for entry in fs::read_dir(workspace.join(package).join("src/bin"))? {
            programs.extend(entry?.path().file_stem().map(|name| name.to_string_lossy().into_owned()));
        }
    }
    programs.sort();
    for program in programs {
        append(&mut archive, &format!("bin/{program}"), &fs::read(binaries.join(&program))?);
    }
    for program in &arguments.programs {
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        append(&mut archive, &format!("bin/{name}"), &fs::read(program)?);
    }
    append(&mut archive, "TRAILER!!!", &[]);
    Ok(archive)
}

/// Adds a file in the `newc` format (cpio(5)): thirteen numbers, of which only the sizes matter here.
fn append(archive: &mut Vec<u8>, name: &str, content: &[u8]) {
    const REGULAR_FILE: usize = 0o100_644;
    let (name_size, size) = (name.len() + 1, content.len());
    let header = [0, REGULAR_FILE, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0];
    archive.extend_from_slice(b"070701");
    archive.extend(header.iter().flat_map(|number| format!("{number:08x}").into_bytes()));
    archive.extend_from_slice(name.as_bytes());
    archive.push(0);
    archive.resize(archive.len().next_multiple_of(4), 0);
    archive.extend_from_slice(content);
    archive.resize(archive.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_what_cpio_reads() {
        let mut archive = Vec::new();
        append(&mut archive, "bin/a", b"12345");
        assert_eq!(&archive[..6], b"070701");
        assert_eq!(&archive[54..62], b"00000005");
        assert_eq!(&archive[94..102], b"00000006");
        assert_eq!(&archive[110..116], b"bin/a\0");
        assert_eq!(&archive[116..], b"12345\0\0\0");
    }

    #[test]
    fn a_command_line_without_a_script_runs_the_usual_one() {
        let arguments = parse(["--harts", "2"].into_iter().map(str::to_owned)).unwrap();
        assert_eq!((arguments.harts.as_str(), arguments.script.len()), ("2", SCRIPT.len()));
        assert!(parse(["--colour"].into_iter().map(str::to_owned)).is_none());
    }
}
