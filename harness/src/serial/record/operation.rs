//! One operation of a trace, as an array of an `ops` record.

use std::fmt;

use abi::page::{ORDERS, PageError};
use serde::Deserialize;
use serde::de::{self, Deserializer, Error as _, IgnoredAny, SeqAccess, Visitor};

use crate::trace::{Operation, Statistics, What};

/// The value of `ops`; an error names the operation by its place in the record, from zero.
pub(super) fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Operation>, D::Error> {
    struct List;
    impl<'de> Visitor<'de> for List {
        type Value = Vec<Operation>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array of operations")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
            let mut operations = Vec::new();
            loop {
                match items.next_element::<Entry>() {
                    Ok(Some(Entry(operation))) => operations.push(operation),
                    Ok(None) => return Ok(operations),
                    Err(error) => {
                        return Err(A::Error::custom(format_args!("operation {}: {error}", operations.len())));
                    }
                }
            }
        }
    }
    deserializer.deserialize_seq(List)
}

struct Entry(Operation);

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntryVisitor;
        impl<'de> Visitor<'de> for EntryVisitor {
            type Value = Entry;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an operation such as [\"a\", client, hart, instructions, pages, address]")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Entry, A::Error> {
                let letter: char = next(&mut items, "its letter")?;
                let client = next(&mut items, "the client")?;
                let hart = next(&mut items, "the hart")?;
                let instructions = next(&mut items, "the instructions")?;
                let what = match letter {
                    'a' => allocate(&mut items)?,
                    'f' => free(&mut items)?,
                    's' => statistics(&mut items)?,
                    _ => return Err(A::Error::invalid_value(de::Unexpected::Char(letter), &"`a`, `f` or `s`")),
                };
                if items.next_element::<IgnoredAny>()?.is_some() {
                    return Err(A::Error::custom(format_args!("more elements than `{letter}` has")));
                }
                Ok(Entry(Operation { client, hart, instructions, what }))
            }
        }
        deserializer.deserialize_seq(EntryVisitor)
    }
}

fn next<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(items: &mut A, what: &str) -> Result<T, A::Error> {
    match items.next_element() {
        Ok(Some(value)) => Ok(value),
        Ok(None) => Err(A::Error::custom(format_args!("{what} is missing"))),
        Err(error) => Err(A::Error::custom(format_args!("{what}: {error}"))),
    }
}

fn allocate<'de, A: SeqAccess<'de>>(items: &mut A) -> Result<What, A::Error> {
    let pages = next(items, "the number of pages")?;
    let answer = match next(items, "the answer")? {
        Answer::Address(address) => Ok(address),
        Answer::Refused(error) => Err(error),
        Answer::Ok => return Err(A::Error::invalid_value(de::Unexpected::Str("ok"), &"an address")),
    };
    Ok(What::Allocate { pages, answer })
}

fn free<'de, A: SeqAccess<'de>>(items: &mut A) -> Result<What, A::Error> {
    let pages = next(items, "the number of pages")?;
    let address = next(items, "the address")?;
    let answer = match next(items, "the answer")? {
        Answer::Ok => Ok(()),
        Answer::Refused(error) => Err(error),
        Answer::Address(address) => return Err(A::Error::invalid_value(de::Unexpected::Unsigned(address), &"a word")),
    };
    Ok(What::Free { address, pages, answer })
}

fn statistics<'de, A: SeqAccess<'de>>(items: &mut A) -> Result<What, A::Error> {
    let free_pages = next(items, "the free pages")?;
    let managed_pages = next(items, "the managed pages")?;
    let listed: Vec<u64> = next(items, "the free blocks")?;
    let mut free_blocks = [0; ORDERS];
    // An allocator with fewer orders lists fewer; it has no free blocks of the others.
    match free_blocks.get_mut(..listed.len()) {
        Some(orders) => orders.copy_from_slice(&listed),
        None => return Err(A::Error::invalid_length(listed.len(), &"the free blocks of orders 0 to 10 at most")),
    }
    Ok(What::Statistics(Statistics { free_pages, managed_pages, free_blocks }))
}

/// What an operation came back with.
enum Answer {
    Address(u64),
    Ok,
    Refused(PageError),
}

// Not an untagged enum: that would copy every answer before it looks at it, and there are very many of them.
impl<'de> Deserialize<'de> for Answer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnswerVisitor;
        impl Visitor<'_> for AnswerVisitor {
            type Value = Answer;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address, \"ok\" or the word of an error")
            }

            fn visit_u64<E: de::Error>(self, address: u64) -> Result<Answer, E> {
                Ok(Answer::Address(address))
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<Answer, E> {
                if word == "ok" {
                    return Ok(Answer::Ok);
                }
                let error = PageError::from_word(word);
                error.map(Answer::Refused).ok_or_else(|| E::invalid_value(de::Unexpected::Str(word), &self))
            }
        }
        deserializer.deserialize_any(AnswerVisitor)
    }
}
