//! Figures in rows and columns, for reports to show beside the checks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Table {
    /// What it shows, which also heads the column of names.
    pub title: String,
    /// The columns after that of the names.
    pub columns: Vec<Column>,
    /// The rows, in the order in which they are shown.
    pub rows: Vec<Row>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Column {
    /// Its heading.
    pub name: String,
    /// Digits after the decimal point.
    pub decimals: u8,
    /// Whether the reference's figure is shown beside it, where the reference was booted too.
    pub compared: bool,
}

/// A row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Row {
    /// What it is about.
    pub name: String,
    /// One figure a column; none where there is nothing to say.
    pub values: Vec<Option<f64>>,
}

impl Table {
    /// A table without rows.
    pub fn new(title: impl Into<String>, columns: impl IntoIterator<Item = Column>) -> Self {
        Self { title: title.into(), columns: columns.into_iter().collect(), rows: Vec::new() }
    }

    /// Adds a row. A figure that is no finite number is none.
    pub fn push(&mut self, name: impl Into<String>, values: impl IntoIterator<Item = f64>) {
        let values = values.into_iter().map(|value| value.is_finite().then_some(value)).collect();
        self.rows.push(Row { name: name.into(), values });
    }

    /// The row of that name.
    pub fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }
}

impl Column {
    /// A column of figures with so many digits after the decimal point.
    pub fn new(name: &str, decimals: u8) -> Self {
        Self { name: name.to_owned(), decimals, compared: false }
    }

    /// The same, with the reference's figures beside it.
    pub fn compared(self) -> Self {
        Self { compared: true, ..self }
    }
}
