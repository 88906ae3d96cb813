//! The handle of a map.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use purebpf_insn::{MapFlags, MapType};
use purebpf_syscall::probe::has_common_attributes;
use purebpf_syscall::{Errno, MapFd, MapInfo, MapShape, Mapping, ObjectKind, map_info};

use super::MapAttributes;
use crate::btf::with_log;
use crate::error::shown;
use crate::id::expect_kind;
use crate::object::object;
use crate::pin::Pin;
use crate::{Error, MapId};

/// A map: a clone is the same map, and dropping the last one closes it.
///
/// The kernel keeps a map as long as anything refers to it: a handle, a program that uses it, a pin,
/// another map that holds it. So a handle never outlives its map.
///
/// What is in it stays with it, but for this, which goes when the last handle and the last pin of all
/// processes go, even if programs still use the map: the programs in a program array
/// ([`Program::holding`](crate::Program::holding) prevents it), timers in values (`bpf_timer`,
/// `bpf_wq`), the programs attached to a sockmap. An event in a perf event array goes with the fd that
/// put it there, so with the last clone of that handle, unless the map has
/// [`MapFlags::PRESERVE_ELEMS`].
#[doc(alias = "bpf_map")]
#[derive(Clone)]
pub struct Map {
    shared: Arc<Shared>,
    name: Arc<str>,
}

struct Shared {
    fd: MapFd,
    facts: MapInfo,
    pin: Pin,
    arena: Mutex<Option<Arc<Mapping>>>,
    mapped: Mutex<Weak<Mapping>>,
    /// The kernel does not know how to pass the value of one CPU.
    lacks_cpu_flags: AtomicBool,
}

impl Shared {
    fn new(fd: MapFd, facts: MapInfo, pin: Pin) -> Arc<Self> {
        Arc::new(Self {
            fd,
            facts,
            pin,
            arena: Mutex::default(),
            mapped: Mutex::default(),
            lacks_cpu_flags: AtomicBool::new(false),
        })
    }
}

impl Map {
    /// Creates a map (`BPF_MAP_CREATE`).
    ///
    /// # Errors
    /// [`Error::Rejected`] with the kernel's log, where it writes one (7.1); before, mostly `EINVAL`,
    /// without a word about which attribute it is.
    #[doc(alias = "bpf_map_create")]
    pub fn create(attributes: &MapAttributes) -> Result<Self, Error> {
        let name = &*attributes.name;
        let params = attributes.params();
        // Only of late does the kernel say what it dislikes.
        let object = shown(|f| write!(f, "map `{name}`"));
        let (fd, _) = with_log(&object, "create it", 0, |log| {
            MapFd::create(&params, log.filter(|_| has_common_attributes()))
        })?;
        let facts = match map_info(fd.as_fd()) {
            // Before 4.13 the kernel does not tell, and has no ids either.
            Err(error) if error.errno() == Errno::EINVAL => {
                let mut facts = MapInfo::default();
                facts.map_type = attributes.map_type;
                facts.key_size = attributes.key_size;
                facts.value_size = attributes.value_size;
                facts.max_entries = attributes.max_entries;
                facts.flags = attributes.flags;
                facts
            }
            facts => facts.map_err(Error::call(object, "ask what it is"))?,
        };
        Ok(Self {
            name: name.into(),
            shared: Shared::new(fd, facts, Pin::default()),
        })
    }

    fn known_pin(&self) -> &Pin {
        &self.shared.pin
    }

    pub(crate) fn take(fd: OwnedFd, pin: Pin, object: &dyn fmt::Display) -> Result<Self, Error> {
        expect_kind(object, fd.as_fd(), ObjectKind::Map)?;
        let asked = "ask what it is";
        let fd = MapFd::from_fd(fd).map_err(Error::call(object, asked))?;
        let facts = map_info(fd.as_fd()).map_err(Error::call(object, asked))?;
        Ok(Self {
            name: facts.name.as_str().into(),
            shared: Shared::new(fd, facts, pin),
        })
    }

    /// This map under another name. The kernel keeps 15 bytes of a name; whoever knows the whole one
    /// can say so. Other handles keep theirs.
    #[must_use]
    pub fn with_name(self, name: &str) -> Self {
        Self {
            name: name.into(),
            ..self
        }
    }

    /// The name: the one it was created with or given, or the kernel's 15 bytes of it.
    #[doc(alias = "bpf_map__name")]
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Id; 0 before Linux 4.13.
    #[must_use]
    pub fn id(&self) -> MapId {
        MapId(self.shared.facts.id)
    }

    /// Type.
    #[doc(alias = "bpf_map__type")]
    #[must_use]
    pub fn map_type(&self) -> MapType {
        self.shared.facts.map_type
    }

