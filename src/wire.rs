//! What the front and a worker say to each other: a fixed header and a raw body, both ways. The
//! body of a request is the client's own bytes, which may lie in memory instead, and the body of a reply goes to the
//! client as it is.
//! No I/O, no async and no Python here; a number that does not fit is an error, never a panic.

mod confinement;
mod fork;
mod hello;
mod setup;

pub use self::confinement::Confinement;
pub use self::fork::{Fork, LONGEST_MESSAGE, Report};
pub use self::hello::Hello;
pub use self::setup::Setup;

/// Raised whenever the layout below changes: front and worker must agree.
pub const PROTOCOL: u32 = 7;

/// Bytes of the header of a request and of a reply.
pub const HEADER: usize = 40;

/// A long answer goes in parts of so many bytes, and a little more: with its header, one that a single thread has written
/// mostly takes no more than a [`PIECE`].
pub const PART: usize = PIECE - 512;
pub const PIECE: usize = 96 << 10;

/// An answer that is longer goes in parts.
pub const LONG: usize = 256 << 10;

const REQUEST_MAGIC: u32 = u32::from_be_bytes(*b"tpRQ");
const REPLY_MAGIC: u32 = u32::from_be_bytes(*b"tpRP");

/// Beside the number of the task.
const STAY_AWAKE: u32 = 1 << 31;
const ONLY_IF_PURE: u32 = 1 << 30;
const IN_MEMORY: u32 = 1 << 29;
const WRITE_BESIDE: u32 = 1 << 28;

/// What a worker is asked to do with the body that follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// The body is a [`Setup`] as JSON; the reply is a hello.
    Setup,
    /// The body is that of `POST /evaluate`.
    Evaluate,
    /// The body is that of `/query/{name}`, and the name stands before it.
    Query,
    /// The body is a [`crate::catalogue::Trial`] as JSON; so is the reply's, a [`crate::catalogue::Tried`], or
    /// the reason why the function did not load, as plain text.
    Load,
}

/// The header before a request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    pub task: Task,
    /// Repeated in the reply: a reply with another one breaks the wire.
    pub id: u64,
    /// Bytes of the function's name, which come first.
    pub name_length: u32,
    pub body_length: u64,
    /// The newest generation of deployed functions; 0 while there are none.
    pub generation: u64,
    /// The version of the function that is asked for; 0 for the current one.
    pub version: u32,
    /// Whether the worker may wait awake for the next request: no more are busy than there are processors.
    pub stay_awake: bool,
    /// Whether a long answer may be written by two threads: fewer workers are busy than there are processors.
    pub write_beside: bool,
    /// Other clients' requests stand behind this one on the wire, so a script that might reach them is impure.
    pub only_if_pure: bool,
    /// The body is in the memory that the worker has in common with the front; on the wire are numbers, see
    /// [`PROGRESS`].
    pub in_memory: bool,
}

/// Bytes of a number that tells how much of a body is there. Each is larger than the one before, and the last one tells
/// of all of it.
pub const PROGRESS: usize = 8;

/// The header before a reply's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    pub id: u64,
    /// The HTTP status that the client gets.
    pub status: u16,
    /// Length of the longest argument and of the answer, in rows; for the log.
    pub rows_in: u32,
    pub rows_out: u32,
    /// Whether Tableau can take so many rows for so many.
    pub fits: bool,
    /// Whether the worker ends after this.
    pub last: bool,
    /// Whether the script computed its answer from its arguments and did nothing else, if one ran at all.
    pub pure: bool,
    /// No answer yet: the script is not pure. It was not run if it was to run only if it is; else it begins now, and
    /// is the first such script of the worker, which cannot take this back.
    pub impure: bool,
    /// No reply yet: a part of an answer that is still being written. It counts if the reply's status is 200.
    pub more: bool,
    pub body_length: u64,
}

/// A header that this side does not understand; the connection is of no use after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrokenWire;

impl std::fmt::Display for BrokenWire {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("the worker and the server do not understand each other")
    }
}

impl std::error::Error for BrokenWire {}

