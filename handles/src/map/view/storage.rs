//! Values that belong to sockets, tasks, files and cgroups.

use std::os::fd::{AsFd, AsRawFd};

use bytemuck::{AnyBitPattern, NoUninit, bytes_of, bytes_of_mut};

use super::check::view;
use crate::{Error, UpdateFlags};

view! {
    /// A value for each socket (5.2), inode (5.10), task (5.11) or cgroup (6.2), which goes with it. The
    /// key is an fd: of the socket, of a file, of the process (`pidfd_open`), of the cgroup's
    /// directory.
    #[doc(alias = "BPF_MAP_TYPE_SK_STORAGE")]
    #[doc(alias = "BPF_MAP_TYPE_INODE_STORAGE")]
    #[doc(alias = "BPF_MAP_TYPE_TASK_STORAGE")]
    #[doc(alias = "BPF_MAP_TYPE_CGRP_STORAGE")]
    Storage<V>: [SK_STORAGE, INODE_STORAGE, TASK_STORAGE, CGRP_STORAGE], [4], [size_of::<V>()]
}

fn key(of: &impl AsFd) -> [u8; 4] {
    of.as_fd().as_raw_fd().to_ne_bytes()
}

impl<V: AnyBitPattern + NoUninit> Storage<V> {
    /// The value of this object, if it has one.
    ///
    /// # Errors
    /// `EBADF` for an fd of something else, and what the kernel says.
    pub fn get(&self, of: &impl AsFd) -> Result<Option<V>, Error> {
        let mut value = V::zeroed();
        let bytes = bytes_of_mut(&mut value);
        let is_there = self.map.lookup_into(&key(of), bytes, UpdateFlags::ANY)?;
        Ok(is_there.then_some(value))
    }

    /// Gives this object a value, or another one.
    ///
    /// # Errors
    /// `EBADF` for an fd of something else, and what the kernel says.
    pub fn set(&self, of: &impl AsFd, value: &V) -> Result<(), Error> {
        self.map.update(&key(of), bytes_of(value), UpdateFlags::ANY)
    }

    /// Takes this object its value; whether it had one.
    ///
    /// # Errors
    /// `EBADF` for an fd of something else, and what the kernel says.
    pub fn remove(&self, of: &impl AsFd) -> Result<bool, Error> {
        self.map.delete(&key(of))
    }
}
