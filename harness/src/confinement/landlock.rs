//! Landlock: which files a program can reach, and no TCP; the kernel asks for no privilege to grant it.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, PathBeneath, PathFd, Ruleset,
    RulesetAttr as _, RulesetCreated, RulesetCreatedAttr as _, RulesetError, Scope,
};

/// The first version of the interface that keeps a program from cutting files off that it may only read.
pub const TRUNCATION: u32 = 3;
/// The first version that keeps a program from TCP.
pub const NETWORK: u32 = 4;

/// The newest version of Landlock's interface that the kernel has, zero for none.
///
/// A ruleset is only made, and nothing is restricted by it.
pub fn abi() -> u32 {
    let has = |abi: ABI| {
        let ruleset = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
        let mut ruleset = ruleset.handle_access(AccessFs::from_all(abi))?;
        if !AccessNet::from_all(abi).is_empty() {
            ruleset = ruleset.handle_access(AccessNet::from_all(abi))?;
        }
        if !Scope::from_all(abi).is_empty() {
            ruleset = ruleset.scope(Scope::from_all(abi))?;
        }
        ruleset.create()
    };
    let known = [(6, ABI::V6), (5, ABI::V5), (4, ABI::V4), (3, ABI::V3), (2, ABI::V2), (1, ABI::V1)];
    known.into_iter().find(|(_, abi)| has(*abi).is_ok()).map_or(0, |(number, _)| number)
}

/// What a program may reach; everything else is out of its reach. Paths that are not there are passed over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// Files and folders, with all in them, to read and to run.
    pub read: Vec<PathBuf>,
    /// Files and folders, with all in them, to do anything with but to make devices.
    pub write: Vec<PathBuf>,
}

/// Makes the rules, of the newest version that the kernel has; nothing is restricted yet.
pub(super) fn rules(reach: &Reach) -> Result<RulesetCreated, RulesetError> {
    // Rights that this kernel does not know are left out by the library: what they guard is reported as missing.
    let all = AccessFs::from_all(ABI::V6);
    let mut ruleset = Ruleset::default()
        .handle_access(all)?
        .handle_access(AccessNet::from_all(ABI::V6))?
        .scope(Scope::from_all(ABI::V6))?
        .create()?;
    let read = AccessFs::Execute | AccessFs::ReadFile | AccessFs::ReadDir;
    let write = all & !(AccessFs::MakeChar | AccessFs::MakeBlock);
    for (paths, access) in [(&reach.read, read), (&reach.write, write)] {
        for path in paths {
            let Ok(place) = PathFd::new(path) else { continue };
            ruleset = ruleset.add_rule(PathBeneath::new(place, that_apply(path, access)))?;
        }
    }
    Ok(ruleset)
}

/// Rights about what is in a folder make no sense for a file, and are refused by the kernel.
fn that_apply(path: &Path, access: BitFlags<AccessFs>) -> BitFlags<AccessFs> {
    if path.is_dir() { access } else { access & AccessFs::from_file(ABI::V6) }
}