impl Request {
    pub fn encode(&self) -> [u8; HEADER] {
        let task: u32 = match self.task {
            Task::Setup => 1,
            Task::Evaluate => 2,
            Task::Query => 3,
            Task::Load => 4,
        };
        let mut header = [0; HEADER];
        header[0..4].copy_from_slice(&REQUEST_MAGIC.to_le_bytes());
        let flag = |is_set, flag| if is_set { flag } else { 0 };
        let flags = flag(self.stay_awake, STAY_AWAKE)
            | flag(self.only_if_pure, ONLY_IF_PURE)
            | flag(self.in_memory, IN_MEMORY)
            | flag(self.write_beside, WRITE_BESIDE);
        header[4..8].copy_from_slice(&(task | flags).to_le_bytes());
        header[8..16].copy_from_slice(&self.id.to_le_bytes());
        header[16..24].copy_from_slice(&self.body_length.to_le_bytes());
        header[24..28].copy_from_slice(&self.name_length.to_le_bytes());
        header[28..36].copy_from_slice(&self.generation.to_le_bytes());
        header[36..40].copy_from_slice(&self.version.to_le_bytes());
        header
    }

    pub fn decode(header: &[u8; HEADER]) -> Result<Self, BrokenWire> {
        if number32(header, 0) != REQUEST_MAGIC {
            return Err(BrokenWire);
        }
        let task_and_flags = number32(header, 4);
        let task = match task_and_flags & !(STAY_AWAKE | ONLY_IF_PURE | IN_MEMORY | WRITE_BESIDE) {
            1 => Task::Setup,
            2 => Task::Evaluate,
            3 => Task::Query,
            4 => Task::Load,
            _ => return Err(BrokenWire),
        };
        let flag = |flag| task_and_flags & flag != 0;
        let (only_if_pure, in_memory) = (flag(ONLY_IF_PURE), flag(IN_MEMORY));
        let name_length = number32(header, 24);
        if in_memory && (task != Task::Evaluate || name_length > 0 || only_if_pure) {
            return Err(BrokenWire);
        }
        Ok(Self {
            task,
            id: number64(header, 8),
            name_length,
            body_length: number64(header, 16),
            generation: number64(header, 28),
            version: number32(header, 36),
            stay_awake: flag(STAY_AWAKE),
            write_beside: flag(WRITE_BESIDE),
            only_if_pure,
            in_memory,
        })
    }

    /// Words to a worker that is not for any function.
    pub fn plain(task: Task, id: u64, body_length: u64) -> Self {
        Self {
            task,
            id,
            name_length: 0,
            body_length,
            generation: 0,
            version: 0,
            stay_awake: false,
            write_beside: false,
            only_if_pure: false,
            in_memory: false,
        }
    }
}

impl Reply {
    fn bare(id: u64) -> Self {
        Self {
            id,
            status: 200,
            rows_in: 0,
            rows_out: 0,
            fits: true,
            last: false,
            pure: false,
            impure: false,
            more: false,
            body_length: 0,
        }
    }

    /// The last frame of a worker that cannot serve another script, under the id of its last reply: it has
    /// not begun with whatever it may have been sent since.
    pub fn goodbye(id: u64) -> Self {
        Self { last: true, ..Self::bare(id) }
    }

    /// The header of a part of the answer to a request.
    pub fn part(id: u64, body_length: u64) -> Self {
        Self { more: true, body_length, ..Self::bare(id) }
    }

    pub fn encode(&self) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[0..4].copy_from_slice(&REPLY_MAGIC.to_le_bytes());
        header[4..8].copy_from_slice(&u32::from(self.status).to_le_bytes());
        header[8..16].copy_from_slice(&self.id.to_le_bytes());
        header[16..24].copy_from_slice(&self.body_length.to_le_bytes());
        header[24..28].copy_from_slice(&self.rows_in.to_le_bytes());
        header[28..32].copy_from_slice(&self.rows_out.to_le_bytes());
        header[32] = u8::from(self.fits);
        header[33] = u8::from(self.last);
        header[34] = u8::from(self.pure);
        header[35] = u8::from(self.impure);
        header[36] = u8::from(self.more);
        header
    }

    pub fn decode(header: &[u8; HEADER]) -> Result<Self, BrokenWire> {
        if number32(header, 0) != REPLY_MAGIC {
            return Err(BrokenWire);
        }
        let status = u16::try_from(number32(header, 4)).map_err(|_| BrokenWire)?;
        if !(200..600).contains(&status) {
            return Err(BrokenWire);
        }
        Ok(Self {
            id: number64(header, 8),
            status,
            rows_in: number32(header, 24),
            rows_out: number32(header, 28),
            fits: header[32] != 0,
            last: header[33] != 0,
            pure: header[34] != 0,
            impure: header[35] != 0,
            more: header[36] != 0,
            body_length: number64(header, 16),
        })
    }
}

fn number32(header: &[u8; HEADER], at: usize) -> u32 {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&header[at..at + 4]);
    u32::from_le_bytes(bytes)
}

fn number64(header: &[u8; HEADER], at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&header[at..at + 8]);
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests;
