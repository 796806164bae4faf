//! Boots every session that is due, as many at a time as the machine has processors.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{Run, RunError, chain, seconds};
use crate::confinement::Confinement;
use crate::event::{Event, Listener, Side};
use crate::excerpt::{self, Places};
use crate::grading::{Booted, Boots};
use crate::image::initrd::Programs;
use crate::image::{Image, Outcome, Toolchain, phrases, storage};
use crate::kind::{Kind, Script};
use crate::lab::{Clock, SessionId};
use crate::plan::{self, BootFiles, Planned};
use crate::run_folder::Shelf;
use crate::serial::reading::Reading;
use crate::session::{self, Boot, Stop};
use crate::symbols::{Place, Symbols};
use crate::witness::Watching;

/// A boot that is over.
struct Finished {
    shelf: Shelf,
    planned: Planned,
    booted: Booted,
    /// How many times it was tried again.
    again: u32,
    took: Duration,
}

/// How many times a boot that fails by our fault is tried again. One that fails by the submission's never is.
const MOST_AGAIN: u32 = 1;

/// Whether a boot says nothing of the guest: QEMU did not start, or was ended by somebody else.
fn is_ours(booted: &Booted) -> bool {
    match booted {
        Booted::Failed(_) => true,
        Booted::Ran { transcript, .. } => matches!(transcript.stop, Stop::Broken { .. }),
    }
}

enum Happened {
    Started(SessionId),
    Finished(Box<Finished>),
}

