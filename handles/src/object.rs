//! How maps, programs and links are opened and pinned, which is the same for all three.

/// Gives a handle its `from_id`, `from_pin`, `from_fd`, `all`, `try_clone_fd`, `pin`, `unpin`, `is_pinned` and
/// `pin_path`; the attributes before a method's name are what differs in its documentation.
///
/// The handle has `take(OwnedFd, Pin, &dyn Display) -> Result<Self, Error>`, which checks what the fd
/// is of, and `known_pin(&self) -> &Pin`.
macro_rules! object {
    (
        $handle:ident, $id:ident, $noun:literal;
        $(#[$from_id:meta])* from_id;
        $(#[$from_pin:meta])* from_pin;
        $(#[$pin:meta])* pin;
        $(#[$unpin:meta])* unpin;
        $(#[$is_pinned:meta])* is_pinned;
        $(#[$pin_path:meta])* pin_path;
    ) => {
        impl $handle {
            $(#[$from_id])*
            ///
            /// # Errors
            /// `ENOENT` if it has gone, and what the kernel says.
            pub fn from_id(id: $crate::$id) -> Result<Self, $crate::Error> {
                let object = $crate::error::shown(|f| write!(f, "{} {id}", $noun));
                let fd = purebpf_syscall::fd_by_id(ObjectKind::$handle, id.0, 0)
                    .map_err($crate::Error::call(object, "open it"))?;
                Self::take(fd, $crate::pin::Pin::default(), &object)
            }

            #[doc = concat!("Opens the ", $noun, " that is pinned at `path`.")]
            ///
            /// # Errors
            /// `ENOENT` without such a path, something else that is pinned there, and what the kernel
            /// says.
            $(#[$from_pin])*
            pub fn from_pin(path: impl AsRef<Path>) -> Result<Self, $crate::Error> {
                let path = path.as_ref();
                let object = $crate::error::shown(|f| write!(f, "{} at {}", $noun, path.display()));
                let fd = purebpf_syscall::obj_get(path, 0)
                    .map_err($crate::Error::call(object, "open it"))?;
                Self::take(fd, $crate::pin::Pin::at(path), &object)
            }

            #[doc = concat!("Takes over an fd of a ", $noun, ".")]
            ///
            /// # Errors
            /// An fd of something else.
            pub fn from_fd(fd: OwnedFd) -> Result<Self, $crate::Error> {
                Self::take(fd, $crate::pin::Pin::default(), &concat!($noun, " by fd"))
            }

            #[doc = concat!("Opens every ", $noun, " there is, by ascending id. One that goes away meanwhile is left out,")]
            /// one that cannot be opened is an error among the items.
            pub fn all() -> impl Iterator<Item = Result<Self, $crate::Error>> + Send + use<> {
                $crate::id::open_all($crate::$id::all(), Self::from_id)
            }

            #[doc = concat!("A new fd of the ", $noun, ", for whoever wants one of its own: a clone of the handle")]
            /// costs none. It is close-on-exec and above 2.
            ///
            /// # Errors
            /// The process may have no more fds.
            pub fn try_clone_fd(&self) -> Result<OwnedFd, $crate::Error> {
                purebpf_syscall::duplicate(self.as_fd())
                    .map_err($crate::Error::call(self, "duplicate its fd"))
            }

            $(#[$pin])*
            pub fn pin(&self, path: impl AsRef<Path>) -> Result<(), $crate::Error> {
                self.known_pin().pin(&self.pinnable(), path.as_ref())
            }

            /// Pins it in place of whatever is pinned at `path`, in one step: whoever opens the
            /// path finds either the old or this one. Whoever holds the old one keeps it.
            ///
            /// # Errors
            /// As pinning, and what the file system says.
            pub fn pin_replacing(&self, path: impl AsRef<Path>) -> Result<(), $crate::Error> {
                self.known_pin().replace(&self.pinnable(), path.as_ref())
            }

            /// Removes the path that it is pinned at.
            ///
            /// # Errors
            /// It was not pinned, or opened, by this handle or a clone of it; or the file is gone.
            $(#[$unpin])*
            pub fn unpin(&self) -> Result<(), $crate::Error> {
                self.known_pin().unpin(&self.pinnable())
            }

            /// Whether the file system has it at the path that it was pinned at or opened from.
            ///
            /// # Errors
            /// The path cannot be looked at.
            $(#[$is_pinned])*
            pub fn is_pinned(&self) -> Result<bool, $crate::Error> {
                self.known_pin().is_pinned(&self.pinnable())
            }

            /// The path that it was pinned at or opened from, by this handle or a clone of it.
            $(#[$pin_path])*
            #[must_use]
            pub fn pin_path(&self) -> Option<std::path::PathBuf> {
                self.known_pin().path()
            }

            fn pinnable(&self) -> $crate::pin::Pinnable<'_> {
                $crate::pin::Pinnable {
                    name: self,
                    kind: ObjectKind::$handle,
                    fd: self.as_fd(),
                }
            }
        }
    };
}

pub(crate) use object;
