//! All that decides a grade, known before anything is built: what a cache of grades goes by.

use super::{Job, Prepared, RunError};
use crate::digest;
use crate::lab::Lab;
use crate::plan::Planned;
use crate::seed::Seed;
use crate::source_tree::Overlay;

/// All that decides a grade beside the machine and its tools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inputs {
    /// SHA-256 of the source tree.
    pub source: String,
    /// The seed.
    pub seed: Seed,
    /// For each boot its name, and a digest of what is booted and how.
    pub plans: Vec<(String, String)>,
    /// The digest over all of it, in hex.
    pub key: String,
}

impl Inputs {
    /// Of a job; `with` stands for the tools and protections of the machine.
    ///
    /// # Errors
    /// When the course's files cannot be read.
    pub fn of(job: &Job<'_>, with: &str) -> Result<Self, RunError> {
        let Prepared { tree, seed, plan } = Prepared::of(job)?;
        let plans: Vec<(String, String)> =
            plan.iter().map(|planned| (planned.id.0.clone(), plan_digest(job.lab, planned))).collect();
        let wanted: Vec<&str> = job.wanted.iter().copied().collect();
        let faults = match (&job.submission.files, job.overlay) {
            (Err(faults), Overlay::Reference) => faults.iter().map(|fault| format!("{fault}\n")).collect(),
            _ => String::new(),
        };
        let plans_text: Vec<String> = plans.iter().map(|(id, plan)| format!("{id} {plan}")).collect();
        let parts = [
            ("grade", "v1".to_owned()),
            ("with", with.to_owned()),
            ("lab", format!("{} {}", job.lab.id, job.lab.version)),
            ("kind", job.kind.id.0.clone()),
            ("source", tree.digest.clone()),
            // Paths in reports begin with it.
            ("root", job.submission.root.display().to_string()),
            ("handout", format!("{:?}", job.submission.base.from)),
            ("faults", faults),
            ("seed", seed.to_string()),
            ("wanted", wanted.join(",")),
            ("plans", plans_text.join("\n")),
        ];
        let parts = parts.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let key = digest::of_parts(parts)[..40].to_owned();
        Ok(Self { source: tree.digest, seed, plans, key })
    }
}

/// A digest of what is booted and how. Where it is the same, a saved transcript is that of the boot that is due.
pub fn plan_digest(lab: &Lab, planned: &Planned) -> String {
    let session = lab.sessions.iter().find(|session| session.id == planned.session);
    let machine = session.map(|session| {
        format!(
            "{} {} {:?} {:?} {}",
            session.harts, session.memory, session.clock, session.deadline, session.output_limit
        )
    });
    let texts = [
        planned.script.join("\n"),
        format!("{:?}", planned.typed),
        format!("{:?}", planned.phrases),
        planned.options.to_string(),
        machine.unwrap_or_default(),
    ];
    let texts = texts.iter().map(|text| (b"".as_slice(), text.as_bytes()));
    let files = planned.files.iter().map(|(name, content)| (name.as_bytes(), content.as_slice()));
    digest::of_parts(texts.chain(files))[..16].to_owned()
}

/// The harness that grades: its version, and a digest of its sources.
pub fn harness() -> String {
    format!("{} {}", env!("CARGO_PKG_VERSION"), env!("GRADER_SOURCES"))
}
