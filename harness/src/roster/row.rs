//! One student out of a row of a table or a mapping of YAML.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use super::due::{BadExtension, Due, Extension};
use super::{Student, Terms, template};
use crate::lab::LabId;
use crate::yaml::{Node, Problem, Reader, Value};

/// What a student's row can say; other columns can stand in templates.
const KEYS: [&str; 8] = ["id", "name", "group", "repository", "branch", "tag", "due", "extension"];

/// The most characters of an id.
const LONGEST_ID: usize = 64;

/// What rows are read with.
pub struct Context<'a> {
    /// The text of the file.
    pub source: &'a str,
    /// The course's labs.
    pub labs: &'a [LabId],
    /// The zone of dates that say none.
    pub zone: Option<&'a TimeZone>,
}

impl Context<'_> {
    /// What was written there: a number as it stands, since an id may begin with zeros.
    fn written(&self, node: &Node) -> Option<String> {
        match &node.value {
            Value::Text(text) => Some(text.trim().to_owned()),
            Value::Null => Some(String::new()),
            Value::List(_) | Value::Map(_) => None,
            _ => self.source.get(node.at.clone()).map(|text| text.trim().to_owned()),
        }
    }

    /// Repository, branch, tag, due date and extension, as far as they are there.
    pub fn term(&self, reader: &mut Reader<'_>, terms: &mut Terms, key: &str, node: &Node) -> Option<()> {
        let text = self.text(reader, node)?;
        match key {
            "repository" => terms.repository = Some(text),
            "branch" => terms.branch = Some(text),
            "tag" => terms.tag = Some(text),
            "due" => match Due::read(&text, self.zone) {
                Ok(due) => terms.due = Some(due),
                Err(bad) => return reader.wrong_value(node, bad.to_string()),
            },
            "extension" => match Extension::read(&text, |lab| self.labs.iter().any(|known| known.0 == lab)) {
                Ok(extension) => terms.extension = extension,
                Err(BadExtension::Form) => {
                    return reader.wrong_value(node, "an extension, as in `3d`, `1w 12h` or `LAB=3d, LAB=1w`");
                }
                Err(BadExtension::UnknownLab(name)) => {
                    let known: Vec<&str> = self.labs.iter().map(|lab| lab.0.as_str()).collect();
                    reader.unknown(node.at.clone(), "lab", &name, &known);
                    return None;
                }
            },
            _ => {}
        }
        Some(())
    }

    fn text(&self, reader: &mut Reader<'_>, node: &Node) -> Option<String> {
        match self.written(node) {
            Some(text) if text.chars().any(char::is_control) => {
                reader.wrong_value(node, "a text on one line, without control characters")
            }
            Some(text) => Some(text),
            None => reader.wrong_type(node, "a text"),
        }
    }

    /// The student of a row; `None` where the row has no usable id.
    pub fn student(&self, reader: &mut Reader<'_>, node: &Node) -> Option<Student> {
        let Value::Map(entries) = &node.value else {
            return reader.wrong_type(node, "a mapping that describes a student");
        };
        let mut values: BTreeMap<String, String> = BTreeMap::new();
        let mut own = Terms::default();
        for (key, value) in entries {
            let Some(name) = self.written(key) else {
                reader.wrong_type::<()>(key, "the name of a column");
                continue;
            };
            let text = match KEYS.contains(&name.as_str()) {
                true if matches!(value.value, Value::Null) => continue,
                true if !["id", "name", "group"].contains(&name.as_str()) => {
                    self.term(reader, &mut own, &name, value);
                    continue;
                }
                _ => self.text(reader, value),
            };
            let Some(text) = text else { continue };
            if values.insert(name.clone(), text).is_some() {
                let problem = Problem::Conflict(format!("a student has two values of `{name}`"));
                reader.note(key.at.clone(), problem);
            }
        }
        let id_at = entries.iter().find(|(key, _)| self.written(key).as_deref() == Some("id")).map(|(_, value)| value);
        let Some(id_at) = id_at else {
            let expected = "what the student is called in gradebook and reports".to_owned();
            reader.note(node.at.clone(), Problem::MissingKey { key: "id", of: "a student", expected });
            return None;
        };
        let id = values.get("id").cloned().unwrap_or_default();
        if !is_id(&id) {
            let expected = format!(
                "an id: at most {LONGEST_ID} letters of ASCII, digits, `-`, `_`, `.`, `+` and `@`, beginning with a letter or digit"
            );
            return reader.wrong_value(id_at, expected);
        }
        let group = values.get("group").filter(|group| !group.is_empty()).cloned();
        Some(Student { id, name: values.get("name").cloned().unwrap_or_default(), group, own, values })
    }

    /// Notes a column that was probably meant to be another one.
    pub fn check_columns(&self, reader: &mut Reader<'_>, node: &Node) {
        let Value::Map(entries) = &node.value else { return };
        for (key, _) in entries {
            let Some(name) = self.written(key).filter(|name| !KEYS.contains(&name.as_str())) else { continue };
            let slip =
                |known: &&&str| name.to_lowercase() == **known || crate::similar::meant(&name, [**known]).is_some();
            if let Some(meant) = KEYS.iter().find(slip) {
                reader.note(
                    key.at.clone(),
                    Problem::UnknownKey {
                        key: name,
                        of: "a student",
                        expected: KEYS.map(str::to_owned).to_vec(),
                        meant: Some((*meant).to_owned()),
                    },
                );
            }
        }
    }

    /// Notes the templates that cannot be filled in for a student.
    pub fn check_templates(&self, reader: &mut Reader<'_>, at: &Node, student: &Student, terms: &[&Terms]) {
        let templates = terms.iter().flat_map(|terms| [&terms.repository, &terms.branch, &terms.tag]);
        for text in templates.flatten() {
            let Err(bad) = template::fill(text, &student.values, None) else { continue };
            let id = &student.id;
            let problem = match bad {
                template::BadTemplate::Unknown(name) => {
                    let known: Vec<&str> = student.values.keys().map(String::as_str).chain([template::LAB]).collect();
                    format!(
                        "`{text}` names `{{{name}}}`, and student {id} has no such column; there are {}",
                        known.join(", ")
                    )
                }
                template::BadTemplate::Empty(name) => format!("`{text}` names `{{{name}}}`, and student {id} has none"),
                template::BadTemplate::Unfit { name, value } => format!(
                    "`{text}` names `{{{name}}}`, which of student {id} is `{value}`: that is no plain word, and may lead elsewhere"
                ),
                template::BadTemplate::Open => format!("`{text}` has a `{{` without its `}}`"),
            };
            reader.note(at.at.clone(), Problem::Conflict(problem));
        }
    }
}

fn is_id(id: &str) -> bool {
    id.starts_with(|first: char| first.is_ascii_alphanumeric())
        && id.len() <= LONGEST_ID
        && id.chars().all(|character| character.is_ascii_alphanumeric() || "-_.+@".contains(character))
}
