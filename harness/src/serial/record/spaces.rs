//! Operations of processes that share memory, as arrays of a `spaces` record.

use abi::space_workload::{Answer, Place};
use serde::Deserialize;

use crate::space_trace;

/// `spaces`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "SpaceFields")]
pub struct SpaceOperations {
    /// Number of the first one.
    pub from: u64,
    /// In order.
    pub operations: Vec<space_trace::Operation>,
}

#[derive(Deserialize)]
struct SpaceFields {
    from: u64,
    ops: Vec<(char, u8, u64, u64, u8, u64)>,
}

impl TryFrom<SpaceFields> for SpaceOperations {
    type Error = String;

    fn try_from(SpaceFields { from, ops }: SpaceFields) -> Result<Self, String> {
        let operations = ops.into_iter().map(space_operation).collect::<Result<_, _>>()?;
        Ok(Self { from, operations })
    }
}

fn space_operation(
    (letter, process, number, value, answer, frame): (char, u8, u64, u64, u8, u64),
) -> Result<space_trace::Operation, String> {
    let place = || Place::from_number(number).ok_or_else(|| format!("{number} is no place"));
    let answer = match answer {
        0 => Answer::Done,
        1 => Answer::Refused,
        2 => Answer::Died,
        _ => return Err(format!("an answer is 0, 1 or 2, not {answer}")),
    };
    let outcome = space_trace::Outcome { answer, frame };
    let what = match letter {
        'f' => {
            let child = u8::try_from(number).map_err(|_| format!("{number} is no process"))?;
            space_trace::What::Fork { child, outcome }
        }
        'm' => space_trace::What::Mapped { place: place()?, frame },
        's' => space_trace::What::Store { place: place()?, value, outcome },
        'r' => space_trace::What::Receive { place: place()?, value, outcome },
        'l' => space_trace::What::Look { place: place()?, value, outcome },
        'x' => space_trace::What::Exit,
        'w' => space_trace::What::Wait,
        'c' => space_trace::What::Count { pages: value },
        't' => space_trace::What::Take { left: value },
        'g' => space_trace::What::GiveBack,
        _ => return Err(format!("`{letter}` begins no operation of processes")),
    };
    Ok(space_trace::Operation { process, what })
}
