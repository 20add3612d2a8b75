//! Where a store lies: a file that comes into being whole, or not at all.
//!
//! ```text
//!  stream.redb.new    begins empty, is locked, gets its first tables, and then its name
//!  stream.redb        is locked from then on, and never written by a process that has no lock
//! ```

use super::fault;
use redb::StorageBackend;
use redb::backends::FileBackend;
use sansse::cluster::{LogError, LogErrorKind};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Where the bytes of a store are: a file, or what takes its place in tests.
pub(crate) trait Disk: Send + 'static {
    /// Opens what is there; `None` if there is nothing.
    fn open(&self) -> Result<Option<Box<dyn StorageBackend>>, LogError>;

    /// Begins a store that is empty and not there yet for others; `None` if meanwhile there is one.
    fn begin(&self) -> Result<Option<Box<dyn StorageBackend>>, LogError>;

    /// Puts what was begun where it is found.
    fn establish(&self) -> Result<(), LogError>;
}

/// A file of the system.
pub(crate) struct FileDisk {
    path: PathBuf,
}

impl FileDisk {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: behind_links(path) }
    }

    fn new_path(&self) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".new");
        name.into()
    }

    fn is_there(&self) -> Result<bool, LogError> {
        match fs::metadata(&self.path) {
            Ok(metadata) if metadata.is_file() => Ok(metadata.len() > 0),
            // A pipe would let its opener wait for ever.
            Ok(_) => Err(fault::malformed("it is not a file")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(fault::of_io(&error)),
        }
    }
}

/// Returns the name to which links lead, which need not be there: a link is not to be replaced by a
/// file, which would lie on another disk.
fn behind_links(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        let Ok(to) = fs::read_link(&path) else { break };
        path = path.parent().map_or_else(|| to.clone(), |folder| folder.join(&to));
    }
    path
}

/// How many links are followed, as systems do. What leads on is not opened.
const MOST_LINKS: usize = 40;

impl Disk for FileDisk {
    fn open(&self) -> Result<Option<Box<dyn StorageBackend>>, LogError> {
        if !self.is_there()? {
            return Ok(None);
        }
        let file = OpenOptions::new().read(true).write(true).open(&self.path);
        let file = file.map_err(|error| fault::of_io(&error))?;
        let other = file.try_clone().map_err(|error| fault::of_io(&error))?;
        let backend = FileBackend::new(file).map_err(fault::of)?;
        // After the lock: somebody else who writes it could make it look torn.
        check_head(&other)?;
        Ok(Some(Box::new(backend)))
    }

    fn begin(&self) -> Result<Option<Box<dyn StorageBackend>>, LogError> {
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let file = options.open(self.new_path()).map_err(|error| fault::of_io(&error))?;
        let other = file.try_clone().map_err(|error| fault::of_io(&error))?;
        let backend = FileBackend::new(file).map_err(fault::of)?;
        // Another process may have established its file between the look and the lock.
        if self.is_there()? {
            drop(fs::remove_file(self.new_path()));
            return Ok(None);
        }
        // What a process left that was killed here.
        other.set_len(0).map_err(|error| fault::of_io(&error))?;
        Ok(Some(Box::new(backend)))
    }

    fn establish(&self) -> Result<(), LogError> {
        fs::rename(self.new_path(), &self.path).map_err(|error| fault::of_io(&error))?;
        // Else the name may be gone after a power loss. Only Unix opens folders.
        if cfg!(unix) {
            let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
            let folder = File::open(folder.unwrap_or(Path::new(".")));
            folder.and_then(|folder| folder.sync_all()).map_err(|error| fault::of_io(&error))?;
        }
        Ok(())
    }
}

