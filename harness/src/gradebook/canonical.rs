//! A run as text, without all that differs between two runs of the same submissions: times, hosts, and how often
//! something was tried. Two runs came to the same where these texts are equal.

use serde_json::{Value, json};

use super::{Gradebook, GradebookError, Row};

/// The run as lines of JSON, one a submission.
///
/// # Errors
/// When the gradebook cannot be read.
pub fn canonical(gradebook: &Gradebook, run: i64) -> Result<String, GradebookError> {
    let past = gradebook.run(Some(run))?;
    let labs: Vec<Value> =
        past.run.labs.iter().map(|lab| json!([lab.lab, lab.version, lab.points.to_string()])).collect();
    let head = json!({ "roster": past.run.roster, "seed": past.run.seed, "grader": past.run.grader, "labs": labs });
    let mut text = format!("{head}\n");
    for row in gradebook.rows(run)? {
        text.push_str(&format!("{}\n", line(gradebook, run, &row)?));
    }
    Ok(text)
}

fn line(gradebook: &Gradebook, run: i64, row: &Row) -> Result<Value, GradebookError> {
    let grade = match &row.grade {
        None => Value::Null,
        Some(grade) => {
            let document = gradebook.document(&grade.document)?;
            let mut document = serde_json::to_value(document).unwrap_or_default();
            forget_times(&mut document);
            json!({ "key": grade.key, "outcome": grade.outcome, "earned": grade.earned.to_string(), "document": document })
        }
    };
    let found = row.found.as_ref().map(|found| {
        json!([
            found.commit,
            found.commit_time,
            found.head,
            found.head_time,
            found.later,
            found.late,
            found.rule,
            found.note
        ])
    });
    Ok(json!({
        "student": [row.student.student, row.student.name, row.student.team],
        "lab": row.lab,
        "state": row.state.word(),
        "reason": row.reason,
        "terms": [row.terms.repository, row.terms.wanted, row.terms.due],
        "found": found,
        "grade": grade,
        "plans": gradebook.plans(run, &row.student.student, &row.lab)?,
    }))
}

/// Takes out of a grade document what two gradings of the same submission differ in.
pub fn forget_times(document: &mut Value) {
    let Some(fields) = document.as_object_mut() else { return };
    fields.remove("times");
    let sessions = fields.get_mut("sessions").and_then(Value::as_array_mut);
    for session in sessions.into_iter().flatten().filter_map(Value::as_object_mut) {
        // Boots are repeated for our faults alone.
        session.remove("again");
    }
}
