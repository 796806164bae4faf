//! When a protection that is missing is a reason not to grade.

use super::{Protection, State, Status};

/// Whose code it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// That of whoever typed the command: they run it every day.
    Own,
    /// Somebody else's.
    SomebodyElses,
}

/// What is to hold before somebody's code is built and booted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Whose code it is.
    pub whose: Whose,
    /// Protections that may be missing: `--allow-unconfined`.
    pub waived: Vec<Protection>,
}

/// Somebody else's code would run with less protection than whoever typed the command knows of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "confine somebody else's code on this machine: {}; grade it on another, or allow it by name: --allow-unconfined {}",
    .missing.iter().map(|(protection, why)| format!("no protection of {} ({why})", protection.name())).collect::<Vec<_>>().join(", "),
    .missing.iter().map(|(protection, _)| protection.name()).collect::<Vec<_>>().join(",")
)]
pub struct Unconfined {
    /// What is missing, and why.
    pub missing: Vec<(Protection, String)>,
}

impl Policy {
    /// Nothing is asked for.
    pub const fn own() -> Self {
        Self { whose: Whose::Own, waived: Vec::new() }
    }

    /// Whether the code may run with these protections.
    ///
    /// # Errors
    /// When one is missing that is neither waived nor one's own affair.
    pub fn admits(&self, protections: &[Status]) -> Result<(), Unconfined> {
        let missing = protections.iter().filter_map(|status| match &status.state {
            State::Missing { why, .. } if !self.waived.contains(&status.protection) => {
                Some((status.protection, why.clone()))
            }
            _ => None,
        });
        let missing: Vec<_> = missing.collect();
        if self.whose == Whose::Own || missing.is_empty() { Ok(()) } else { Err(Unconfined { missing }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::confinement::{Confinement, Route};

    fn without_landlock() -> Vec<Status> {
        let machine = Confinement {
            landlock: 0,
            seccomp: true,
            namespaces: Route::User,
            counts_by_namespace: false,
            privileges: true,
            qemu_sandbox: true,
        };
        machine.protections()
    }

    #[test]
    fn a_student_is_asked_for_nothing() {
        assert_eq!(Policy::own().admits(&without_landlock()), Ok(()));
    }

    #[test]
    fn somebody_else_s_code_is_refused_with_the_reason_unless_the_protection_is_named() {
        let policy = |waived: &[Protection]| Policy { whose: Whose::SomebodyElses, waived: waived.to_vec() };
        let refused = policy(&[Protection::Network]).admits(&without_landlock()).unwrap_err().to_string();
        assert!(refused.contains("no Landlock"), "{refused}");
        assert!(refused.ends_with("--allow-unconfined files"), "{refused}");
        assert_eq!(policy(&[Protection::Files]).admits(&without_landlock()), Ok(()));
    }

    #[test]
    fn an_old_landlock_is_enough_only_with_what_makes_up_for_it() {
        let machine = |landlock, seccomp| Confinement {
            landlock,
            seccomp,
            namespaces: Route::None("not here".to_owned()),
            counts_by_namespace: false,
            privileges: true,
            qemu_sandbox: true,
        };
        let missing = |machine: Confinement| -> Vec<Protection> {
            let protections = machine.protections();
            protections.iter().filter(|status| !status.is_in_force()).map(|status| status.protection).collect()
        };
        assert_eq!(missing(machine(6, true)), []);
        assert_eq!(missing(machine(2, true)), []);
        assert_eq!(missing(machine(2, false)), [Protection::Files, Protection::Network]);
        assert_eq!(missing(machine(6, false)), [Protection::Network]);
    }
}
