//! What a class came to, in a few lines for whoever typed the command.

use console::Style;

use super::{Class, Total};
use crate::report::safe;
use crate::report::terminal::Theme;

/// Students that are named of each kind; the others are counted.
const MOST: usize = 20;

/// The lines.
pub fn render(class: &Class, _: &Theme) -> String {
    let mut lines = Vec::new();
    for total in class.totals() {
        lines.push(summary(&total));
    }
    for (status, label) in [("error", "Our fault"), ("missing", "Missing")] {
        let rows: Vec<_> = class.rows.iter().filter(|row| row.status() == status).collect();
        for row in rows.iter().take(MOST) {
            let reason = safe::line(&row.reason);
            lines.push(format!("{label:>12} {} in {}: {reason}", row.student.student, row.lab));
        }
        if rows.len() > MOST {
            lines.push(format!("{:>12} and {} more", "", rows.len() - MOST));
        }
    }
    lines.push(String::new());
    lines.join("\n")
}

fn summary(total: &Total) -> String {
    let counts = total.counts;
    let parts = [
        (counts.passed, "passed everything"),
        (counts.failed, "lost points"),
        (counts.missing, "missing"),
        (counts.error, "could not be graded by our fault"),
        (counts.left, "not graded yet"),
    ];
    let parts: Vec<String> =
        parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    let points = match total.mean_and_median() {
        Some((mean, median)) => format!("; of {} points {mean} on average, median {median}", total.points),
        None => String::new(),
    };
    format!("{:>12} {}: {}{points}", Style::new().apply_to("Lab"), total.lab, parts.join(", "))
}
