//! Operations of page lists, as arrays of a `lists` record.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, Error as _, IgnoredAny, SeqAccess, Visitor};

use crate::list_trace::{Operation, Taken, What};

/// `lists`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "ListFields")]
pub struct ListOperations {
    /// The hart that they ended on.
    pub hart: u8,
    /// Number of the first one among those of the hart.
    pub from: u64,
    /// In order.
    pub operations: Vec<Operation>,
}

#[derive(Deserialize)]
struct ListFields {
    hart: u8,
    from: u64,
    ops: Vec<Entry>,
}

impl From<ListFields> for ListOperations {
    fn from(ListFields { hart, from, ops }: ListFields) -> Self {
        let operation = |Entry(operation)| Operation { hart, ..operation };
        Self { hart, from, operations: ops.into_iter().map(operation).collect() }
    }
}

/// An operation on a hart that the record names for all.
struct Entry(Operation);

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntryVisitor;
        impl<'de> Visitor<'de> for EntryVisitor {
            type Value = Entry;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an operation such as [\"a\", client, instructions, begin, end, address, locks]")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Entry, A::Error> {
                let mut place = 0;
                let mut missing = || {
                    place += 1;
                    A::Error::invalid_length(place - 1, &self)
                };
                let letter: char = items.next_element()?.ok_or_else(&mut missing)?;
                let client = items.next_element()?.ok_or_else(&mut missing)?;
                let mut number = || items.next_element::<u64>()?.ok_or_else(&mut missing);
                let [instructions, begin, end, answer] = [number()?, number()?, number()?, number()?];
                let what = match letter {
                    'a' => What::Allocate((answer != 0).then_some(answer)),
                    'f' => What::Free(answer),
                    'c' => What::Count(answer),
                    _ => return Err(A::Error::invalid_value(de::Unexpected::Char(letter), &"`a`, `f` or `c`")),
                };
                // Kernels that cannot tell leave it out.
                let locks = items.next_element()?.map(Taken);
                if items.next_element::<IgnoredAny>()?.is_some() {
                    return Err(A::Error::custom("an operation of page lists has seven elements at most"));
                }
                Ok(Entry(Operation { client, hart: 0, instructions, begin, end, what, locks }))
            }
        }
        deserializer.deserialize_seq(EntryVisitor)
    }
}
