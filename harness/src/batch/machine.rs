//! The tools and protections of this machine, asked for once a batch and not once a submission.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::cache::Cache;
use crate::confinement::Confinement;
use crate::course::Course;
use crate::digest;
use crate::image::{self, Toolchain};
use crate::kind::Kind;
use crate::lab::Lab;
use crate::qemu;
use crate::runner::inputs;
use crate::witness;

/// What decides grades beside the submissions, by lab and kernel kind.
#[derive(Debug, Default)]
pub struct Machine {
    known: Mutex<BTreeMap<(String, String), Option<String>>>,
}

impl Machine {
    /// A digest over the harness, the course, the compiler, QEMU, its witness and the protections in force; `None`
    /// where a tool is missing: then nothing can be taken from a cache, and the runner says what is wrong.
    pub fn with(
        &self,
        runtime: &tokio::runtime::Handle,
        (course, cache): (&Course, &Cache),
        lab: &Lab,
        kind: &Kind,
    ) -> Option<String> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (lab.id.0.clone(), kind.id.0.clone());
        known.entry(place).or_insert_with(|| ask(runtime, (course, cache), lab, kind)).clone()
    }
}

fn ask(runtime: &tokio::runtime::Handle, (course, cache): (&Course, &Cache), lab: &Lab, kind: &Kind) -> Option<String> {
    let tree = course.root.join(kind.source.as_deref().unwrap_or(std::path::Path::new("")));
    let tools = async {
        let witness = witness::library::find(cache, &kind.qemu.program);
        tokio::join!(qemu::find(&kind.qemu), Toolchain::of(&kind.build, &tree), witness)
    };
    let (qemu, toolchain, witness) = runtime.block_on(tools);
    let (qemu, toolchain) = (qemu.ok()?, toolchain.ok()?);
    let protections = Confinement::of_machine(qemu.sandbox).protections();
    let parts = [
        ("harness", inputs::harness()),
        ("course", course.digest(lab, kind).ok()?),
        ("compiler", toolchain.verbose),
        ("settings", image::settings()),
        ("qemu", qemu.version),
        ("witness", witness.is_ok().to_string()),
        ("confinement", format!("{protections:?}")),
    ];
    Some(digest::of_parts(parts.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()))))
}
