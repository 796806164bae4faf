//! One line of the serial line to one record.

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};

use crate::list_trace::Lock;
use crate::object_trace::Wire;
use crate::trace::{Operation, Pool, Region};

mod buffers;
mod heap;
mod lists;
mod operation;
mod spaces;

pub use buffers::BufferOperations;
pub use heap::Heap;
pub use lists::ListOperations;
pub use spaces::SpaceOperations;

/// A record with its place in the sequence.
#[derive(Debug, Clone, PartialEq)]
pub struct Numbered {
    /// The running number, from zero.
    pub n: u64,
    /// What it says.
    pub record: Record,
}

/// What a kernel reports in a machine-readable way; the fields are those of the table in [`abi::record`].
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// The kernel is up.
    Boot(Boot),
    /// The allocator that is traced.
    Pool(TracedPool),
    /// A program begins.
    Start(Start),
    /// Operations of the traced pool.
    Operations(Operations),
    /// Requests to a program's heap.
    Heap(Heap),
    /// Operations of page lists.
    Lists(ListOperations),
    /// Operations of a buffer cache.
    Buffers(BufferOperations),
    /// Operations of processes that share memory.
    Spaces(SpaceOperations),
    /// How a lock was used.
    Lock(Lock),
    /// What happened to object caches.
    Objects(Objects),
    /// A figure.
    Metric(Metric),
    /// A client's workload is complete.
    Done(Done),
    /// A program has ended.
    End(End),
    /// The machine is about to be powered off in order.
    Shutdown(Shutdown),
    /// The kernel gives up.
    Panic(Panic),
    /// The guest's time is up.
    Deadline(Deadline),
    /// The trace buffer overflowed.
    Lost(Lost),
    /// A kind that this reader does not know.
    Other {
        /// Its `r`.
        kind: String,
        /// Its fields, `n` and `r` too.
        fields: serde_json::Map<String, serde_json::Value>,
    },
}

/// `boot`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// Version of the record format.
    pub format: u32,
    /// What the kernel calls itself.
    pub kernel: String,
    /// Harts found.
    pub harts: u32,
    /// Pages of memory found.
    pub memory_pages: u64,
    /// `trusted` or `lab`.
    pub pages: String,
}

/// `pool`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracedPool {
    /// What oracles need to know.
    pub pool: Pool,
    /// The algorithm's name.
    pub allocator: String,
}

/// `start`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The line of the script.
    pub program: String,
    /// Free pages of the kernel's own pool.
    pub free_pages: u64,
}

/// `ops`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Operations {
    /// Number of the first one.
    pub from: u64,
    /// In order.
    #[serde(rename = "ops", deserialize_with = "operation::list")]
    pub operations: Vec<Operation>,
}

/// `objects`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Objects {
    /// The hart that reports.
    pub hart: u8,
    /// The number of its first event.
    pub from: u64,
    /// In order.
    pub events: Vec<Wire>,
}

/// `metric`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// What was measured.
    pub name: String,
    /// How much; always finite.
    pub value: f64,
    /// Of what.
    #[serde(default)]
    pub unit: String,
}

/// `done`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// The process of the test program.
    pub client: u8,
    /// How many operations it asked for.
    pub operations: u64,
}

/// `end`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "EndFields")]
pub struct End {
    /// The line of the script.
    pub program: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Free pages of the kernel's own pool.
    pub free_pages: u64,
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It exited, with this status.
    Exited(i64),
    /// The kernel killed it, for this reason.
    Killed(String),
}

/// `shutdown`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shutdown {
    /// Zero for success.
    pub status: i64,
}

/// `panic`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Panic {
    /// Where it happened.
    pub hart: u64,
    /// The source file, relative to the kernel's root.
    #[serde(default)]
    pub file: String,
    /// The line in it, from one; zero where it is not known.
    #[serde(default)]
    pub line: u32,
    /// What it said.
    pub message: String,
    /// Return addresses, innermost first.
    #[serde(default)]
    pub backtrace: Vec<Address>,
}

/// `deadline`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadline {
    /// Nanoseconds of guest time.
    pub after: u64,
    /// Where each hart was.
    #[serde(default)]
    pub harts: Vec<HartAt>,
}

/// Where a hart was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HartAt {
    /// Its number.
    pub hart: u64,
    /// The instruction that it was about to execute.
    pub pc: Address,
    /// Return addresses, innermost first.
    #[serde(default)]
    pub backtrace: Vec<Address>,
}

/// `lost`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// How many operations.
    pub operations: u64,
}

/// A guest address: `"0x80001234"`, or a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Address(pub u64);

/// Why a line that began with the record's mark is no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no record: {0}")]
pub struct NoRecord(pub String);

