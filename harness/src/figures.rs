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
