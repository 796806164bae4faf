//! The parts of this machine that any program needs to read: the system's own, and the tools that it is run with.

use std::env;
use std::path::{Path, PathBuf};

/// Folders and files of the system that say nothing of its users.
const SYSTEM: [&str; 20] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/nix/store",
    "/gnu/store",
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/dev/urandom",
    "/dev/random",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/filesystems",
    "/proc/sys/vm/overcommit_memory",
    "/sys/devices/system/cpu",
];

/// Devices that hold nothing.
const WRITABLE: [&str; 3] = ["/dev/null", "/dev/zero", "/dev/full"];

/// What of the system can be read.
pub fn readable() -> Vec<PathBuf> {
    SYSTEM.iter().map(PathBuf::from).collect()
}

/// What of the system can be written.
pub fn writable() -> Vec<PathBuf> {
    WRITABLE.iter().map(PathBuf::from).collect()
}

/// Where programs lie that are no part of the system: for `/opt/riscv/bin/gcc` all of `/opt/riscv`, since compilers
/// have their parts beside `bin`; but never a home folder or what is above one.
pub fn of_programs<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let home = env::home_dir().and_then(|home| home.canonicalize().ok());
    let path = env::var_os("PATH").unwrap_or_default();
    for name in names {
        let candidates: Vec<PathBuf> = match name.contains('/') {
            true => vec![PathBuf::from(name)],
            false => env::split_paths(&path).map(|folder| folder.join(name)).collect(),
        };
        let Some(program) = candidates.into_iter().find(|candidate| candidate.is_file()) else { continue };
        // The link and what it leads to: some programs look for their parts beside the one, some beside the other.
        for program in [Some(program.clone()), program.canonicalize().ok()].into_iter().flatten() {
            if SYSTEM.iter().any(|system| program.starts_with(system)) {
                continue;
            }
            let folder = program.parent().unwrap_or(Path::new("/"));
            let above = folder.parent().filter(|_| folder.ends_with("bin"));
            let is_somebodys = |folder: &Path| {
                let is_home = home.as_ref().is_some_and(|home| home.starts_with(folder));
                is_home || folder.components().count() <= 2
            };
            match above {
                Some(above) if !is_somebodys(above) && !above.ends_with(".cargo") && !above.ends_with(".local") => {
                    found.push(above.to_owned());
                }
                _ if !is_somebodys(folder) => found.push(folder.to_owned()),
                _ => found.push(program),
            }
        }
    }
    found
}

/// What Cargo and rustup read: their programs, toolchains and settings, and the sources of dependencies; not the
/// passwords that lie beside them.
pub fn of_cargo(cargo_home: &Path, rustup_home: &Path, tree: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        ["bin", "registry", "git", "config", "config.toml", ".global-cache", ".package-cache"]
            .map(|part| cargo_home.join(part))
            .into();
    paths.extend(["toolchains", "settings.toml", "update-hashes"].map(|part| rustup_home.join(part)));
    // Both look for settings in the folders above; what they find and cannot read ends the build.
    for folder in tree.ancestors().skip(1) {
        let settings = ["rust-toolchain", "rust-toolchain.toml", ".cargo/config", ".cargo/config.toml"];
        paths.extend(settings.map(|file| folder.join(file)).into_iter().filter(|path| path.is_file()));
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_reads_its_registry_and_no_password() {
        let home = Path::new("/home/student/.cargo");
        let reached = of_cargo(home, Path::new("/home/student/.rustup"), Path::new("/home/student/.cache/tree"));
        let reaches = |path: &Path| reached.iter().any(|folder| path.starts_with(folder));
        assert!(reaches(&home.join("registry/src/bitflags/lib.rs")) && reaches(&home.join("config.toml")));
        assert!(!reaches(&home.join("credentials.toml")) && !reaches(Path::new("/home/student/.ssh/id_ed25519")));
    }
}