/// Looks at the first bytes of a file as redb's format has them, since redb panics, or asks for more
/// memory than there is, where they make no sense or the file is shorter than they say.
///
/// ```text
///  magic     flags  page size  region: head, data pages  regions, pages of the last   slots
/// ┌─────────┬──────┬──────────┬─────────────────────────┬────────────────────────────┬──────┬──
/// │ 9 bytes │ 1, 2 │ u32      │ u32, u32                │ u32, u32                   │ @ 64 │@192
/// └─────────┴──────┴──────────┴─────────────────────────┴────────────────────────────┴──────┴──
///
///  a slot: the state after a commit, of which there are the last and the one before it
///  format  is there a root  of tables and of redb's own   page, check sum, length   the same again
/// ┌───────┬──────────────────────────────────────────────┬─────────────────────────┬───────────────
/// │ u8    │ u8, u8, 5                                    │ u64, 16, u64            │ @ 40
/// └───────┴──────────────────────────────────────────────┴─────────────────────────┴───────────────
/// ```
///
/// redb itself compares the check sums, of the slots and of all that they lead to. It looks at some
/// of a slot's before.
fn check_head(mut file: &File) -> Result<(), LogError> {
    let length = file.metadata().map_err(|error| fault::of_io(&error))?.len();
    let mut head = [0; HEAD];
    file.read_exact(&mut head).map_err(|error| fault::of_io(&error))?;
    if head[..MAGIC.len()] != *MAGIC {
        return Err(fault::malformed("the file is not one of redb"));
    }
    let number = |at: usize| {
        let bytes = [head[at], head[at + 1], head[at + 2], head[at + 3]];
        u64::from(u32::from_le_bytes(bytes))
    };
    let (page, region_head, region_data) = (number(12), number(16), number(20));
    let (regions, last) = (number(24), number(28));
    // 4 GiB is the size that redb gives its regions.
    let makes_sense = page == PAGE && region_data > 0 && region_head + region_data <= 1 << 21;
    if !makes_sense || last > region_data {
        return Err(fault::malformed("the head of the file makes no sense"));
    }
    let last = if last > 0 { region_head + last } else { 0 };
    let pages = 1 + regions * (region_head + region_data) + last;
    if pages * PAGE > length {
        return Err(fault::malformed("the file is shorter than it was"));
    }
    if SLOTS.iter().all(|slot| head[*slot] > FORMAT) {
        return Err(LogError::new(LogErrorKind::Newer).with_detail("its format is of a newer redb"));
    }
    let is_too_large = |slot: usize, root: usize| {
        let page = number(slot + 8 + 32 * root + 4);
        // The five highest bits say how often its size is doubled.
        head[slot + 1 + root] != 0 && PAGE << (page >> 27) > length
    };
    if SLOTS.iter().any(|slot| is_too_large(*slot, 0) || is_too_large(*slot, 1)) {
        return Err(fault::malformed("a tree of the file begins nowhere"));
    }
    Ok(())
}

/// Where the flags are, and what two of them say.
const FLAGS: usize = 9;
const NOT_CLOSED: u8 = 2;
const TWO_PHASES: u8 = 4;

const MAGIC: &[u8] = b"redb\x1a\x0a\xa9\x0d\x0a";
const PAGE: u64 = 4096;
const HEAD: usize = SLOTS[1] + 128;
const SLOTS: [usize; 2] = [64, 192];
const FORMAT: u8 = 3;

/// What redb reads and writes, with an eye on whether the disk has kept it.
///
/// redb compares all check sums of a file that was not closed, and none of one that was. With a
/// page that is not what it was, it would then ask for more memory than there is, which ends the
/// process. So each file looks here as if it had not been closed.
#[derive(Debug)]
pub(crate) struct Watched {
    inner: Box<dyn StorageBackend>,
    sync_failed: Arc<AtomicBool>,
}

impl Watched {
    /// Watches this. The flag is set for good when the disk could not keep what was written.
    pub(crate) fn new(inner: Box<dyn StorageBackend>, sync_failed: Arc<AtomicBool>) -> Self {
        Self { inner, sync_failed }
    }
}

impl StorageBackend for Watched {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)?;
        if let (0, Some(flags)) = (offset, out.get_mut(FLAGS)) {
            *flags = (*flags | NOT_CLOSED) & !TWO_PHASES;
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.inner.set_len(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        let result = self.inner.sync_data();
        if result.is_err() {
            self.sync_failed.store(true, Ordering::Release);
        }
        result
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.inner.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }
}