impl Run<'_> {
    /// Boots every session that is due, and those that a figure is compared with on the reference too.
    pub(super) async fn boot(
        &mut self,
        toolchain: &Toolchain,
        image: &Image,
        listener: &mut dyn Listener,
    ) -> Result<(Boots, Boots), RunError> {
        let job = self.job;
        let compared: Vec<Planned> = self.plan.iter().filter(|planned| self.is_compared(planned)).cloned().collect();
        let mut reference = Boots::new();
        let mut reference_image = None;
        if !compared.is_empty() {
            let built = self.build_tree(toolchain, &self.reference, Side::Reference, listener).await;
            self.clock.build += built.1;
            let failed = match built.0 {
                Ok(Outcome::Built(built)) => {
                    reference_image = Some(built);
                    None
                }
                Ok(Outcome::Refused(_)) => Some("the reference does not build".to_owned()),
                Err(error) => Some(format!("failed to {}", chain(&error))),
            };
            if let Some(reason) = failed {
                reference.extend(compared.iter().map(|planned| (planned.id.clone(), Booted::Failed(reason.clone()))));
            }
        }
        // The same image run twice says the same twice.
        let same = reference_image.as_ref().is_some_and(|reference| reference.digest == image.digest);
        let (kind, notes) = job.kind.suited(|path| self.tree.content(path));
        notes.iter().for_each(|note| listener.event(&Event::Note(note)));
        let from = Instant::now();
        let mut due = vec![(Shelf::First, image, self.plan.clone())];
        if let Some(image) = reference_image.as_ref().filter(|_| !same) {
            due.push((Shelf::Reference, image, compared.clone()));
        }
        let mut own = Boots::new();
        for (shelf, _, plan) in &mut due {
            let boots = if *shelf == Shelf::Reference { &mut reference } else { &mut own };
            let kept = |planned: &Planned| Some((planned.id.clone(), self.kept_boot(*shelf, planned)?));
            boots.extend(plan.iter().filter_map(kept));
            plan.retain(|planned| !boots.contains_key(&planned.id));
        }
        self.stage.begin("the sessions were booted");
        for Finished { shelf, planned, booted, .. } in self.boot_all(&due, &kind, listener).await? {
            let boots = if shelf == Shelf::Reference { &mut reference } else { &mut own };
            boots.insert(planned.id, booted);
        }
        if same {
            for planned in &compared {
                let Some(booted) = own.get(&planned.id) else { continue };
                if let Some(folder) = job.folder {
                    folder.save_boot(booted, Shelf::Reference)?;
                }
                reference.insert(planned.id.clone(), booted.clone());
            }
        }
        self.clock.boots += from.elapsed();
        Ok((own, reference))
    }

    /// Boots these a second time, with the same seed. Those that fail by our fault are as good as never booted.
    pub(super) async fn boot_again(
        &mut self,
        image: &Image,
        plan: Vec<Planned>,
        listener: &mut dyn Listener,
    ) -> Result<Boots, RunError> {
        let from = Instant::now();
        let note = format!(
            "a check failed, and under real time a boot may come to something else: {} session(s) booted a second time with \
             the same seed",
            plan.len()
        );
        listener.event(&Event::Note(&note));
        self.stage.begin("sessions were booted a second time");
        let (kind, _) = self.job.kind.suited(|path| self.tree.content(path));
        let finished = self.boot_all(&[(Shelf::Second, image, plan)], &kind, listener).await?;
        self.clock.boots += from.elapsed();
        let said = finished.into_iter().filter(|finished| !is_ours(&finished.booted));
        Ok(said.map(|finished| (finished.planned.id, finished.booted)).collect())
    }

    /// Does all boots that are due, and keeps each as soon as it is over.
    async fn boot_all(
        &mut self,
        due: &[(Shelf, &Image, Vec<Planned>)],
        kind: &Kind,
        listener: &mut dyn Listener,
    ) -> Result<Vec<Finished>, RunError> {
        let job = self.job;
        let scratch = tempfile::tempdir().map_err(|cause| RunError::Temporary { path: std::env::temp_dir(), cause })?;
        listener.event(&Event::BootsPlanned(due.iter().map(|(_, _, plan)| plan.len()).sum()));
        let (tell, mut told) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        for (shelf, image, plan) in due {
            let (shelf, image) = (*shelf, *image);
            let of = if shelf == Shelf::Reference { "reference" } else { "own" };
            let watching = self.watching(image, scratch.path().join(format!("{of}.watched")));
            let programs = image.packed().map_err(|error| chain(&error));
            for planned in plan.iter().cloned() {
                let name = scratch.path().join(format!("{of}-{}", planned.id));
                let files = with_script(kind, image, &programs, &planned, &name);
                let boot = files.and_then(|files| {
                    planned
                        .boot(job.lab, kind, &files)
                        .ok_or_else(|| format!("the lab has no session {}", planned.session))
                });
                let boot = boot.and_then(|boot| {
                    let watching = watching.as_ref().map_err(String::clone)?;
                    let station = watching.as_ref().map(|watching| watching.of_boot(name.with_extension("seen")));
                    Ok(Boot { witness: station, ..boot })
                });
                // Harts under the parallel clock are threads; beside others they would not run side by side. What is
                // typed at a console is judged by what comes back, however slowly.
                let weight = match &boot {
                    Ok(Boot { clock: Clock::Parallel, dialogue: None, .. }) => job.turns.all(),
                    _ => 1,
                };
                let (turns, tell) = (job.turns.clone(), tell.clone());
                let kernel = image.kernel.clone();
                let confinement = self.confinement.clone();
                tasks.spawn(async move {
                    let turn = turns.take(weight).await;
                    let _ = tell.send(Happened::Started(planned.id.clone()));
                    let from = Instant::now();
                    let mut again = 0;
                    let booted = match boot {
                        Ok(mut boot) => loop {
                            let booted = run_boot(&boot, &confinement, &kernel).await;
                            if again == MOST_AGAIN || !is_ours(&booted) {
                                break booted;
                            }
                            again += 1;
                            // That may be what this QEMU will not do.
                            boot.sampled = false;
                        },
                        Err(reason) => Booted::Failed(format!("failed to {reason}")),
                    };
                    drop(turn);
                    let finished = Finished { shelf, planned, booted, again, took: from.elapsed() };
                    let _ = tell.send(Happened::Finished(Box::new(finished)));
                });
            }
        }
        drop(tell);
        let mut all = Vec::new();
        while let Some(happened) = told.recv().await {
            match happened {
                Happened::Started(id) => listener.event(&Event::BootStarted(&id)),
                Happened::Finished(finished) => {
                    listener.event(&Event::BootFinished { session: &finished.planned.id, took: finished.took });
                    self.keep_boot(&finished)?;
                    all.push(*finished);
                }
            }
        }
        Ok(all)
    }

    /// What boots of an image are watched with, if they can be.
    fn watching(&self, image: &Image, input: PathBuf) -> Result<Option<Watching>, String> {
        let Some(library) = &self.witness else { return Ok(None) };
        let read = |path: &PathBuf| std::fs::read(path).map_err(|error| format!("read {}: {error}", path.display()));
        let kernel = read(&image.kernel)?;
        let programs = image.programs.values().map(read).collect::<Result<Vec<_>, _>>()?;
        let are_known = self.job.kind.script == Script::Initrd;
        let programs = are_known.then(|| programs.iter().map(Vec::as_slice));
        let watching = Watching::prepare(library, &kernel, programs, input);
        watching.map_err(|error| format!("have {} watched: {error}", image.kernel.display()))
    }

    fn is_compared(&self, planned: &Planned) -> bool {
        plan::is_compared(self.job.lab, self.job.wanted, &planned.session)
    }

    /// A boot that was over when a grader was killed at the same run.
    fn kept_boot(&self, shelf: Shelf, planned: &Planned) -> Option<Booted> {
        let kept = self.job.folder?.kept_boot(&planned.id, shelf);
        kept.filter(|booted| !is_ours(booted))
    }

    fn keep_boot(&mut self, finished: &Finished) -> Result<(), RunError> {
        let Finished { shelf, planned, booted, again, took } = finished;
        let name = match shelf {
            Shelf::First => planned.id.0.clone(),
            Shelf::Second => format!("second/{}", planned.id),
            Shelf::Reference => format!("reference/{}", planned.id),
        };
        self.clock.sessions.insert(name, seconds(*took));
        if *again > 0 && *shelf == Shelf::First {
            self.again.insert(planned.id.0.clone(), *again);
        }
        let Some(folder) = self.job.folder else { return Ok(()) };
        if *shelf == Shelf::Second && is_ours(booted) {
            return Ok(());
        }
        folder.save_boot(booted, *shelf)?;
        if let (Booted::Ran { reading, .. }, Shelf::First) = (booted, shelf) {
            folder.save_trace(&planned.id, &planned.script, reading)?;
            folder.save_console(&planned.id, reading)?;
        }
        Ok(())
    }
}