/// Reads the text after the mark.
///
/// # Errors
/// When it is no JSON object, when `n` or `r` is missing or of another type, or when a field that its kind must have
/// is; with the column, counted in bytes from the mark.
pub fn parse(text: &str) -> Result<Numbered, NoRecord> {
    // Nearly all of a transcript is operations. What does not fit is left to the careful way, for its errors.
    if text.get(..OPERATIONS_WITHIN).is_some_and(|start| start.contains("\"r\":\"ops\""))
        && let Ok(OperationsLine { n, r, from, operations }) = serde_json::from_str(text)
        && r == "ops"
        && text.starts_with('{')
    {
        return Ok(Numbered { n, record: Record::Operations(Operations { from, operations }) });
    }
    // The library would also read a struct's fields from an array.
    if !text.trim_start().starts_with('{') {
        return Err(NoRecord("expected `{` at column 1".into()));
    }
    let header: Header = read(text)?;
    let record = match header.r.as_str() {
        "boot" => Record::Boot(read(text)?),
        "pool" => Record::Pool(read::<PoolFields>(text)?.into()),
        "start" => Record::Start(read(text)?),
        "ops" => Record::Operations(read(text)?),
        "heap" => Record::Heap(read(text)?),
        "lists" => Record::Lists(read(text)?),
        "buffers" => Record::Buffers(read(text)?),
        "spaces" => Record::Spaces(read(text)?),
        "lock" => Record::Lock(read(text)?),
        "objects" => Record::Objects(read(text)?),
        "metric" => Record::Metric(read(text)?),
        "done" => Record::Done(read(text)?),
        "end" => Record::End(read(text)?),
        "shutdown" => Record::Shutdown(read(text)?),
        "panic" => Record::Panic(read(text)?),
        "deadline" => Record::Deadline(read(text)?),
        "lost" => Record::Lost(read(text)?),
        _ => Record::Other { kind: header.r, fields: read(text)? },
    };
    Ok(Numbered { n: header.n, record })
}

/// The library bounds the depth of nesting of what it keeps, skips the rest without recursion, and never panics.
fn read<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, NoRecord> {
    // The library's message ends in a line, always the first, and a column.
    serde_json::from_str(text).map_err(|error| NoRecord(error.to_string().replace(" at line 1 column ", " at column ")))
}

/// How soon an `ops` record says that it is one, in bytes: after its longest number.
const OPERATIONS_WITHIN: usize = 40;

#[derive(Deserialize)]
struct OperationsLine {
    n: u64,
    r: String,
    from: u64,
    #[serde(rename = "ops", deserialize_with = "operation::list")]
    operations: Vec<Operation>,
}

#[derive(Deserialize)]
struct Header {
    n: u64,
    r: String,
}

/// An order of blocks that some machine could have.
#[derive(Deserialize)]
#[serde(try_from = "u32")]
struct Order(u32);

impl TryFrom<u32> for Order {
    type Error = &'static str;

    fn try_from(order: u32) -> Result<Self, Self::Error> {
        const LARGEST: u32 = 40;
        if order <= LARGEST { Ok(Self(order)) } else { Err("no machine has blocks of an order above 40") }
    }
}

#[derive(Deserialize)]
struct PoolFields {
    pool: String,
    allocator: String,
    max_order: Order,
    #[serde(default)]
    origin: u64,
    regions: Vec<[u64; 4]>,
}

impl From<PoolFields> for TracedPool {
    fn from(fields: PoolFields) -> Self {
        let PoolFields { pool: name, allocator, max_order: Order(max_order), origin, regions } = fields;
        let region = |[start, pages, managed_start, managed_pages]: [u64; 4]| Region {
            start,
            pages,
            managed_start,
            managed_pages,
        };
        Self { pool: Pool { name, max_order, origin, regions: regions.into_iter().map(region).collect() }, allocator }
    }
}

#[derive(Deserialize)]
struct EndFields {
    program: String,
    status: Option<i64>,
    killed: Option<String>,
    free_pages: u64,
}

impl TryFrom<EndFields> for End {
    type Error = &'static str;

    fn try_from(fields: EndFields) -> Result<Self, Self::Error> {
        let EndFields { program, status, killed, free_pages } = fields;
        let outcome = match (status, killed) {
            // A killed child's status is said to its parent too, and means nothing beside the reason.
            (_, Some(reason)) => Outcome::Killed(reason),
            (Some(status), None) => Outcome::Exited(status),
            (None, None) => return Err("missing field `status` or `killed`"),
        };
        Ok(Self { program, outcome, free_pages })
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AddressVisitor;
        impl Visitor<'_> for AddressVisitor {
            type Value = Address;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an address such as \"0x80001234\"")
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Address, E> {
                Ok(Address(value))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Address, E> {
                let digits = text.strip_prefix("0x").filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
                let value = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
                value.map(Address).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(AddressVisitor)
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

#[cfg(test)]
mod tests;
