//! Operations of a buffer cache, as arrays of a `buffers` record.

use serde::Deserialize;

use crate::buffer_trace;

/// `buffers`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "BufferFields")]
pub struct BufferOperations {
    /// Who asked.
    pub client: u8,
    /// Number of the first one among those of the client.
    pub from: u64,
    /// In order.
    pub operations: Vec<buffer_trace::Operation>,
}

#[derive(Deserialize)]
struct BufferFields {
    client: u8,
    from: u64,
    ops: Vec<(char, u64, u64, u64, u64, u64)>,
}

impl TryFrom<BufferFields> for BufferOperations {
    type Error = String;

    fn try_from(BufferFields { client, from, ops }: BufferFields) -> Result<Self, String> {
        let operation = |(letter, begin, end, block, buffer, content)| {
            let what = match letter {
                'r' => buffer_trace::What::Read { content },
                'w' => buffer_trace::What::Write { content },
                'x' => buffer_trace::What::Release,
                'p' => buffer_trace::What::Pin,
                'u' => buffer_trace::What::Unpin,
                _ => return Err(format!("an operation begins with `r`, `w`, `x`, `p` or `u`, not with `{letter}`")),
            };
            Ok(buffer_trace::Operation { client, begin, end, block, buffer, what })
        };
        let operations = ops.into_iter().map(operation).collect::<Result<_, _>>()?;
        Ok(Self { client, from, operations })
    }
}
