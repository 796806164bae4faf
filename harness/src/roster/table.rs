//! A table in CSV as the tree that YAML would have made of it, so that one reader says of both what is wrong where.

use std::ops::Range;

use crate::yaml::{Defect, Node, Problem, Value};

/// A list with a mapping for each row, from the names of the columns to what stands there; empty cells are left out.
/// Columns are parted by commas, semicolons or tabs, whichever the first line has most of.
///
/// # Errors
/// The first place where it is no table.
pub fn parse(source: &str) -> Result<Node, Box<Defect>> {
    let delimiter = delimiter(source.lines().next().unwrap_or_default());
    // What Excel puts before the first character.
    let start = if source.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let mut reader = csv::ReaderBuilder::new();
    reader.delimiter(delimiter).has_headers(false).flexible(true);
    let mut reader = reader.from_reader(&source.as_bytes()[start..]);
    let mut header: Vec<Node> = Vec::new();
    let mut rows = Vec::new();
    let mut record = csv::StringRecord::new();
    loop {
        let at = start + reader.position().byte() as usize;
        let more = reader.read_record(&mut record).map_err(|error| syntax(source, at..at, &error.to_string()))?;
        if !more {
            break;
        }
        let end = start + reader.position().byte() as usize;
        // The reader passes over empty lines before a record.
        let empty = source[at..end].bytes().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
        let at = at + empty;
        let cells = cells(source, at..end, delimiter);
        let node = |(text, at): (&str, Range<usize>)| Node { at, value: Value::Text(text.trim().to_owned()) };
        let cells = record.iter().zip(cells).map(node);
        if header.is_empty() {
            header = cells.collect();
            continue;
        }
        if record.iter().all(|text| text.trim().is_empty()) {
            continue;
        }
        if record.len() > header.len() {
            let problem = format!("this line has {} cells, and the first one {}", record.len(), header.len());
            return Err(Box::new(Defect::new(source, at..at, Problem::Conflict(problem))));
        }
        let is_filled = |node: &Node| !matches!(&node.value, Value::Text(text) if text.is_empty());
        let entries = header.iter().cloned().zip(cells).filter(|(_, cell)| is_filled(cell));
        rows.push(Node { at: at..at, value: Value::Map(entries.collect()) });
    }
    Ok(Node { at: 0..0, value: Value::List(rows) })
}

fn syntax(source: &str, at: Range<usize>, text: &str) -> Box<Defect> {
    Box::new(Defect::new(source, at, Problem::Conflict(format!("this is no table in CSV: {text}"))))
}

fn delimiter(first: &str) -> u8 {
    let count = |delimiter: u8| first.bytes().filter(|byte| *byte == delimiter).count();
    [b',', b';', b'\t'].into_iter().rev().max_by_key(|delimiter| count(*delimiter)).unwrap_or(b',')
}

/// Where the cells of a record lie; what quotes hold together is one cell.
fn cells(source: &str, record: Range<usize>, delimiter: u8) -> Vec<Range<usize>> {
    let mut cells = Vec::new();
    let (mut from, mut quoted) = (record.start, false);
    for (index, byte) in source.as_bytes()[record.clone()].iter().enumerate() {
        let at = record.start + index;
        match byte {
            b'"' => quoted = !quoted,
            b'\n' | b'\r' if !quoted => {
                cells.push(from..at);
                return cells;
            }
            byte if *byte == delimiter && !quoted => {
                cells.push(from..at);
                from = at + 1;
            }
            _ => {}
        }
    }
    cells.push(from..record.end);
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(source: &str) -> Vec<Vec<(String, String, String)>> {
        let Value::List(rows) = parse(source).expect("a table").value else { panic!("no list") };
        let text = |node: &Node| match &node.value {
            Value::Text(text) => text.clone(),
            _ => panic!("no text"),
        };
        let entry = |(key, value): &(Node, Node)| (text(key), text(value), source[value.at.clone()].to_owned());
        let row = |row: &Node| match &row.value {
            Value::Map(entries) => entries.iter().map(entry).collect(),
            _ => panic!("no mapping"),
        };
        rows.iter().map(row).collect()
    }

    #[test]
    fn every_cell_knows_its_place_whatever_program_wrote_the_table() {
        let mut due = vec![
            vec![("id".to_owned(), "s1".to_owned()), ("name".to_owned(), "Lovelace, \"Ada\"".to_owned())],
            vec![("id".to_owned(), "s2".to_owned())],
        ];
        for source in [
            "id,name\ns1,\"Lovelace, \"\"Ada\"\"\"\n\ns2,\n",
            "\u{feff}id;name\r\ns1;\"Lovelace, \"\"Ada\"\"\"\r\ns2;\r\n",
            "id\tname\n s1 \t\"Lovelace, \"\"Ada\"\"\"\n\t\ns2",
        ] {
            let found = shown(source);
            for (row, cells) in found.iter().zip(&due) {
                for ((key, value, written), (due_key, due_value)) in row.iter().zip(cells) {
                    assert_eq!((key, value), (due_key, due_value), "{source:?}");
                    let written = written.trim();
                    let inner = written.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(written);
                    let plain = inner.replace("\"\"", "\"");
                    assert_eq!(&plain, value, "{source:?}");
                }
            }
            assert_eq!(found.len(), due.len(), "{source:?}");
        }
        due.clear();
        assert!(shown("id,name\n").is_empty() && shown("").is_empty());
    }

    #[test]
    fn a_line_with_a_cell_too_many_is_named() {
        let defect = parse("id,name\ns1,Ada\ns2,Hopper,Grace\n").unwrap_err();
        assert_eq!(defect.to_string(), "3:1: this line has 3 cells, and the first one 2");
    }
}
