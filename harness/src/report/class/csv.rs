//! A class as a table for spreadsheets: a line for each student and lab.
//!
//! A spreadsheet takes a cell that begins with one of a few characters for a formula, which can send the whole table
//! elsewhere (OWASP, "CSV Injection"); such cells get an apostrophe in front, which spreadsheets do not show.

use super::Class;
use crate::gradebook::Row;
use crate::report::safe;

/// The columns, in order; those of the checks follow.
const COLUMNS: [&str; 15] = [
    "student",
    "name",
    "group",
    "lab",
    "status",
    "points",
    "max",
    "late_seconds",
    "later_commits",
    "commit",
    "rule",
    "note",
    "seed",
    "repository",
    "wanted",
];

/// The table as text.
///
/// # Errors
/// When a line cannot be made.
pub fn to_string(class: &Class) -> Result<String, ::csv::Error> {
    let mut names: Vec<String> = Vec::new();
    for total in class.totals() {
        let several = class.run.run.labs.len() > 1;
        let name = |check: &str| if several { format!("{}.{check}", total.lab) } else { check.to_owned() };
        names.extend(total.checks.iter().map(|(check, ..)| name(check)));
    }
    let mut table = ::csv::Writer::from_writer(Vec::new());
    table.write_record(COLUMNS.iter().map(|name| (*name).to_owned()).chain(names.iter().map(|name| plain(name))))?;
    for (row, checks) in class.with_checks() {
        let several = class.run.run.labs.len() > 1;
        let mut line = cells(row);
        for name in &names {
            let is_it = |check: &str| if several { *name == format!("{}.{check}", row.lab) } else { name == check };
            let points = checks.iter().find(|check| is_it(&check.name)).map(|check| match check.verdict.as_str() {
                // Points that nobody could decide are no zero.
                "error" => "error".to_owned(),
                _ => check.earned.to_string(),
            });
            line.push(points.unwrap_or_default());
        }
        table.write_record(line.iter().map(|cell| plain(cell)))?;
    }
    let text = table.into_inner().map_err(|error| ::csv::Error::from(error.into_error()))?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn cells(row: &Row) -> Vec<String> {
    // Without a grade there are no points, which is not the same as none.
    let grade = row.grade.as_ref().filter(|grade| grade.outcome != "error");
    let found = row.found.as_ref();
    vec![
        row.student.student.clone(),
        row.student.name.clone(),
        row.student.team.clone(),
        row.lab.clone(),
        row.status().to_owned(),
        grade.map(|grade| grade.earned.to_string()).unwrap_or_default(),
        grade.map(|grade| grade.max.to_string()).unwrap_or_default(),
        found.map(|found| found.late.to_string()).unwrap_or_default(),
        found.map(|found| found.later.to_string()).unwrap_or_default(),
        found.map(|found| found.commit.clone()).unwrap_or_default(),
        found.map(|found| found.rule.clone()).unwrap_or_default(),
        row.note().to_owned(),
        grade.map(|grade| grade.seed.clone()).unwrap_or_default(),
        row.terms.repository.clone(),
        row.terms.wanted.clone(),
    ]
}

/// A cell that is no formula, on one line.
fn plain(text: &str) -> String {
    let line = safe::line(text);
    // Besides ASCII's, some spreadsheets take the full-width forms.
    if line.trim_start().starts_with(['=', '+', '-', '@', '|', '%', '＝', '＋', '－', '＠', '␉', '␍']) {
        format!("'{line}")
    } else {
        line
    }
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn no_cell_is_a_formula() {
        for cell in ["=1+1", "+1", "-2+3", "@SUM(A1)", " =1", "\t=1", "\r=1", "＝1", "|calc", "%0a"] {
            assert!(plain(cell).starts_with('\''), "{cell:?} -> {:?}", plain(cell));
        }
        for cell in ["97.5", "Ada", "a=b", "lab6-2-buddy", ""] {
            assert_eq!(plain(cell), cell);
        }
        assert!(!plain("two\nlines").contains('\n'));
    }
}
