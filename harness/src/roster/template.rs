//! Repositories, branches and tags that are the same for all but for a student's id: `https://…/course-{id}.git`.

use std::collections::BTreeMap;

/// Why a template cannot be filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadTemplate {
    /// Nothing has that name.
    Unknown(String),
    /// This student has none.
    Empty(String),
    /// The value would change what the text around it means: it leads into another folder, or holds what no URL does.
    Unfit {
        /// The name.
        name: String,
        /// Its value.
        value: String,
    },
    /// A `{` without its `}`.
    Open,
}

/// The name that stands for the lab.
pub const LAB: &str = "lab";

/// Fills in `{name}` for each name. Names of students are the students' choice, so values must be plain words.
///
/// # Errors
/// When a name is unknown, or has no value, or one that is no plain word.
pub fn fill(text: &str, values: &BTreeMap<String, String>, lab: Option<&str>) -> Result<String, BadTemplate> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let (before, behind) = rest.split_at(open);
        let close = behind.find('}').ok_or(BadTemplate::Open)?;
        let name = &behind[1..close];
        let value = if name == LAB { Some(lab.unwrap_or(LAB)) } else { values.get(name).map(String::as_str) };
        let value = value.ok_or_else(|| BadTemplate::Unknown(name.to_owned()))?;
        if value.is_empty() {
            return Err(BadTemplate::Empty(name.to_owned()));
        }
        let plain = |character: char| character.is_alphanumeric() || "-_.+@~".contains(character);
        if !value.chars().all(plain) || value.chars().all(|character| character == '.') {
            return Err(BadTemplate::Unfit { name: name.to_owned(), value: value.to_owned() });
        }
        filled.push_str(before);
        filled.push_str(value);
        rest = &behind[close + 1..];
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> BTreeMap<String, String> {
        let pairs = [("id", "s17"), ("name", "../root"), ("group", ""), ("dots", "..")];
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    #[test]
    fn what_a_student_is_called_is_filled_in_and_the_lab_too() {
        let filled = fill("https://git.example.org/{lab}/course-{id}.git", &values(), Some("lab6-2-buddy"));
        assert_eq!(filled.as_deref(), Ok("https://git.example.org/lab6-2-buddy/course-s17.git"));
        assert_eq!(fill("a plain path", &values(), None).as_deref(), Ok("a plain path"));
    }

    #[test]
    fn nobody_gets_into_another_s_repository_by_their_name() {
        for (text, why) in [
            ("/srv/{name}.git", BadTemplate::Unfit { name: "name".into(), value: "../root".into() }),
            ("/srv/{dots}", BadTemplate::Unfit { name: "dots".into(), value: "..".into() }),
            ("/srv/{group}", BadTemplate::Empty("group".into())),
            ("/srv/{login}", BadTemplate::Unknown("login".into())),
            ("/srv/{id", BadTemplate::Open),
        ] {
            assert_eq!(fill(text, &values(), None), Err(why), "{text}");
        }
    }
}