    /// Bytes of a key.
    #[doc(alias = "bpf_map__key_size")]
    #[must_use]
    pub fn key_size(&self) -> u32 {
        self.shared.facts.key_size
    }

    /// Bytes of a value, for one CPU.
    #[doc(alias = "bpf_map__value_size")]
    #[must_use]
    pub fn value_size(&self) -> u32 {
        self.shared.facts.value_size
    }

    /// Most elements; bytes of data for a ring buffer.
    #[doc(alias = "bpf_map__max_entries")]
    #[must_use]
    pub fn max_entries(&self) -> u32 {
        self.shared.facts.max_entries
    }

    /// Flags.
    #[doc(alias = "bpf_map__map_flags")]
    #[must_use]
    pub fn flags(&self) -> MapFlags {
        self.shared.facts.flags
    }

    /// The number whose meaning depends on the type; 0 before Linux 5.16.
    #[doc(alias = "bpf_map__map_extra")]
    #[must_use]
    pub fn map_extra(&self) -> u64 {
        self.shared.facts.map_extra
    }

    /// All that the kernel tells of it now.
    ///
    /// # Errors
    /// The kernel is older than 4.13.
    #[doc(alias = "bpf_map_get_info_by_fd")]
    pub fn info(&self) -> Result<MapInfo, Error> {
        map_info(self.as_fd()).map_err(Error::call(self, "ask what it is"))
    }

    /// Ends all writing from user space; programs can go on (5.2).
    ///
    /// # Errors
    /// `EBUSY` while it is mapped for writing, or if it is frozen already.
    #[doc(alias = "bpf_map_freeze")]
    pub fn freeze(&self) -> Result<(), Error> {
        self.kernel()
            .freeze()
            .map_err(Error::call(self, "freeze it"))
    }

    pub(super) fn lacks_cpu_flags(&self) -> bool {
        self.shared.lacks_cpu_flags.load(Ordering::Relaxed)
    }

    pub(super) fn set_lacks_cpu_flags(&self) {
        self.shared.lacks_cpu_flags.store(true, Ordering::Relaxed);
    }

    pub(crate) fn kernel(&self) -> &MapFd {
        &self.shared.fd
    }

    /// The memory of a map, mapped by `map` unless somebody has it mapped as it is wanted.
    pub(super) fn mapped(
        &self,
        writable: bool,
        map: impl FnOnce() -> Result<Mapping, Error>,
    ) -> Result<Arc<Mapping>, Error> {
        let mut mapped = self
            .shared
            .mapped
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(mapping) = mapped.upgrade().filter(|it| it.is_writable() == writable) {
            return Ok(mapping);
        }
        let mapping = Arc::new(map()?);
        *mapped = Arc::downgrade(&mapping);
        Ok(mapping)
    }

    /// The memory of an arena without a given address, mapped by `map` the first time. Once it has an address, the kernel
    /// takes no other, so it stays mapped as long as the map is open here.
    pub(super) fn arena(
        &self,
        map: impl FnOnce() -> Result<Mapping, Error>,
    ) -> Result<Arc<Mapping>, Error> {
        let mut arena = self
            .shared
            .arena
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(mapping) = &*arena {
            return Ok(Arc::clone(mapping));
        }
        let mapping = Arc::new(map()?);
        *arena = Some(Arc::clone(&mapping));
        Ok(mapping)
    }

    pub(crate) fn shape(&self) -> MapShape {
        self.kernel().shape()
    }
}

object! {
    Map, MapId, "map";
    /// Opens the map with this id (4.13, `CAP_SYS_ADMIN`).
    #[doc(alias = "bpf_map_get_fd_by_id")]
    from_id;
    #[doc(alias = "bpf_obj_get")]
    from_pin;
    /// Pins it at `path`, in a bpffs; the directory is made if only its last part is missing.
    /// Nothing happens if it is there already.
    ///
    /// # Errors
    /// A path that is taken, that has a dot in its name or is not in a bpffs; a map that is pinned
    /// elsewhere already.
    #[doc(alias = "bpf_map__pin")]
    pin;
    #[doc(alias = "bpf_map__unpin")]
    unpin;
    #[doc(alias = "bpf_map__is_pinned")]
    is_pinned;
    #[doc(alias = "bpf_map__pin_path")]
    pin_path;
}

impl AsFd for Map {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.fd.as_fd()
    }
}

impl fmt::Display for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "map `{}`", self.name)
    }
}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map")
            .field("name", &self.name)
            .field("id", &self.id().0)
            .field("type", &format_args!("{}", self.map_type()))
            .field("key_size", &self.key_size())
            .field("value_size", &self.value_size())
            .field("max_entries", &self.max_entries())
            .finish_non_exhaustive()
    }
}
