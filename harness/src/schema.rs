//! JSON Schemas of our own formats, generated from the types that write and read them.

use schemars::Schema;

use crate::grade::Grade;
use crate::report::class::lines::Line;
use crate::session::store;

/// A format of ours.
#[derive(Debug, Clone, Copy)]
pub struct Format {
    /// Its name on the command line.
    pub name: &'static str,
    /// Its file in `harness/schemas`, which has its version.
    pub file: &'static str,
    /// Its schema.
    schema: fn() -> Schema,
}

/// All of them.
pub const FORMATS: [Format; 3] = [
    Format { name: "grade", file: "grade-v1.json", schema: || schemars::schema_for!(Grade) },
    Format { name: "class-line", file: "class-line-v1.json", schema: || schemars::schema_for!(Line) },
    Format { name: "transcript", file: "transcript-v1.json", schema: store::schema },
];

impl Format {
    /// The schema as it is published.
    pub fn text(&self) -> String {
        let mut text = serde_json::to_string_pretty(&(self.schema)()).unwrap_or_default();
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_schemas_are_those_of_the_types() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
        for format in FORMATS {
            let published = std::fs::read_to_string(folder.join(format.file)).unwrap_or_default();
            let (name, file) = (format.name, format.file);
            assert_eq!(format.text(), published, "type: grader schema {name} > harness/schemas/{file}");
        }
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), FORMATS.len());
    }
}
