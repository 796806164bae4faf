//! A table of figures as lines of text, with the reference's beside those that are compared.

use super::safe;
use crate::subject::table::{Row, Table};

/// Spaces between columns.
const GAP: usize = 2;

/// Characters of a name that are shown: one of a file can be of any length.
const LONGEST_NAME: usize = 60;

/// The lines, the heading first.
pub fn draw(own: &Table, reference: Option<&Table>) -> Vec<String> {
    let mut heading = vec![name(&own.title)];
    for column in &own.columns {
        heading.push(name(&column.name));
        if column.compared && reference.is_some() {
            heading.push("reference".to_owned());
        }
    }
    let mut lines = vec![heading];
    for row in &own.rows {
        let beside = reference.and_then(|reference| reference.row(&row.name));
        let mut cells = vec![name(&row.name)];
        for (index, column) in own.columns.iter().enumerate() {
            let cell = |row: Option<&Row>| {
                let value = row.and_then(|row| *row.values.get(index)?);
                value.map_or_else(|| "-".to_owned(), |value| format!("{value:.*}", usize::from(column.decimals)))
            };
            cells.push(cell(Some(row)));
            if column.compared && reference.is_some() {
                cells.push(cell(beside));
            }
        }
        lines.push(cells);
    }
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |index: usize| lines.iter().filter_map(|cells| cells.get(index)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|index| width(index).unwrap_or(0)).collect();
    let drawn = lines.iter().map(|cells| {
        let mut line = format!("{:<1$}", cells[0], widths[0]);
        for (cell, width) in cells.iter().zip(&widths).skip(1) {
            line.push_str(&format!("{:GAP$}{cell:>width$}", ""));
        }
        line
    });
    drawn.collect()
}

fn name(text: &str) -> String {
    safe::short(text, LONGEST_NAME)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subject::table::Column;

    #[test]
    fn the_reference_stands_beside_what_is_compared() {
        let mut own = Table::new("trace", [Column::new("operations", 0), Column::new("utilisation", 1).compared()]);
        let mut reference = own.clone();
        own.push("stack", [1000.0, 84.25]);
        own.push("queue-like", [20.0, f64::NAN]);
        reference.push("stack", [1000.0, 90.0]);
        let alone = [
            "trace       operations  utilisation",
            "stack             1000         84.2",
            "queue-like          20            -",
        ];
        assert_eq!(draw(&own, None), alone);
        let beside = [
            "trace       operations  utilisation  reference",
            "stack             1000         84.2       90.0",
            "queue-like          20            -          -",
        ];
        assert_eq!(draw(&own, Some(&reference)), beside);
    }
}
