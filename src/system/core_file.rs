//! One core file: is it one, by what it holds (elf(5)), how much room does it take, and which program has left it?
//!
//! Whoever can write a file can lie in it: every offset and size is checked, and no more is read than [`MOST_READ`].

use nix::fcntl::OFlag;
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

/// The most that is read at once, in bytes: of the program headers, and of the notes. The kernel writes the note that
/// is looked for as the second one, behind some hundred bytes, and so does gdb.
const MOST_READ: usize = 64 << 10;
/// `e_type` (elf(5)).
const ET_CORE: u16 = 4;
/// `p_type`.
const PT_NOTE: u32 = 4;
/// `n_type`, where the note's name is `CORE`: struct `elf_prpsinfo` (linux/elfcore.h).
const NT_PRPSINFO: u32 = 3;
/// Sizes of struct `elf_prpsinfo`: of 64 bits, of 32, of 32 with user ids of 32 bits.
const PRPSINFO: [usize; 3] = [136, 124, 128];
/// `pr_fname` and `pr_psargs`, with which every one of them ends.
const NAME: usize = 16;
const ARGUMENTS: usize = 80;
/// From `pr_pid` to `pr_fname`: the ids of the process, its parent, group and session.
const IDS: usize = 16;

/// A core file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoreFile {
    /// Its length in bytes.
    pub length: u64,
    /// What it takes of the disk, in bytes: less than its length, as the kernel leaves holes for pages of zeros.
    pub allocated: u64,
    /// When it was last written to, in seconds since 1970; anybody can give his own files any time.
    pub modified: i64,
    /// Who has left it, if it says so.
    pub program: Option<Dumped>,
}

/// What a core file says of the process that has left it. Its
/// bytes may be any: they are to be escaped where they are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dumped {
    /// Its id in the innermost PID namespace it was in; 0 where the file does not tell.
    pub pid: i32,
    /// What the kernel called it (`pr_fname`), at most 15 bytes.
    pub name: Vec<u8>,
    /// The beginning of its command line (`pr_psargs`), arguments separated by spaces, at most 79 bytes.
    pub arguments: Vec<u8>,
}

impl CoreFile {
    /// What is at this path; `None` if that is no core file: neither a symbolic
    /// link to one, nor a FIFO or a device, which are not even opened.
    ///
    /// # Errors
    /// It is not there or cannot be read.
    pub fn read(path: &Path) -> io::Result<Option<Self>> {
        if !std::fs::symlink_metadata(path)?.is_file() {
            return Ok(None);
        }
        // Something else may be there by now: a link is refused (ELOOP), and a FIFO does not hold anybody up (open(2)).
        let file = OpenOptions::new()
            .read(true)
            .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits())
            .open(path)?;
        Self::of(&file)
    }

    /// What an open file is; `None` if it is no core file.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn of(file: &File) -> io::Result<Option<Self>> {
        let metadata = file.metadata()?;
        if !metadata.is_file() || !is_core(file)? {
            return Ok(None);
        }
        let program = program(|offset, buffer| file.read_at(buffer, offset));
        Ok(Some(Self {
            length: metadata.len(),
            allocated: allocated(&metadata),
            modified: metadata.mtime(),
            program,
        }))
    }
}

/// Does an open, regular file hold an ELF file of type `ET_CORE`?
/// One short read; the file's position stays where it is.
///
/// # Errors
/// It cannot be read.
pub fn is_core(file: &File) -> io::Result<bool> {
    let mut bytes = [0; 20];
    let length = file.read_at(&mut bytes, 0)?;
    Ok(bytes.get(..length).and_then(Layout::of).is_some())
}

/// stat(2) counts in units of 512 bytes, whatever the file system's are.
fn allocated(metadata: &Metadata) -> u64 {
    metadata.blocks().saturating_mul(512)
}

/// How numbers are written in an ELF file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
    width: Width,
    order: Order,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Width {
    Bits32,
    Bits64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Little,
    Big,
}

impl Layout {
    /// Of a core file, if these bytes begin one.
    fn of(bytes: &[u8]) -> Option<Self> {
        let [0x7f, b'E', b'L', b'F', class, data, ..] = bytes else { return None };
        let width = match class {
            1 => Width::Bits32,
            2 => Width::Bits64,
            _ => return None,
        };
        let order = match data {
            1 => Order::Little,
            2 => Order::Big,
            _ => return None,
        };
        let layout = Self { width, order };
        (layout.half(bytes, 16)? == ET_CORE).then_some(layout)
    }

