//! A class as a page of Markdown: what each lab came to, which checks cost most, who needs a look.

use super::alike::Alike;
use super::{Class, Total};
use crate::batch::lateness;
use crate::gradebook::Row;
use crate::report::safe;

/// Students that a list names; the others are counted.
const MOST: usize = 100;

/// Pairs of submissions that are named; `grader alike` lists all.
const MOST_PAIRS: usize = 20;

/// The page.
pub fn render(class: &Class, alike: &[Alike]) -> String {
    let mut page = String::from("# Grades\n");
    for total in class.totals() {
        lab(class, &total, &mut page);
    }
    list(class, &mut page, "Could not be graded, by no fault of theirs", "error", |row| row.reason.clone());
    list(class, &mut page, "Handed in nothing that could be graded", "missing", |row| row.reason.clone());
    late(class, &mut page);
    noted(class, &mut page);
    alike.iter().for_each(|alike| in_common(alike, &mut page));
    let run = &class.run.run;
    page.push_str(&format!(
        "\nRun {} with grader {}, seeds {}, part {}.\n",
        class.run.id,
        plain(&run.grader),
        plain(&run.seed),
        run.shard
    ));
    page
}

fn lab(class: &Class, total: &Total, page: &mut String) {
    let counts = total.counts;
    page.push_str(&format!("\n## {}: {}\n\n", plain(&total.lab), plain(&total.title)));
    page.push_str("| students | passed everything | lost points | missing | error | not graded yet |\n");
    page.push_str("| ---: | ---: | ---: | ---: | ---: | ---: |\n");
    let all = counts.passed + counts.failed + counts.missing + counts.error + counts.left;
    page.push_str(&format!(
        "| {all} | {} | {} | {} | {} | {} |\n",
        counts.passed, counts.failed, counts.missing, counts.error, counts.left
    ));
    if let Some((mean, median)) = total.mean_and_median() {
        page.push_str(&format!(
            "\nOf {} points: {mean} on average, median {median}, from {} to {}.\n",
            total.points,
            total.earned[0],
            total.earned[total.earned.len() - 1]
        ));
        histogram(total, page);
    }
    if !total.checks.is_empty() {
        page.push_str("\n| check | passed | what must hold |\n| --- | ---: | --- |\n");
        for (name, title, passed, judged) in &total.checks {
            let share = 100 * passed / judged.max(&1);
            page.push_str(&format!("| {} | {passed} of {judged}, {share} % | {} |\n", plain(name), plain(title)));
        }
    }
    page.push_str("\n<details><summary>All students</summary>\n\n");
    page.push_str("| student | name | status | points |\n| --- | --- | --- | ---: |\n");
    let rows: Vec<&Row> = class.rows.iter().filter(|row| row.lab == total.lab).collect();
    // Some readers drop a page over a megabyte as a whole.
    for row in rows.iter().take(2000) {
        let points = row.grade.as_ref().map(|grade| grade.earned.to_string()).unwrap_or_default();
        page.push_str(&format!(
            "| {} | {} | {} | {points} |\n",
            plain(&row.student.student),
            plain(&row.student.name),
            row.status()
        ));
    }
    if rows.len() > 2000 {
        page.push_str(&format!("\nand {} more\n", rows.len() - 2000));
    }
    page.push_str("\n</details>\n");
}

/// How many earned how much, by tenths of the points to be had.
fn histogram(total: &Total, page: &mut String) {
    let most = f64::from(total.points).max(0.1);
    let mut bins = [0usize; 11];
    for points in &total.earned {
        bins[((f64::from(*points) / most * 10.0) as usize).min(10)] += 1;
    }
    let highest = bins.iter().copied().max().unwrap_or(0).max(1);
    page.push_str("\n```text\n");
    for (index, count) in bins.iter().enumerate() {
        let label = match index {
            10 => "      100 %".to_owned(),
            _ => format!("{:>3} to {:>2} %", index * 10, index * 10 + 9),
        };
        page.push_str(format!("{label} {count:>5} {}", "█".repeat(count * 40 / highest)).trim_end());
        page.push('\n');
    }
    page.push_str("```\n");
}

fn list(class: &Class, page: &mut String, title: &str, status: &str, text: impl Fn(&Row) -> String) {
    let rows: Vec<&Row> = class.rows.iter().filter(|row| row.status() == status).collect();
    section(page, title, &rows, text);
}

fn late(class: &Class, page: &mut String) {
    let is_late = |row: &&Row| row.found.as_ref().is_some_and(|found| found.late > 0 || found.later > 0);
    let rows: Vec<&Row> = class.rows.iter().filter(is_late).collect();
    section(page, "Late; no points were taken for it", &rows, |row| {
        let Some(found) = &row.found else { return String::new() };
        let late = if found.late > 0 {
            format!("graded though {} late", lateness(found.late))
        } else {
            let last = row.terms.due.map(|due| lateness(found.head_time - due)).unwrap_or_default();
            format!("{} later commit(s), up to {last} late, not graded", found.later)
        };
        format!("{late}: {}", found.rule)
    });
}

fn noted(class: &Class, page: &mut String) {
    let is_noted = |row: &&Row| !row.note().is_empty() && matches!(row.status(), "passed" | "failed");
    let rows: Vec<&Row> = class.rows.iter().filter(is_noted).collect();
    section(page, "To be looked at", &rows, |row| row.note().to_owned());
}

/// Who should be read side by side.
fn in_common(alike: &Alike, page: &mut String) {
    let Alike { lab, pairs } = alike;
    if pairs.is_empty() {
        return;
    }
    page.push_str(&format!("\n## Code in common in {}\n\n", plain(lab)));
    page.push_str("A hint for somebody who then reads both; it is in no grade.\n\n");
    for pair in pairs.iter().take(MOST_PAIRS) {
        let share = (pair.share * 100.0).floor();
        page.push_str(&format!("- {} and {}: {share} % of the smaller one\n", plain(&pair.one), plain(&pair.other)));
    }
    if pairs.len() > MOST_PAIRS {
        page.push_str(&format!("- and {} more pairs, which `grader alike` lists\n", pairs.len() - MOST_PAIRS));
    }
}

fn section(page: &mut String, title: &str, rows: &[&Row], text: impl Fn(&Row) -> String) {
    if rows.is_empty() {
        return;
    }
    page.push_str(&format!("\n## {title}\n\n"));
    for row in rows.iter().take(MOST) {
        page.push_str(&format!("- {} in {}: {}\n", plain(&row.student.student), plain(&row.lab), plain(&text(row))));
    }
    if rows.len() > MOST {
        page.push_str(&format!("- and {} more\n", rows.len() - MOST));
    }
}

/// Text that means nothing in Markdown or HTML, on one line.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in safe::line(text).chars() {
        match character {
            '<' => plain.push_str("&lt;"),
            '>' => plain.push_str("&gt;"),
            '&' => plain.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '(' | ')' | '#' | '!' | '|' | '~' | '$' => {
                plain.push('\\');
                plain.push(character);
            }
            // Neither a mention, nor a link that makes itself.
            '@' | ':' => {
                plain.push(character);
                plain.push('\u{200b}');
            }
            _ => plain.push(character),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn what_a_student_calls_themselves_is_text_and_nothing_else() {
        let text = plain("<img src=x onerror=a()> [x](javascript:y) @all | `c` \n# h");
        for sign in ["<img", "](", "@all", " | ", " `c`", "\n", "javascript:y"] {
            assert!(!text.contains(sign), "{sign:?} in {text}");
        }
    }
}
