//! Noted operations in a transcript's JSON: one line of text, since there are tens of thousands.
//!
//! `0.1:` begins those of hart 0 by meter 1; `48` is one of 48 instructions, `48*9` nine of them.

use serde::{Deserialize as _, Deserializer, Serializer, de};

use super::Noted;

pub(super) fn serialize<S: Serializer>(noted: &[Noted], serializer: S) -> Result<S::Ok, S::Error> {
    let mut text = String::new();
    let mut of = None;
    for run in noted.chunk_by(|one, next| one == next) {
        let Noted { hart, meter, instructions } = run[0];
        let lead = if text.is_empty() { "" } else { " " };
        if of.replace((hart, meter)) != Some((hart, meter)) {
            text += &format!("{lead}{hart}.{meter}:");
        }
        let lead = if text.is_empty() { "" } else { " " };
        match run.len() {
            1 => text += &format!("{lead}{instructions}"),
            times => text += &format!("{lead}{instructions}*{times}"),
        }
    }
    serializer.serialize_str(&text)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Noted>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text).ok_or_else(|| de::Error::custom("operations that were noted are numbers after `hart.meter:`"))
}

/// The most operations of one run: a number of times is no reason to use up memory.
const MOST: usize = 1 << 20;

fn parse(text: &str) -> Option<Vec<Noted>> {
    let mut noted = Vec::new();
    let mut of = None;
    for word in text.split_ascii_whitespace() {
        if let Some(word) = word.strip_suffix(':') {
            let (hart, meter) = word.split_once('.')?;
            of = Some((hart.parse().ok()?, meter.parse().ok()?));
            continue;
        }
        let (instructions, times) = word.split_once('*').unwrap_or((word, "1"));
        let (hart, meter) = of?;
        let times: usize = times.parse().ok()?;
        if noted.len() + times > MOST {
            return None;
        }
        noted.extend(std::iter::repeat_n(Noted { hart, meter, instructions: instructions.parse().ok()? }, times));
    }
    Some(noted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_damage_is_refused() {
        let noted = |hart, meter, instructions| Noted { hart, meter, instructions };
        let all = vec![noted(0, 0, 48), noted(0, 0, 48), noted(0, 0, 7), noted(3, 1, 7), noted(0, 0, 48)];
        let mut text = Vec::new();
        serialize(&all, &mut serde_json::Serializer::new(&mut text)).unwrap();
        assert_eq!(String::from_utf8(text).unwrap(), r#""0.0: 48*2 7 3.1: 7 0.0: 48""#);
        assert_eq!(parse("0.0: 48*2 7 3.1: 7 0.0: 48"), Some(all));
        assert_eq!(parse(""), Some(Vec::new()));
        for damaged in ["48", "0.0: x", "0: 4", "0.0: 4*99999999", "0.0: 4*-1"] {
            assert_eq!(parse(damaged), None, "{damaged}");
        }
    }
}