    fn half(self, bytes: &[u8], offset: usize) -> Option<u16> {
        let bytes = *bytes.get(offset..)?.first_chunk::<2>()?;
        Some(match self.order {
            Order::Little => u16::from_le_bytes(bytes),
            Order::Big => u16::from_be_bytes(bytes),
        })
    }

    fn word(self, bytes: &[u8], offset: usize) -> Option<u32> {
        let bytes = *bytes.get(offset..)?.first_chunk::<4>()?;
        Some(match self.order {
            Order::Little => u32::from_le_bytes(bytes),
            Order::Big => u32::from_be_bytes(bytes),
        })
    }

    /// An offset or a size, as wide as an address.
    fn wide(self, bytes: &[u8], offset: usize) -> Option<u64> {
        match (self.width, self.order) {
            (Width::Bits32, _) => self.word(bytes, offset).map(u64::from),
            (Width::Bits64, Order::Little) => {
                bytes.get(offset..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
            }
            (Width::Bits64, Order::Big) => {
                bytes.get(offset..)?.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
            }
        }
    }
}

/// Who has left the core file that `read_at` reads: as [`FileExt::read_at`], with the offset in front.
pub(super) fn program(read_at: impl Fn(u64, &mut [u8]) -> io::Result<usize>) -> Option<Dumped> {
    let read = |offset: u64, length: usize| {
        let mut bytes = vec![0; length.min(MOST_READ)];
        // A short read is one of a file that ends there.
        let length = read_at(offset, &mut bytes).ok()?;
        bytes.truncate(length);
        Some(bytes)
    };
    let header = read(0, 64)?;
    let layout = Layout::of(&header)?;
    // e_phoff, e_phentsize, e_phnum; p_offset, p_filesz; how long a program header is at least.
    let (table, size, count, start, length, least) = match layout.width {
        Width::Bits32 => (28, 42, 44, 4, 16, 32),
        Width::Bits64 => (32, 54, 56, 8, 32, 56),
    };
    let table = layout.wide(&header, table)?;
    let size = usize::from(layout.half(&header, size)?);
    let count = usize::from(layout.half(&header, count)?);
    if size < least {
        return None;
    }
    let table = read(table, size.saturating_mul(count))?;
    let notes = table
        .chunks_exact(size)
        .filter(|segment| layout.word(segment, 0) == Some(PT_NOTE))
        .find_map(|segment| Some((layout.wide(segment, start)?, layout.wide(segment, length)?)));
    let (start, length) = notes?;
    let notes = read(start, usize::try_from(length).unwrap_or(MOST_READ))?;
    find(layout, &notes)
}

/// The first note of this kind, among notes of which each is three
/// words, its name and its description, both filled up to whole words.
fn find(layout: Layout, mut notes: &[u8]) -> Option<Dumped> {
    loop {
        let (name, description) = (layout.word(notes, 0)?, layout.word(notes, 4)?);
        let kind = layout.word(notes, 8)?;
        let (name, description) = (usize::try_from(name).ok()?, usize::try_from(description).ok()?);
        let body = notes.get(12..)?;
        let rest = body.get(name.checked_next_multiple_of(4)?..)?;
        if kind == NT_PRPSINFO && body.get(..name)?.starts_with(b"CORE") {
            return dumped(layout, rest.get(..description)?);
        }
        notes = rest.get(description.checked_next_multiple_of(4)?..)?;
    }
}

fn dumped(layout: Layout, information: &[u8]) -> Option<Dumped> {
    if !PRPSINFO.contains(&information.len()) {
        return None;
    }
    let (head, arguments) = information.split_at_checked(information.len().checked_sub(ARGUMENTS)?)?;
    let (head, name) = head.split_at_checked(head.len().checked_sub(NAME)?)?;
    let pid = layout.word(head, head.len().checked_sub(IDS)?)?;
    Some(Dumped { pid: pid.cast_signed(), name: text(name), arguments: text(arguments) })
}

/// Up to the first byte 0, and without the blank that the kernel leaves where the last argument ended.
fn text(bytes: &[u8]) -> Vec<u8> {
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    text.trim_ascii_end().to_owned()
}

#[cfg(test)]
mod tests;
