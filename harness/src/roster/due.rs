//! When something is due: an instant with the time zone that it was said in.
//!
//! Zones come from the database in the binary and not from the machine's, so that every shard of a class, wherever it
//! runs, takes the same instant for the same words.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};
use jiff::{Span, SpanRelativeTo, Unit, Zoned};

static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// The time zone of that name: one of the IANA database, or `UTC`.
pub fn zone(name: &str) -> Option<TimeZone> {
    if name == "UTC" { Some(TimeZone::UTC) } else { ZONES.get(name).ok() }
}

/// When something is due.
#[derive(Debug, Clone, PartialEq)]
pub struct Due {
    at: Zoned,
    /// What was added to the date of the class.
    extension: Option<String>,
}

/// Why a text is no date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadDate {
    /// It has another form than dates have.
    Form,
    /// There is no such day, or time of day.
    NoSuchTime,
    /// Neither it nor the roster says in which zone.
    NoZone,
    /// No zone has that name.
    UnknownZone(String),
}

impl fmt::Display for BadDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const FORM: &str = "a date with its time and zone, as in `2026-11-20 23:59 Europe/Berlin`";
        match self {
            Self::Form => f.write_str(FORM),
            Self::NoSuchTime => write!(f, "{FORM}: there is no such day or time"),
            Self::NoZone => write!(f, "{FORM}: it says no time zone, and the roster has no key `zone`"),
            Self::UnknownZone(name) => write!(f, "{FORM}: there is no time zone `{name}`"),
        }
    }
}

impl Due {
    /// Reads `2026-11-20 23:59`, with `:SS`, `T` for the space and a zone behind it if one likes: `Z`, `+01:00`, or a
    /// name of the IANA database. Where clocks are put back and a time comes twice, the later one is meant; where they
    /// are put forward and it does not come at all, the time after the gap.
    ///
    /// # Errors
    /// When it is no date, or nobody says in which zone.
    pub fn read(text: &str, usual: Option<&TimeZone>) -> Result<Self, BadDate> {
        let text = text.trim();
        let (date, rest) = text.split_at_checked(10).ok_or(BadDate::Form)?;
        let rest = rest.strip_prefix('T').or_else(|| rest.strip_prefix(' ')).ok_or(BadDate::Form)?;
        let end = rest.find(|character: char| !character.is_ascii_digit() && character != ':').unwrap_or(rest.len());
        let (time, name) = (&rest[..end], rest[end..].trim());
        let shape = |text: &str, shape: &str| {
            text.len() == shape.len()
                && text.bytes().zip(shape.bytes()).all(
                    |(found, due)| {
                        if due == b'0' { found.is_ascii_digit() } else { found == due }
                    },
                )
        };
        if !shape(date, "0000-00-00") || !(shape(time, "00:00") || shape(time, "00:00:00")) {
            return Err(BadDate::Form);
        }
        let civil: DateTime = format!("{date}T{time}").parse().map_err(|_| BadDate::NoSuchTime)?;
        let zone = match name {
            "" => usual.cloned().ok_or(BadDate::NoZone)?,
            "Z" => TimeZone::UTC,
            name if name.starts_with(['+', '-']) => offset(name)?,
            name => zone(name).ok_or_else(|| BadDate::UnknownZone(name.to_owned()))?,
        };
        let at = zone.to_ambiguous_zoned(civil).later().map_err(|_| BadDate::NoSuchTime)?;
        Ok(Self { at, extension: None })
    }

    /// In seconds since 1970-01-01 UTC.
    pub fn seconds(&self) -> i64 {
        self.at.timestamp().as_second()
    }

    /// With what a student was granted for a lab.
    pub fn extended(&self, extension: &Extension, lab: &str) -> Self {
        let Some((text, span)) = extension.of(lab) else { return self.clone() };
        // What cannot be added was refused when it was read; no date is as late as that.
        let at = self.at.checked_add(*span).unwrap_or_else(|_| self.at.clone());
        Self { at, extension: Some(text.clone()) }
    }
}

fn offset(text: &str) -> Result<TimeZone, BadDate> {
    let unknown = || BadDate::UnknownZone(text.to_owned());
    let digits: String = text[1..].chars().filter(|character| *character != ':').collect();
    if digits.len() != 4 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(unknown());
    }
    let number = |range: std::ops::Range<usize>| digits[range].parse::<i32>().map_err(|_| unknown());
    let seconds = number(0..2)? * 3600 + number(2..4)? * 60;
    let seconds = if text.starts_with('-') { -seconds } else { seconds };
    Ok(TimeZone::fixed(Offset::from_seconds(seconds).map_err(|_| unknown())?))
}

impl fmt::Display for Due {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zone = self.at.time_zone();
        write!(f, "{}", self.at.strftime("%Y-%m-%d %H:%M:%S %:z"))?;
        if let Some(name) = zone.iana_name().filter(|name| *name != "UTC") {
            write!(f, " ({name})")?;
        }
        self.extension.as_ref().map_or(Ok(()), |text| write!(f, ", with {text} of extension"))
    }
}

/// Days that a student was granted, for all labs or for single ones.
#[derive(Debug, Clone, Default)]
pub struct Extension {
    all: Option<(String, Span)>,
    labs: BTreeMap<String, (String, Span)>,
}

/// Spans have no equality, since a month has no length; their texts do.
impl PartialEq for Extension {
    fn eq(&self, other: &Self) -> bool {
        let texts = |extension: &Self| -> Vec<(Option<String>, String)> {
            let labs = extension.labs.iter().map(|(lab, (text, _))| (Some(lab.clone()), text.clone()));
            extension.all.iter().map(|(text, _)| (None, text.clone())).chain(labs).collect()
        };
        texts(self) == texts(other)
    }
}

