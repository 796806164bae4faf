//! Namespaces: a network without any interface, process numbers and System V objects of its own.

use std::io;

use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, Result};
use rustix::thread::{CapabilitySet, UnshareFlags, capabilities, unshare_unsafe};

use super::fork::{self, Fork};

/// How namespaces can be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// We have the privilege.
    Privileged,
    /// A user namespace gives it, in which it is worth something for nothing but that.
    User,
    /// Neither; why not.
    None(String),
}

/// What is typed where the system allows none.
pub fn remedy() -> &'static str {
    let switch = |name: &str, value: &str| std::fs::read_to_string(name).is_ok_and(|text| text.trim() == value);
    if switch("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0"
    } else if switch("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        "sudo sysctl kernel.unprivileged_userns_clone=1"
    } else {
        "ask whoever runs this machine or container to allow user namespaces"
    }
}

impl Route {
    /// Finds the way by trying it in a child: what is forbidden, by whom, and since when differs from system to system.
    pub fn find() -> Self {
        let privileged = capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN));
        if privileged && Self::Privileged.works().is_ok() {
            return Self::Privileged;
        }
        match Self::User.works() {
            Ok(()) => Self::User,
            Err(error) => Self::None(error.to_string()),
        }
    }

    fn works(&self) -> io::Result<()> {
        let namespaces = Namespaces::prepare(self, true);
        // SAFETY: the child makes system calls only, and then ends.
        match unsafe { fork::fork() }? {
            Fork::Child => {
                let errno = namespaces.enter().err().map_or(0, Errno::raw_os_error);
                fork::exit(errno)
            }
            Fork::Parent(child) => match fork::wait_for(child)? {
                0 => Ok(()),
                errno => Err(io::Error::from_raw_os_error(errno)),
            },
        }
    }
}

/// Whether the kernel bounds the processes of each namespace by itself.
///
/// Older kernels have one bound for the whole machine, under the same name: it must not be touched.
pub fn have_bounds(route: &Route) -> bool {
    /// The first release with one bound a namespace.
    const SINCE: (u32, u32) = (6, 14);
    let release = rustix::system::uname();
    let mut numbers = release.release().to_str().unwrap_or_default().split(['.', '-']).map(str::parse::<u32>);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else { return false };
    let namespaces = Namespaces::prepare(route, true);
    if (major, minor) < SINCE || !namespaces.have_processes() {
        return false;
    }
    // SAFETY: the children make system calls only, and then end.
    match unsafe { fork::fork() } {
        Ok(Fork::Parent(child)) => fork::wait_for(child).is_ok_and(|status| status == 0),
        Err(_) => false,
        Ok(Fork::Child) => {
            if namespaces.enter().is_err() {
                fork::exit(1);
            }
            // SAFETY: as above.
            let status = match unsafe { fork::fork() } {
                Ok(Fork::Parent(child)) => fork::wait_for(child).unwrap_or(1),
                Ok(Fork::Child) => i32::from(write(c"/proc/sys/kernel/pid_max", b"512").is_err()),
                Err(_) => 1,
            };
            fork::exit(status)
        }
    }
}

/// Namespaces that a child moves into.
#[derive(Debug, Clone)]
pub(super) struct Namespaces {
    flags: UnshareFlags,
    /// Content of the files that map users and groups: to themselves, so that files keep their owners.
    maps: Option<(String, String)>,
}

impl Namespaces {
    /// `processes`: also numbers for its processes; it takes a further child for them.
    pub fn prepare(route: &Route, processes: bool) -> Self {
        let flags = match route {
            Route::None(_) => UnshareFlags::empty(),
            Route::Privileged => UnshareFlags::NEWNET | UnshareFlags::NEWIPC,
            Route::User => UnshareFlags::NEWNET | UnshareFlags::NEWIPC | UnshareFlags::NEWUSER,
        };
        let maps = (*route == Route::User).then(|| {
            let user = rustix::process::geteuid().as_raw();
            let group = rustix::process::getegid().as_raw();
            (format!("{user} {user} 1"), format!("{group} {group} 1"))
        });
        let processes = processes && !flags.is_empty();
        Self { flags: if processes { flags | UnshareFlags::NEWPID } else { flags }, maps }
    }

    /// Whether children get numbers of their own.
    pub fn have_processes(&self) -> bool {
        self.flags.contains(UnshareFlags::NEWPID)
    }

    /// Moves the process, or its children, into them. Makes system calls only.
    pub fn enter(&self) -> Result<()> {
        if self.flags.is_empty() {
            return Ok(());
        }
        // SAFETY: the process has one thread, and shares neither files nor memory with another.
        unsafe { unshare_unsafe(self.flags) }?;
        if let Some((users, groups)) = &self.maps {
            // Where group numbers are mapped, the kernel wants nobody to drop a group that keeps them out.
            write(c"/proc/self/setgroups", b"deny")?;
            write(c"/proc/self/uid_map", users.as_bytes())?;
            write(c"/proc/self/gid_map", groups.as_bytes())?;
        }
        Ok(())
    }
}

/// Writes to a file of the system's. Makes system calls only.
pub(super) fn write(path: &std::ffi::CStr, content: &[u8]) -> Result<()> {
    let file = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(&file, content).map(|_| ())
}