/// The files of a boot, with the script in the one that the kind says; what is made for it is called `name`.
fn with_script(
    kind: &Kind,
    image: &Image,
    programs: &Result<Programs, String>,
    planned: &Planned,
    name: &Path,
) -> Result<BootFiles, String> {
    let written = |name: PathBuf, written: std::io::Result<()>| {
        written.map_err(|error| format!("write {}: {error}", name.display())).map(|()| name)
    };
    let mut files = BootFiles { kernel: image.kernel.clone(), initrd: None, disk: None };
    if let Some(disk) = &image.disk {
        // What a machine writes to its disk is for nobody to read but itself.
        let own = name.with_extension("disk");
        let copy = || -> std::io::Result<()> {
            if planned.phrases.is_empty() {
                return std::fs::copy(disk, &own).map(|_| ());
            }
            let mut content = std::fs::read(disk)?;
            for phrase in &planned.phrases {
                phrases::replace(&mut content, phrase.own.as_bytes(), phrase.drawn.as_bytes());
            }
            std::fs::write(&own, content)
        };
        copy().map_err(|error| format!("copy {} to {}: {error}", disk.display(), own.display()))?;
        files.disk = Some(own);
    }
    if !planned.typed.is_empty() {
        return Ok(files);
    }
    match &kind.script {
        Script::Initrd => {
            let programs = programs.as_ref().map_err(String::clone)?;
            let name = name.with_extension("cpio");
            let write = |mut file| programs.write(&mut file, &planned.script, &planned.files);
            let done = std::fs::File::create(&name).and_then(write);
            files.initrd = Some(written(name, done)?);
        }
        Script::Symbol(symbol) => {
            let kernel = std::fs::read(&image.kernel);
            let kernel = kernel.map_err(|error| format!("read {}: {error}", image.kernel.display()))?;
            let filled = storage::fill(kernel, symbol, &planned.script.join("\n")).map_err(|error| chain(&error))?;
            let name = name.with_extension("elf");
            let done = std::fs::write(&name, filled);
            files.kernel = written(name, done)?;
        }
    }
    Ok(files)
}

/// Boots, and names the addresses that the transcript ends with.
async fn run_boot(boot: &Boot, confinement: &Confinement, kernel: &Path) -> Booted {
    match session::run(boot, confinement, |_| {}, std::future::pending()).await {
        Err(error) => {
            let help = error.help().map(|help| format!("; {help}")).unwrap_or_default();
            Booted::Failed(format!("failed to {}{help}", chain(&error)))
        }
        Ok(transcript) => {
            let reading = Reading::of(&transcript);
            Booted::Ran {
                places: places(&reading, kernel),
                transcript: Box::new(transcript),
                reading: Box::new(reading),
            }
        }
    }
}

/// Names for the addresses of an ending. A kernel without symbols has none, which costs only the names.
fn places(reading: &Reading, kernel: &Path) -> Places {
    let [next, returns] = excerpt::addresses(reading);
    if next.is_empty() && returns.is_empty() {
        return Places::new();
    }
    let Ok(symbols) = Symbols::open(kernel) else { return Places::new() };
    let name = |(address, places): (u64, Vec<Place>)| {
        let shown: Vec<String> = places.iter().map(ToString::to_string).collect();
        (!shown.is_empty()).then(|| (address, shown.join(", in ")))
    };
    let returns = returns.into_iter().map(|address| (address, symbols.call_places(address)));
    let next = next.into_iter().map(|address| (address, symbols.places(address)));
    returns.chain(next).filter_map(name).collect()
}