/// Why a text is no extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadExtension {
    /// It has another form.
    Form,
    /// No lab has that name.
    UnknownLab(String),
}

impl Extension {
    /// Reads `3d`, `1w 12h`, or `LAB=3d` for a single lab; several with commas or semicolons.
    ///
    /// # Errors
    /// When a part is no span of time, or names no lab.
    pub fn read(text: &str, is_lab: impl Fn(&str) -> bool) -> Result<Self, BadExtension> {
        let mut extension = Self::default();
        for part in text.split([',', ';']).map(str::trim).filter(|part| !part.is_empty()) {
            match part.split_once('=') {
                None if extension.all.is_none() => extension.all = Some(span(part)?),
                None => return Err(BadExtension::Form),
                Some((lab, text)) => {
                    let lab = lab.trim();
                    if !is_lab(lab) {
                        return Err(BadExtension::UnknownLab(lab.to_owned()));
                    }
                    if extension.labs.insert(lab.to_owned(), span(text)?).is_some() {
                        return Err(BadExtension::Form);
                    }
                }
            }
        }
        Ok(extension)
    }

    fn of(&self, lab: &str) -> Option<&(String, Span)> {
        self.labs.get(lab).or(self.all.as_ref())
    }
}

fn span(text: &str) -> Result<(String, Span), BadExtension> {
    const LONGEST: f64 = 366.0;
    let text = text.trim();
    let span: Span = text.parse().map_err(|_| BadExtension::Form)?;
    let days = span.total((Unit::Day, SpanRelativeTo::days_are_24_hours())).map_err(|_| BadExtension::Form)?;
    // Nobody is granted a negative one.
    if days <= 0.0 || days > LONGEST { Err(BadExtension::Form) } else { Ok((text.to_owned(), span)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(text: &str, usual: Option<&str>) -> Result<i64, BadDate> {
        let usual = usual.and_then(zone);
        Due::read(text, usual.as_ref()).map(|due| due.seconds())
    }

    #[test]
    fn the_same_instant_is_read_from_every_way_to_write_it() {
        for (text, usual) in [
            ("2026-11-20 23:59 Europe/Berlin", None),
            ("2026-11-20T23:59:00+01:00", None),
            ("2026-11-20 22:59Z", Some("America/New_York")),
            ("2026-11-20 23:59", Some("Europe/Berlin")),
            ("2026-11-20 22:59 UTC", None),
            ("2026-11-20 17:59 -0500", None),
        ] {
            assert_eq!(seconds(text, usual), Ok(1_795_215_540), "{text}");
        }
    }

    #[test]
    fn a_date_without_zone_or_time_is_refused_and_not_guessed() {
        assert_eq!(seconds("2026-11-20 23:59", None), Err(BadDate::NoZone));
        assert_eq!(seconds("2026-11-20", Some("UTC")), Err(BadDate::Form));
        assert_eq!(seconds("20.11.2026 23:59", Some("UTC")), Err(BadDate::Form));
        assert_eq!(seconds("2026-02-30 23:59", Some("UTC")), Err(BadDate::NoSuchTime));
        assert_eq!(seconds("2026-11-20 24:61", Some("UTC")), Err(BadDate::NoSuchTime));
        let unknown = BadDate::UnknownZone("Europe/Berlln".into());
        assert_eq!(seconds("2026-11-20 23:59 Europe/Berlln", None), Err(unknown));
        assert_eq!(seconds("2026-11-20 23:59 +1", None), Err(BadDate::UnknownZone("+1".into())));
        assert_eq!(seconds("ä026-11-20 23:59", None), Err(BadDate::Form));
    }

    #[test]
    fn where_clocks_change_the_student_gets_the_later_time() {
        // 02:30 came twice, first at +02:00.
        assert_eq!(seconds("2026-10-25 02:30 Europe/Berlin", None), seconds("2026-10-25 02:30 +01:00", None));
        // 02:30 did not come at all.
        assert_eq!(seconds("2026-03-29 02:30 Europe/Berlin", None), seconds("2026-03-29 03:30 +02:00", None));
    }

    #[test]
    fn days_of_extension_end_at_the_same_time_of_day_though_clocks_change_between() {
        let due = Due::read("2026-10-24 23:59 Europe/Berlin", None).unwrap();
        let extension = Extension::read("2d, lab6-2-buddy=12h", |_| true).unwrap();
        let all = due.extended(&extension, "lab6-1-bestfit");
        assert_eq!(all.to_string(), "2026-10-26 23:59:00 +01:00 (Europe/Berlin), with 2d of extension");
        assert_eq!(all.seconds() - due.seconds(), 49 * 3600);
        assert_eq!(due.extended(&extension, "lab6-2-buddy").seconds() - due.seconds(), 12 * 3600);
        assert_eq!(due.extended(&Extension::default(), "x"), due);
    }

    #[test]
    fn what_is_no_length_of_time_is_no_extension() {
        for text in ["tomorrow", "-2d", "2d 3", "100000d", "1d, 2d", "0d"] {
            assert_eq!(Extension::read(text, |_| true).err(), Some(BadExtension::Form), "{text}");
        }
        let unknown = Extension::read("lab9=1d", |lab| lab == "lab1");
        assert_eq!(unknown.err(), Some(BadExtension::UnknownLab("lab9".into())));
    }
}
