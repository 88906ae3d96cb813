//! Maps of kernel objects: other maps, programs, perf events, cgroups.
//!
//! What is written is an fd, what is read is an id.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use bytemuck::{NoUninit, bytes_of};

use super::check::view;
use crate::{Errno, Error, Map, MapId, Program, ProgramId, UpdateFlags};

view! {
    /// An array or hash of maps. All of them are like the one that it was created with.
    #[doc(alias = "BPF_MAP_TYPE_ARRAY_OF_MAPS")]
    #[doc(alias = "BPF_MAP_TYPE_HASH_OF_MAPS")]
    MapOfMaps<K>: [ARRAY_OF_MAPS, HASH_OF_MAPS], [size_of::<K>()], [4]
}

view! {
    /// An array of programs, for tail calls.
    ///
    /// The kernel empties it when the last handle and the last pin of all processes go, even while
    /// programs use it, and tail calls go nowhere from then on. So whoever needs it keeps this view, or
    /// a clone; or gives the array to the program that calls into it
    /// ([`Program::holding`](crate::Program::holding)), as the loader does; or pins it.
    #[doc(alias = "BPF_MAP_TYPE_PROG_ARRAY")]
    ProgramArray<>: [PROG_ARRAY], [4], [4]
}

view! {
    /// An array of perf events or of cgroups, by fd. It cannot be read.
    ///
    /// A perf event goes with the handle of the map that put it there, unless the map has
    /// [`MapFlags::PRESERVE_ELEMS`](purebpf_insn::MapFlags::PRESERVE_ELEMS).
    #[doc(alias = "BPF_MAP_TYPE_PERF_EVENT_ARRAY")]
    #[doc(alias = "BPF_MAP_TYPE_CGROUP_ARRAY")]
    FdArray<>: [PERF_EVENT_ARRAY, CGROUP_ARRAY], [4], [4]
}

impl Map {
    /// Writes an fd, as long as the map's values are.
    pub(super) fn update_fd(
        &self,
        key: &[u8],
        fd: BorrowedFd<'_>,
        flags: UpdateFlags,
    ) -> Result<(), Error> {
        let fd = fd.as_raw_fd();
        match self.value_size() {
            8 => self.update(key, &i64::from(fd).to_ne_bytes(), flags),
            _ => self.update(key, &fd.to_ne_bytes(), flags),
        }
    }

    fn lookup_id(&self, key: &[u8]) -> Result<Option<u32>, Error> {
        let mut id = [0; 4];
        let is_there = self.lookup_into(key, &mut id, UpdateFlags::ANY)?;
        Ok(is_there.then_some(u32::from_ne_bytes(id)))
    }
}

/// What an id is of, unless it has gone meanwhile.
fn opened<T>(opened: Result<T, Error>) -> Result<Option<T>, Error> {
    match opened {
        Err(error) if error.is_errno(Errno::ENOENT) => Ok(None),
        opened => opened.map(Some),
    }
}

impl<K: NoUninit> MapOfMaps<K> {
    /// Puts a map there, in place of any other. The kernel keeps it as long as it is there.
    ///
    /// # Errors
    /// `EINVAL` for a map that is not like the others, and what the kernel says.
    pub fn insert(&self, key: &K, inner: &Map) -> Result<(), Error> {
        self.map
            .update_fd(bytes_of(key), inner.as_fd(), UpdateFlags::ANY)
    }

    /// The id of the map that is there, if one is.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn id(&self, key: &K) -> Result<Option<MapId>, Error> {
        Ok(self.map.lookup_id(bytes_of(key))?.map(MapId))
    }

    /// The map that is there, if one is, opened by its id.
    ///
    /// # Errors
    /// What the kernel says; without `CAP_SYS_ADMIN` that is `EPERM`.
    pub fn get(&self, key: &K) -> Result<Option<Map>, Error> {
        match self.id(key)? {
            Some(id) => opened(Map::from_id(id)),
            None => Ok(None),
        }
    }

    /// Takes the map out; whether there was one.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn remove(&self, key: &K) -> Result<bool, Error> {
        self.map.delete(bytes_of(key))
    }
}

impl ProgramArray {
    /// Puts a program there, in place of any other.
    ///
    /// # Errors
    /// `EINVAL` for a program of another type than the others and those that call into the array,
    /// `E2BIG` for an index that is not in the array, and what the kernel says.
    pub fn set(&self, index: u32, program: &Program) -> Result<(), Error> {
        let key = index.to_ne_bytes();
        self.map.update_fd(&key, program.as_fd(), UpdateFlags::ANY)
    }

    /// The id of the program that is there, if one is.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn id(&self, index: u32) -> Result<Option<ProgramId>, Error> {
        Ok(self.map.lookup_id(&index.to_ne_bytes())?.map(ProgramId))
    }

    /// The program that is there, if one is, opened by its id.
    ///
    /// # Errors
    /// What the kernel says; without `CAP_SYS_ADMIN` that is `EPERM`.
    pub fn get(&self, index: u32) -> Result<Option<Program>, Error> {
        match self.id(index)? {
            Some(id) => opened(Program::from_id(id)),
            None => Ok(None),
        }
    }

    /// Takes the program out; whether there was one.
    ///
    /// # Errors
    /// `E2BIG` for an index that is not in the array, and what the kernel says.
    pub fn remove(&self, index: u32) -> Result<bool, Error> {
        self.map.delete(&index.to_ne_bytes())
    }
}

impl FdArray {
    /// Puts the perf event, or the cgroup by its directory, there.
    ///
    /// # Errors
    /// An fd of something else, `E2BIG` for an index that is not in the array, and what the kernel
    /// says.
    pub fn set(&self, index: u32, object: &impl AsFd) -> Result<(), Error> {
        let key = index.to_ne_bytes();
        self.map.update_fd(&key, object.as_fd(), UpdateFlags::ANY)
    }

    /// Takes it out; whether there was one.
    ///
    /// # Errors
    /// `E2BIG` for an index that is not in the array, and what the kernel says.
    pub fn remove(&self, index: u32) -> Result<bool, Error> {
        self.map.delete(&index.to_ne_bytes())
    }
}
