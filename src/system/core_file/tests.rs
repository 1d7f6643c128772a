//! Core files of every layout, what only looks like one, and lies.

use super::*;
use proptest::prelude::*;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

const LAYOUTS: [Layout; 4] = [
    Layout { width: Width::Bits64, order: Order::Little },
    Layout { width: Width::Bits64, order: Order::Big },
    Layout { width: Width::Bits32, order: Order::Little },
    Layout { width: Width::Bits32, order: Order::Big },
];

impl Layout {
    fn bytes(self, number: u64, length: usize) -> Vec<u8> {
        match self.order {
            Order::Little => number.to_le_bytes()[..length].to_vec(),
            Order::Big => number.to_be_bytes()[8 - length..].to_vec(),
        }
    }

    fn note(self, kind: u64, name: &[u8], description: &[u8]) -> Vec<u8> {
        let mut note = Vec::new();
        note.extend(self.bytes(name.len() as u64, 4));
        note.extend(self.bytes(description.len() as u64, 4));
        note.extend(self.bytes(kind, 4));
        for part in [name, description] {
            note.extend(part);
            note.resize(note.len().next_multiple_of(4), 0);
        }
        note
    }

    /// What a kernel of this layout says of a process with the id 1058.
    fn information(self) -> Vec<u8> {
        let head = match self.width {
            Width::Bits64 => 24,
            Width::Bits32 => 12,
        };
        let mut information = vec![0xff; head];
        information.extend(self.bytes(1058, 4));
        information.extend([0xff; 12]);
        information.extend(b"gunicorn\0\0\0\0\0\0\0\0");
        information.extend(b"gunicorn: worker [main:app]\x1b[2J ");
        information.resize(head + IDS + NAME + ARGUMENTS, 0);
        information
    }

    fn core(self, notes: &[u8]) -> Vec<u8> {
        let (header, segment, wide) = match self.width {
            Width::Bits64 => (64, 56, 8),
            Width::Bits32 => (52, 32, 4),
        };
        let class = if self.width == Width::Bits64 { 2 } else { 1 };
        let data = if self.order == Order::Little { 1 } else { 2 };
        let mut core = vec![0; header + 2 * segment];
        let mut put = |offset: usize, bytes: &[u8]| core[offset..offset + bytes.len()].copy_from_slice(bytes);
        put(0, &[0x7f, b'E', b'L', b'F', class, data, 1]);
        put(16, &self.bytes(4, 2));
        put(if wide == 8 { 32 } else { 28 }, &self.bytes(header as u64, wide));
        put(if wide == 8 { 54 } else { 42 }, &self.bytes(segment as u64, 2));
        put(if wide == 8 { 56 } else { 44 }, &self.bytes(2, 2));
        // The first segment is memory, the second one the notes.
        put(header, &self.bytes(1, 4));
        put(header + segment, &self.bytes(4, 4));
        put(
            header + segment + if wide == 8 { 8 } else { 4 },
            &self.bytes((header + 2 * segment) as u64, wide),
        );
        put(header + segment + if wide == 8 { 32 } else { 16 }, &self.bytes(notes.len() as u64, wide));
        core.extend(notes);
        core
    }
}

fn program_in(bytes: &[u8]) -> Option<Dumped> {
    program(|offset, buffer| {
        let rest = bytes.get(usize::try_from(offset).unwrap_or(usize::MAX)..).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    })
}

fn usual(layout: Layout) -> Vec<u8> {
    let status = layout.note(1, b"CORE\0", &[7; 336]);
    let other = layout.note(u64::from(NT_PRPSINFO), b"LINUX\0", &[7; 136]);
    let information = layout.note(u64::from(NT_PRPSINFO), b"CORE\0", &layout.information());
    layout.core(&[status, other, information, layout.note(6, b"CORE\0", &[1; 30])].concat())
}

