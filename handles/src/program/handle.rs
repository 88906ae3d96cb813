//! The handle of a program.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use purebpf_insn::{AttachType, ProgramType};
use purebpf_syscall::{
    CallError, Errno, ObjectKind, ProgInfo, prog_bind_map, prog_info, prog_map_ids, raise,
};

use crate::attach::Target;
use crate::id::expect_kind;
use crate::object::object;
use crate::pin::Pin;
use crate::{Error, Link, Map, MapId, ProgramId};

/// A program in the kernel: a clone is the same program, and dropping the last one closes it.
///
/// The kernel keeps a program as long as anything refers to it: a handle, a link, a pin, an array of
/// programs.
#[doc(alias = "bpf_program")]
#[derive(Clone)]
pub struct Program {
    shared: Arc<Shared>,
    name: Arc<str>,
    expected_attach_type: Option<AttachType>,
    held: Arc<[Map]>,
}

struct Shared {
    fd: OwnedFd,
    facts: ProgInfo,
    pin: Pin,
}

/// What is known of a program that the kernel tells nothing of.
fn untold(program_type: ProgramType) -> ProgInfo {
    let mut facts = ProgInfo::default();
    facts.program_type = program_type;
    facts
}

impl Program {
    /// Takes over the fd of a program that was just loaded with this name and these types. What is
    /// opened later has [`Self::from_fd`], which asks the kernel for all but the last.
    pub(super) fn loaded(
        fd: OwnedFd,
        name: &str,
        program_type: ProgramType,
        expected_attach_type: AttachType,
    ) -> Result<Self, CallError> {
        let facts = match prog_info(fd.as_fd()) {
            // Before 4.13 the kernel does not tell, and has no ids either.
            Err(error) if error.errno() == Errno::EINVAL => untold(program_type),
            facts => facts?,
        };
        Ok(Self {
            shared: Arc::new(Shared {
                fd,
                facts,
                pin: Pin::default(),
            }),
            name: name.into(),
            expected_attach_type: Some(expected_attach_type),
            held: Arc::default(),
        })
    }

    fn known_pin(&self) -> &Pin {
        &self.shared.pin
    }

    pub(crate) fn take(fd: OwnedFd, pin: Pin, object: &dyn fmt::Display) -> Result<Self, Error> {
        expect_kind(object, fd.as_fd(), ObjectKind::Program)?;
        let asked = "ask what it is";
        let fd = raise(fd).map_err(Error::call(object, asked))?;
        let facts = prog_info(fd.as_fd()).map_err(Error::call(object, asked))?;
        let name = facts.name.as_str().into();
        let shared = Arc::new(Shared { fd, facts, pin });
        Ok(Self {
            shared,
            name,
            expected_attach_type: None,
            held: Arc::default(),
        })
    }

    /// This program under another name. The kernel keeps 15 bytes of a name; whoever knows the whole
    /// one can say so. Other handles keep theirs.
    #[must_use]
    pub fn with_name(self, name: &str) -> Self {
        Self {
            name: name.into(),
            ..self
        }
    }

    /// This program with what it was loaded to be attached as: the kernel does not tell this of one
    /// that was opened.
    #[must_use]
    pub fn with_expected_attach_type(self, attach_type: AttachType) -> Self {
        Self {
            expected_attach_type: Some(attach_type),
            ..self
        }
    }

    /// This program with maps that stay open as long as it or a link of it does. The kernel keeps a
    /// program array, but empties it when no user has it open or pinned any more, so that tail calls
    /// fail: the loader gives each program its arrays.
    #[must_use]
    pub fn holding(self, maps: Vec<Map>) -> Self {
        Self {
            held: maps.into(),
            ..self
        }
    }

    /// The maps that stay open with it, see [`Self::holding`].
    #[must_use]
    pub fn held_maps(&self) -> &[Map] {
        &self.held
    }

    /// The name: the one it was loaded with or given, or the kernel's 15 bytes of it.
    #[doc(alias = "bpf_program__name")]
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Id; 0 before Linux 4.13.
    #[must_use]
    pub fn id(&self) -> ProgramId {
        ProgramId(self.shared.facts.id)
    }

    /// Type.
    #[doc(alias = "bpf_program__type")]
    #[must_use]
    pub fn program_type(&self) -> ProgramType {
        self.shared.facts.program_type
    }

    /// What it was loaded to be attached as; `None` for a program that was opened, of which the
    /// kernel does not tell.
    #[doc(alias = "bpf_program__expected_attach_type")]
    #[must_use]
    pub const fn expected_attach_type(&self) -> Option<AttachType> {
        self.expected_attach_type
    }

    /// Hash of its instructions; zero before Linux 4.13.
    #[must_use]
    pub fn tag(&self) -> [u8; 8] {
        self.shared.facts.tag
    }

    /// All that the kernel tells of it now, with how often and how long it ran, if statistics are on.
    ///
    /// # Errors
    /// The kernel is older than 4.13.
    #[doc(alias = "bpf_prog_get_info_by_fd")]
    pub fn info(&self) -> Result<ProgInfo, Error> {
        prog_info(self.as_fd()).map_err(Error::call(self, "ask what it is"))
    }

    /// Ids of the maps that it uses.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn map_ids(&self) -> Result<Vec<MapId>, Error> {
        let ids = prog_map_ids(self.as_fd()).map_err(Error::call(self, "ask for its maps"))?;
        Ok(ids.into_iter().map(MapId).collect())
    }

    /// Makes it keep a map alive that it does not use (5.10).
    ///
    /// # Errors
    /// What the kernel says.
    #[doc(alias = "bpf_prog_bind_map")]
    pub fn bind_map(&self, map: &Map) -> Result<(), Error> {
        prog_bind_map(self.as_fd(), map.as_fd()).map_err(Error::call(self, "bind a map to it"))
    }

    /// Attaches it; it stays attached as long as the link or a clone of it is there.
    ///
    /// # Errors
    /// As the target says.
    #[doc(alias = "bpf_program__attach")]
    pub fn attach(&self, target: impl Target) -> Result<Link, Error> {
        target.attach(self)
    }
}

object! {
    Program, ProgramId, "program";
    /// Opens the program with this id (4.13, `CAP_SYS_ADMIN`).
    #[doc(alias = "bpf_prog_get_fd_by_id")]
    from_id;
    #[doc(alias = "bpf_obj_get")]
    from_pin;
    /// Pins it at `path`, in a bpffs; the directory is made if only its last part is missing.
    /// Nothing happens if it is there already.
    ///
    /// # Errors
    /// A path that is taken, that has a dot in its name or is not in a bpffs; a program that is
    /// pinned elsewhere already.
    #[doc(alias = "bpf_program__pin")]
    pin;
    #[doc(alias = "bpf_program__unpin")]
    unpin;
    is_pinned;
    pin_path;
}

impl AsFd for Program {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared.fd.as_fd()
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "program `{}`", self.name)
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program")
            .field("name", &self.name)
            .field("id", &self.id().0)
            .field("type", &format_args!("{}", self.program_type()))
            .finish_non_exhaustive()
    }
}
