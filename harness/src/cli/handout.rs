//! `grader handout`

use std::process::ExitCode;

use super::failure::Failure;
use super::{Context, Handout, judges, terminal};
use crate::course::CourseError;
use crate::handout;
use crate::lab::Lab;

/// Makes the repository that students start from.
pub fn handout(context: &Context, options: &Handout) -> Result<ExitCode, Failure> {
    if let Some(id) = &options.lab {
        // A name that is wrong gets the message that names the right ones.
        context.course.lab(id, judges())?;
    }
    let labs: Vec<Lab> = context
        .course
        .labs(judges())?
        .into_iter()
        .map(|(_, lab)| lab.map_err(CourseError::File))
        .collect::<Result<_, _>>()?;
    let kinds = context.course.kinds()?;
    let kind = match &options.kernel {
        Some(name) => kinds.values().find(|kind| kind.id.0 == *name).ok_or_else(|| {
            let known: Vec<&str> = kinds.keys().map(|id| id.0.as_str()).collect();
            Failure::caller(format!("find the kernel kind `{name}`: there are {}", known.join(", ")))
        })?,
        // Labs of kernels that the course has no tree of are handed out by whoever has it.
        None => labs
            .iter()
            .filter(|lab| options.lab.as_ref().is_none_or(|id| *id == lab.id.0))
            .flat_map(|lab| lab.kernels.keys())
            .find_map(|id| kinds.get(id).filter(|kind| kind.source.is_some()))
            .ok_or_else(|| Failure::caller(no_tree(options.lab.as_deref())))?,
    };
    let wanted = |id: &crate::lab::LabId| options.lab.as_ref().is_none_or(|lab| *lab == id.0);
    let branches = handout::write(&context.course, kind, &labs, wanted, &options.grader, &options.out)?;
    let widest = branches.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut text = format!("{}\n", options.out.display());
    for (name, commit) in branches {
        text.push_str(&format!("  {name:widest$}  {commit}\n"));
    }
    terminal::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// Why there is no kernel to hand out.
fn no_tree(lab: Option<&str>) -> String {
    match lab {
        Some(lab) => {
            format!("make the handout of lab {lab}: the course has no tree of its own of the kernels that it is for")
        }
        None => "make the handout: the course has no lab in a kernel of its own".to_owned(),
    }
}