#[test]
fn whoever_has_left_it_is_named_in_every_layout() {
    for layout in LAYOUTS {
        let core = usual(layout);
        assert_eq!(Layout::of(&core), Some(layout));
        let dumped = program_in(&core).unwrap();
        assert_eq!((dumped.pid, dumped.name.as_slice()), (1058, &b"gunicorn"[..]), "{layout:?}");
        assert_eq!(dumped.arguments, b"gunicorn: worker [main:app]\x1b[2J");
    }
}

#[test]
fn only_a_core_is_one() {
    let core = usual(LAYOUTS[0]);
    for (offset, byte) in [(0, 0), (3, b'f'), (4, 0), (4, 3), (5, 0), (5, 3), (16, 2), (16, 0), (17, 1)] {
        let mut other = core.clone();
        other[offset] = byte;
        assert_eq!((Layout::of(&other), program_in(&other)), (None, None), "byte {offset} is {byte}");
    }
    for length in 0..18 {
        assert_eq!(Layout::of(&core[..length]), None, "{length} bytes");
    }
}

#[test]
fn one_that_is_cut_or_lies_is_a_core_of_nobody() {
    for layout in LAYOUTS {
        let core = usual(layout);
        // The last note, of 52 bytes, is not needed.
        for length in 18..core.len() - 52 {
            assert_eq!(program_in(&core[..length]), None, "{layout:?}, {length} of {} bytes", core.len());
        }
        // Every number in the header and the program headers, as large as it can be, and 0.
        for byte in [0xff, 0] {
            for offset in (18..core.len()).step_by(2) {
                let mut lie = core.clone();
                lie[offset..].iter_mut().take(4).for_each(|each| *each = byte);
                let _ = program_in(&lie);
            }
        }
    }
    let endless = LAYOUTS[0].core(&vec![0; 1 << 20]);
    assert_eq!(program_in(&endless), None, "notes that say nothing");
}

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ostler-core-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_file_is_told_by_what_it_holds_and_nothing_else_is_opened() {
    let folder = Folder::new("kinds");
    let path = folder.0.join("photo.jpg");
    let mut file = File::create(&path).unwrap();
    file.write_all(&usual(LAYOUTS[0])).unwrap();
    // Sparse, as cores are.
    file.set_len(1 << 40).unwrap();
    let core = CoreFile::read(&path).unwrap().unwrap();
    assert_eq!(core.length, 1 << 40);
    assert!(core.allocated < 1 << 20, "{core:?}");
    assert_eq!(core.program.unwrap().name, b"gunicorn");

    let link = folder.0.join("core");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert_eq!(CoreFile::read(&link).unwrap(), None, "a link");
    let fifo = folder.0.join("core.1");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    assert_eq!(CoreFile::read(&fifo).unwrap(), None, "a FIFO");
    assert_eq!(CoreFile::read(Path::new("/dev/zero")).unwrap(), None, "a device");
    assert_eq!(CoreFile::read(&folder.0).unwrap(), None, "a folder");
    assert_eq!(
        CoreFile::read(Path::new("/proc/self/exe")).unwrap(),
        None,
        "the control: a link to a program"
    );
    let own = std::env::current_exe().unwrap();
    assert_eq!(CoreFile::read(&own).unwrap(), None, "the control: a program");
    assert!(CoreFile::read(&folder.0.join("gone")).is_err());
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = program_in(&bytes);
    }

    /// Bytes that begin as a core file does, and are wrong in some places: deeper than any bytes at all would get.
    #[test]
    fn no_lie_panics(
        layout in prop::sample::select(LAYOUTS.to_vec()),
        lies in prop::collection::vec((18_usize..700, any::<u8>()), 0..12),
        length in 18_usize..900,
    ) {
        let mut bytes = usual(layout);
        for (offset, byte) in lies {
            if let Some(place) = bytes.get_mut(offset) {
                *place = byte;
            }
        }
        bytes.truncate(length);
        if let Some(dumped) = program_in(&bytes) {
            prop_assert!(dumped.name.len() <= NAME && dumped.arguments.len() <= ARGUMENTS);
        }
    }
}
