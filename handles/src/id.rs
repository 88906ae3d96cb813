//! Ids of the objects in the kernel, and walks through all of them.

use std::fmt;
use std::os::fd::BorrowedFd;

use purebpf_syscall::{CallError, Errno, ObjectKind, next_id};

use crate::Error;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident, $kind:ident, $what:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u32);

        impl $name {
            /// Every id in use, ascending. An error is the last item.
            ///
            /// # Errors
            /// An item is an error without `CAP_SYS_ADMIN`.
            pub fn all() -> impl Iterator<Item = Result<Self, Error>> + Send + use<> {
                walk(ObjectKind::$kind, concat!($what, " ids")).map(|id| id.map(Self))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

ids! {
    /// The id of a map, until the map is gone.
    #[doc(alias = "bpf_map_get_next_id")]
    MapId, Map, "map";
    /// The id of a program, until the program is gone.
    #[doc(alias = "bpf_prog_get_next_id")]
    ProgramId, Program, "program";
    /// The id of a link, until the link is gone.
    #[doc(alias = "bpf_link_get_next_id")]
    LinkId, Link, "link";
    /// The id of BTF, until nobody uses it.
    #[doc(alias = "bpf_btf_get_next_id")]
    BtfId, Btf, "BTF";
}

fn walk(
    kind: ObjectKind,
    what: &'static str,
) -> impl Iterator<Item = Result<u32, Error>> + Send + use<> {
    let mut last = Some(0);
    std::iter::from_fn(move || {
        let next = next_id(kind, last?);
        last = next.ok().flatten();
        next.map_err(Error::call(what, "list them")).transpose()
    })
}

/// Opens every id; one that has gone in the meantime is left out, and so is a link that is still being made.
pub(crate) fn open_all<I, T>(
    ids: impl Iterator<Item = Result<I, Error>> + Send,
    open: impl Fn(I) -> Result<T, Error> + Send,
) -> impl Iterator<Item = Result<T, Error>> + Send {
    ids.filter_map(move |id| match id.and_then(&open) {
        Err(error) if error.is_errno(Errno::ENOENT) || error.is_errno(Errno::EAGAIN) => None,
        result => Some(result),
    })
}

/// The id of the object behind an fd of a known kind.
pub(crate) fn id_of(kind: ObjectKind, fd: BorrowedFd<'_>) -> Result<u32, CallError> {
    match kind {
        ObjectKind::Map => purebpf_syscall::map_info(fd).map(|info| info.id),
        ObjectKind::Program => purebpf_syscall::prog_info(fd).map(|info| info.id),
        ObjectKind::Link => purebpf_syscall::link_info(fd).map(|info| info.id),
        ObjectKind::Btf => purebpf_syscall::btf_info(fd).map(|info| info.id),
    }
}

/// Refuses an fd of another kind, by name.
pub(crate) fn expect_kind(
    object: impl fmt::Display,
    fd: BorrowedFd<'_>,
    expected: ObjectKind,
) -> Result<(), Error> {
    // Where /proc is missing, the calls on the fd will say that it is of another kind.
    match purebpf_syscall::kind_of(fd) {
        Ok(found) if found != Some(expected) => {
            let found = found.map_or("no BPF object", kind_name);
            Err(Error::mismatch(
                object,
                "the fd",
                found,
                kind_name(expected),
            ))
        }
        _ => Ok(()),
    }
}

const fn kind_name(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Program => "a program",
        ObjectKind::Map => "a map",
        ObjectKind::Btf => "BTF",
        ObjectKind::Link => "a link",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_or_not_whole_yet_is_left_out_of_a_list() {
        let open = |id| match id {
            1 => Ok(id),
            2 => Err(Errno::ENOENT),
            3 => Err(Errno::EAGAIN),
            _ => Err(Errno::EPERM),
        };
        let open = |id| {
            open(id).map_err(|errno: Errno| {
                let refused = CallError::from_raw("BPF_LINK_GET_FD_BY_ID", errno as i32);
                Error::call("link", "open it")(refused)
            })
        };
        let mut all = open_all((1..=4).map(Ok), open);
        assert!(matches!(all.next(), Some(Ok(1))));
        assert!(all.next().unwrap().unwrap_err().is_errno(Errno::EPERM));
        assert!(all.next().is_none());
    }
}
