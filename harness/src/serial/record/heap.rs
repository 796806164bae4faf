//! Requests to a program's heap, as arrays of a `heap` record.

use std::fmt;

use abi::heap::Request;
use abi::heap::record::Entry;
use serde::Deserialize;
use serde::de::{self, Deserializer, Error as _, SeqAccess, Visitor};

/// `heap`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(from = "Fields")]
pub struct Heap {
    /// The part of the workload.
    pub part: String,
    /// The thread that made the requests.
    pub client: u8,
    /// Number of the first one, of this client in this part.
    pub from: u64,
    /// Where the heap begins, a byte address.
    pub start: u64,
    /// In order.
    pub entries: Vec<Entry>,
}

#[derive(Deserialize)]
struct Fields {
    part: String,
    client: u8,
    from: u64,
    start: u64,
    end: u64,
    #[serde(rename = "ops", deserialize_with = "list")]
    items: Vec<Item>,
}

impl From<Fields> for Heap {
    fn from(fields: Fields) -> Self {
        let Fields { part, client, from, start, mut end, items } = fields;
        let entry = |Item { request, answer, instructions, end: new, stamps }| {
            end = new.unwrap_or(end);
            Entry { request, answer, instructions, end, stamps }
        };
        let entries = items.into_iter().map(entry).collect();
        Self { part, client, from, start, entries }
    }
}

/// The value of `ops`; an error names the request by its place in the record, from zero.
fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Item>, D::Error> {
    struct List;
    impl<'de> Visitor<'de> for List {
        type Value = Vec<Item>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array of requests")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
            let mut entries = Vec::new();
            loop {
                match items.next_element::<Item>() {
                    Ok(Some(entry)) => entries.push(entry),
                    Ok(None) => return Ok(entries),
                    Err(error) => return Err(A::Error::custom(format_args!("request {}: {error}", entries.len()))),
                }
            }
        }
    }
    deserializer.deserialize_seq(List)
}

/// A request as it is written: without the heap's end where that is as it was.
struct Item {
    request: Request,
    answer: u64,
    instructions: u64,
    end: Option<u64>,
    stamps: Option<(u64, u64)>,
}

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ItemVisitor;
        impl<'de> Visitor<'de> for ItemVisitor {
            type Value = Item;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a request such as [\"a\", block, size, address, instructions]")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Item, A::Error> {
                let letter: char = next(&mut items, "its letter")?;
                let (request, answer) = request(letter, &mut items)?;
                let instructions = next(&mut items, "the instructions")?;
                let end = items.next_element()?;
                let stamps = match items.next_element()? {
                    None => None,
                    Some(begun) => Some((begun, next(&mut items, "the second stamp")?)),
                };
                Ok(Item { request, answer, instructions, end, stamps })
            }
        }
        deserializer.deserialize_seq(ItemVisitor)
    }
}

fn request<'de, A: SeqAccess<'de>>(letter: char, items: &mut A) -> Result<(Request, u64), A::Error> {
    const SIZE: &str = "the size";
    const ADDRESS: &str = "the address";
    if letter == 't' {
        return Ok((Request::Trim, next(items, "the pages that came back")?));
    }
    if letter == 'd' {
        return Ok((Request::Destroy, 0));
    }
    if letter == 'c' {
        let request = Request::Create { size: next(items, SIZE)?, count: next(items, "the number of objects")? };
        return Ok((request, next(items, "whether there is a pool")?));
    }
    let id = next(items, "the block")?;
    Ok(match letter {
        'a' => (Request::Allocate { id, size: next(items, SIZE)? }, next(items, ADDRESS)?),
        'r' => (Request::Reallocate { id, size: next(items, SIZE)? }, next(items, ADDRESS)?),
        'l' => {
            let (size, alignment) = (next(items, SIZE)?, next(items, "the alignment")?);
            (Request::Aligned { id, size, alignment }, next(items, ADDRESS)?)
        }
        'k' => (Request::Take { id }, next(items, ADDRESS)?),
        'f' => (Request::Free { id }, 0),
        'g' => (Request::Give { id }, 0),
        _ => return Err(A::Error::invalid_value(de::Unexpected::Char(letter), &"one of `alrftckgd`")),
    })
}

fn next<'de, A: SeqAccess<'de>, T: Deserialize<'de>>(items: &mut A, what: &str) -> Result<T, A::Error> {
    match items.next_element() {
        Ok(Some(value)) => Ok(value),
        Ok(None) => Err(A::Error::custom(format_args!("{what} is missing"))),
        Err(error) => Err(A::Error::custom(format_args!("{what}: {error}"))),
    }
}
