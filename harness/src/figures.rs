//! Figures that are read off the console: the numbers that the named groups of a pattern find in a command's output.

use std::collections::BTreeMap;

use crate::lab::console::{Command, STATISTICS};
use crate::serial::reading::Reading;
use crate::subject::Quantity;
use crate::subject::table::{Column, Table};

/// What was read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figures {
    /// Every figure that a metric can name.
    pub found: BTreeMap<String, Quantity>,
    /// Why there is no figure of a name, without its statistic.
    pub missing: BTreeMap<String, String>,
    /// All of them, for reports; none where nothing was asked for.
    pub table: Option<Table>,
}

impl Figures {
    /// Reads the figures of these commands.
    pub fn read(commands: &[Command], reading: &Reading) -> Self {
        let mut figures = Self::default();
        let columns = STATISTICS.map(|statistic| Column::new(statistic.name, decimals(statistic.name)));
        let mut table = Table::new("printed on the console", columns);
        for command in commands {
            for pattern in &command.figures {
                for group in pattern.capture_names().flatten() {
                    let name = format!("{}.{group}", command.typed);
                    match numbers(command, pattern, group, reading) {
                        Ok(numbers) => {
                            table.push(&name, STATISTICS.map(|statistic| (statistic.of)(&numbers)));
                            figures.add(&name, &numbers);
                        }
                        Err(why) => {
                            figures.missing.insert(name, why);
                        }
                    }
                }
            }
        }
        figures.table = (!table.rows.is_empty()).then_some(table);
        figures
    }

    /// Why a metric has no value.
    pub fn why_missing(&self, metric: &str) -> Option<&str> {
        let name = if self.missing.contains_key(metric) { metric } else { metric.rsplit_once('.')?.0 };
        self.missing.get(name).map(String::as_str)
    }

    fn add(&mut self, name: &str, numbers: &[f64]) {
        let mut add = |name: String, value: f64| {
            let unit = "on the console";
            self.found.insert(name, Quantity { value, unit });
        };
        for statistic in STATISTICS {
            add(format!("{name}.{}", statistic.name), (statistic.of)(numbers));
        }
        add(name.to_owned(), numbers[numbers.len() - 1]);
    }
}

/// The numbers that a group finds, of which there is at least one, or why there is none.
fn numbers(command: &Command, pattern: &regex::Regex, group: &str, reading: &Reading) -> Result<Vec<f64>, String> {
    let typed = &command.typed;
    let Some(section) = reading.section(typed) else {
        return Err(format!("`{typed}` was not typed: {}", reading.ending));
    };
    if !section.ended {
        // Figures of the last lines would be those of an earlier moment.
        return Err(format!("`{typed}` did not end: {}", reading.ending));
    }
    let text = section.text();
    let found = pattern.captures_iter(&text).filter_map(|found| found.name(group)?.as_str().parse::<f64>().ok());
    let numbers: Vec<f64> = found.filter(|number| number.is_finite()).collect();
    match numbers.is_empty() {
        true => Err(format!("no line of the form `{pattern}` was seen after `{typed}`")),
        false => Ok(numbers),
    }
}

fn decimals(statistic: &str) -> u8 {
    if statistic == "share" { 2 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::console::Pattern;
    use crate::session::sections::Section;

    /// What is read when `kalloctest` prints these lines.
    fn read(pattern: &str, lines: &[&str], ended: bool) -> Figures {
        let figures = vec![Pattern::new(pattern).unwrap()];
        let command = Command { typed: "kalloctest".to_owned(), limit: 1, figures };
        let mut reading = Reading::of_serial("");
        reading.sections.push(Section {
            command: command.typed.clone(),
            typed: command.typed.clone(),
            lines: lines.iter().map(|line| (*line).to_owned()).collect(),
            forged: Vec::new(),
            ended,
        });
        Figures::read(&[command], &reading)
    }

    const LOCKS: &str = r"^lock: kmem\S*: #\S+ +(?<spins>\d+) +#acquire\(\) +(?<taken>\d+)";

    #[test]
    fn numbers_of_every_line_that_matches_are_known_by_each_statistic_whatever_a_student_appended() {
        // As printed in 2020 and since.
        let lines = [
            "start test1",
            "lock: kmem_0: #fetch-and-add 7 #acquire() 100",
            "lock: kmem_1: #test-and-set 5 #acquire() 300 #stolen 9",
            "lock: bcache: #test-and-set 9 #acquire() 900",
        ];
        let figures = read(LOCKS, &lines, true);
        let value = |name: &str| figures.found.get(name).map(|quantity| quantity.value);
        assert_eq!([value("kalloctest.spins"), value("kalloctest.taken.sum")], [Some(5.0), Some(400.0)]);
        let taken =
            ["first", "last", "least", "most", "count", "share"].map(|name| value(&format!("kalloctest.taken.{name}")));
        assert_eq!(taken, [100.0, 300.0, 100.0, 300.0, 2.0, 0.75].map(Some));
        assert_eq!(figures.table.as_ref().map(|table| table.rows.len()), Some(2));
    }

    #[test]
    fn a_figure_that_was_not_printed_or_not_to_the_end_is_missing_and_no_zero() {
        let figures = read(LOCKS, &["tot= 0"], true);
        assert!(figures.found.is_empty() && figures.table.is_none());
        let why = figures.why_missing("kalloctest.taken.share").unwrap();
        assert!(why.contains("no line of the form") && why.contains("was seen after `kalloctest`"), "{why}");
        let figures = read(r"tot= (?<tot>\d+)", &["tot= 0"], false);
        assert!(figures.found.is_empty());
        assert!(figures.why_missing("kalloctest.tot").unwrap().contains("did not end"));
    }
}
