//! struct_ops: a struct of functions that the kernel calls, such as a TCP congestion control or a
//! scheduler.

use std::os::fd::AsFd;
use std::sync::Arc;

use purebpf_insn::{AttachType, MapFlags, MapType};
use purebpf_syscall::{AttachPoint, Errno, LinkCreate, LinkOptions, link_create};

use crate::link::Event;
use crate::{Error, Link, Map, UpdateFlags};

/// A struct_ops map (5.6) and its value in the kernel's layout, with the fds of its programs.
///
/// The programs must be alive when it is attached; from then on the kernel holds them.
#[doc(alias = "bpf_map__attach_struct_ops")]
#[derive(Clone, Debug)]
pub struct StructOps {
    map: Map,
    value: Arc<[u8]>,
}

impl StructOps {
    /// A map and its value (`struct bpf_struct_ops_NAME`).
    ///
    /// # Errors
    /// A map of another type, a value of another size.
    pub fn new(map: &Map, value: impl Into<Arc<[u8]>>) -> Result<Self, Error> {
        let value = value.into();
        if map.map_type() != MapType::STRUCT_OPS {
            return Err(Error::mismatch(
                map,
                "its type",
                map.map_type(),
                MapType::STRUCT_OPS,
            ));
        }
        if u32::try_from(value.len()) != Ok(map.value_size()) {
            let (found, expected) = (value.len(), map.value_size());
            return Err(Error::mismatch(
                map,
                "the size of its value",
                found,
                expected,
            ));
        }
        Ok(Self {
            map: map.clone(),
            value,
        })
    }

    /// The map.
    #[must_use]
    pub const fn map(&self) -> &Map {
        &self.map
    }

    /// Registers it with the kernel: by a link where its map has [`MapFlags::LINK`] (6.4), or else
    /// until the link, which then is none to the kernel, is dropped.
    ///
    /// # Errors
    /// What the kernel says: `EEXIST` for a name that is taken, `EINVAL` for members it does not like.
    pub fn attach(&self) -> Result<Link, Error> {
        let failed = |error| Error::call(&self.map, "register it")(error);
        self.fill()?;
        if !self.map.flags().contains(MapFlags::LINK) {
            let map = self.map.clone();
            return Link::unlinked(&self.map, None, move || {
                map.delete(&0u32.to_ne_bytes()).map(drop)
            });
        }
        let fd = link_create(&LinkCreate {
            program: self.map.as_fd(),
            target: AttachPoint::None,
            attach_type: AttachType::STRUCT_OPS,
            flags: 0,
            options: LinkOptions::None,
        });
        Ok(Link::with_event(
            fd.map_err(failed)?,
            Event::None,
            None,
            None,
        ))
    }

    /// Takes the place of what a link has registered, in one step (6.4).
    ///
    /// # Errors
    /// What the kernel says.
    #[doc(alias = "bpf_link__update_map")]
    pub fn replace(&self, link: &Link) -> Result<(), Error> {
        self.fill()?;
        link.update_map(&self.map)
    }

    /// Gives the map its value. One that is to be linked may have it already.
    fn fill(&self) -> Result<(), Error> {
        match self
            .map
            .update(&0u32.to_ne_bytes(), &self.value, UpdateFlags::ANY)
        {
            Err(error)
                if error.errno() == Some(Errno::EBUSY)
                    && self.map.flags().contains(MapFlags::LINK) =>
            {
                Ok(())
            }
            result => result,
        }
    }
}
