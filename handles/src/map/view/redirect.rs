//! Where packets are sent: sockets, devices, CPUs.

use std::os::fd::{AsFd, AsRawFd};

use bytemuck::{NoUninit, bytes_of};

use super::check::view;
use crate::{Error, Map, Program, ProgramId, UpdateFlags};

view! {
    /// Sockets by key: a sockmap, a sockhash, the sockets of a reuseport group, or those of an xskmap.
    /// A socket goes from the map when it is closed.
    #[doc(alias = "BPF_MAP_TYPE_SOCKMAP")]
    #[doc(alias = "BPF_MAP_TYPE_SOCKHASH")]
    #[doc(alias = "BPF_MAP_TYPE_REUSEPORT_SOCKARRAY")]
    #[doc(alias = "BPF_MAP_TYPE_XSKMAP")]
    Sockets<K>: [SOCKMAP, SOCKHASH, REUSEPORT_SOCKARRAY, XSKMAP], [size_of::<K>()], [4, 8]
}

view! {
    /// Network devices by key; each may have a program that runs on what is sent there (5.8).
    #[doc(alias = "BPF_MAP_TYPE_DEVMAP")]
    #[doc(alias = "BPF_MAP_TYPE_DEVMAP_HASH")]
    #[doc(alias = "bpf_devmap_val")]
    DevMap<>: [DEVMAP, DEVMAP_HASH], [4], [4, 8]
}

view! {
    /// Queues of CPUs by number; each may have a program that runs there on what is sent (5.9).
    #[doc(alias = "BPF_MAP_TYPE_CPUMAP")]
    #[doc(alias = "bpf_cpumap_val")]
    CpuMap<>: [CPUMAP], [4], [4, 8]
}

/// Where a [`DevMap`] or [`CpuMap`] sends packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Redirect {
    /// The device by its index, or how many packets the CPU's queue holds.
    pub number: u32,
    /// The program that runs there.
    pub program: Option<ProgramId>,
}

impl<K: NoUninit> Sockets<K> {
    /// Puts a socket there, as the flags say.
    ///
    /// # Errors
    /// A socket that is of the wrong kind or in the wrong state, and what the kernel says.
    pub fn insert(&self, key: &K, socket: &impl AsFd, flags: UpdateFlags) -> Result<(), Error> {
        self.map.update_fd(bytes_of(key), socket.as_fd(), flags)
    }

    /// The cookie of the socket that is there (`SO_COOKIE`), if one is.
    ///
    /// # Errors
    /// A map whose values are not 8 bytes, an xskmap, and what the kernel says.
    pub fn cookie(&self, key: &K) -> Result<Option<u64>, Error> {
        let mut cookie = [0; 8];
        let is_there = self
            .map
            .lookup_into(bytes_of(key), &mut cookie, UpdateFlags::ANY)?;
        Ok(is_there.then_some(u64::from_ne_bytes(cookie)))
    }

    /// Takes the socket out; whether there was one.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn remove(&self, key: &K) -> Result<bool, Error> {
        // A sockmap says so in a way of its own.
        match self.map.delete(bytes_of(key)) {
            Err(error) if error.is_errno(crate::Errno::EINVAL) && self.is_index(key) => Ok(false),
            result => result,
        }
    }

    /// Whether the key is one that an array has.
    fn is_index(&self, key: &K) -> bool {
        let is_array = self.map.map_type() != purebpf_insn::MapType::SOCKHASH;
        let index = bytes_of(key).try_into().map(u32::from_ne_bytes);
        is_array && index.is_ok_and(|index| index < self.map.max_entries())
    }
}

impl Map {
    fn update_redirect(
        &self,
        key: u32,
        number: u32,
        program: Option<&Program>,
    ) -> Result<(), Error> {
        let mut value = [0; 8];
        let (first, second) = value.split_at_mut(4);
        first.copy_from_slice(&number.to_ne_bytes());
        // No fd, also for kernels that take 0 for one.
        let fd = program.map_or(-1, |program| program.as_fd().as_raw_fd());
        second.copy_from_slice(&fd.to_ne_bytes());
        let value = match (self.value_size(), program) {
            (4, Some(_)) => {
                let (what, found) = ("the value size, to hold a program,", self.value_size());
                return Err(Error::mismatch(self, what, found, 8));
            }
            (4, None) => first,
            _ => &mut value,
        };
        self.update(&key.to_ne_bytes(), value, UpdateFlags::ANY)
    }

    fn lookup_redirect(&self, key: u32) -> Result<Option<Redirect>, Error> {
        let mut value = [0_u32; 2];
        let bytes = bytemuck::bytes_of_mut(&mut value);
        let (bytes, _) = bytes.split_at_mut(self.buffer_size().min(8));
        let is_there = self.lookup_into(&key.to_ne_bytes(), bytes, UpdateFlags::ANY)?;
        let [number, program] = value;
        Ok(is_there.then_some(Redirect {
            number,
            program: (program != 0).then_some(ProgramId(program)),
        }))
    }
}

impl DevMap {
    /// Sends to this device, by its index.
    ///
    /// # Errors
    /// `EINVAL` for a device that is not there, `E2BIG` for a key that is not in the array, and what
    /// the kernel says.
    pub fn set(&self, key: u32, ifindex: u32) -> Result<(), Error> {
        self.map.update_redirect(key, ifindex, None)
    }

    /// The same, with a program that was loaded for a devmap (`BPF_XDP_DEVMAP`, 5.8).
    ///
    /// # Errors
    /// A map whose values have no room for it, and as [`Self::set`].
    pub fn set_with_program(&self, key: u32, ifindex: u32, program: &Program) -> Result<(), Error> {
        self.map.update_redirect(key, ifindex, Some(program))
    }

    /// Where it is sent, if anywhere.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn get(&self, key: u32) -> Result<Option<Redirect>, Error> {
        self.map.lookup_redirect(key)
    }

    /// Takes the device out; whether there was one, which only a hash tells: of an array it is always
    /// true.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn remove(&self, key: u32) -> Result<bool, Error> {
        self.map.delete(&key.to_ne_bytes())
    }
}

impl CpuMap {
    /// Gives the CPU a queue of so many packets, 1 to 16384.
    ///
    /// # Errors
    /// `ENODEV` for a CPU that is not possible, `E2BIG` for one that is not in the array, and what the
    /// kernel says.
    pub fn set(&self, cpu: u32, packets: u32) -> Result<(), Error> {
        self.map.update_redirect(cpu, packets, None)
    }

    /// The same, with a program that was loaded for a cpumap (`BPF_XDP_CPUMAP`, 5.9).
    ///
    /// # Errors
    /// A map whose values have no room for it, and as [`Self::set`].
    pub fn set_with_program(&self, cpu: u32, packets: u32, program: &Program) -> Result<(), Error> {
        self.map.update_redirect(cpu, packets, Some(program))
    }

    /// The queue of the CPU, if it has one.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn get(&self, cpu: u32) -> Result<Option<Redirect>, Error> {
        self.map.lookup_redirect(cpu)
    }

    /// Takes the queue away. The kernel does not tell whether there was one.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn remove(&self, cpu: u32) -> Result<(), Error> {
        self.map.delete(&cpu.to_ne_bytes()).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use crate::layout::{Kernel, Layout};

    #[test]
    fn where_packets_go_is_laid_out_as_the_kernels() {
        let device = Layout {
            name: "a device",
            places: &["bpf_devmap_val"],
            fields: &[("ifindex", 0, 4), ("bpf_prog", 4, 4)],
        };
        let cpu = Layout {
            name: "a CPU",
            places: &["bpf_cpumap_val"],
            fields: &[("qsize", 0, 4), ("bpf_prog", 4, 4)],
        };
        Kernel::check(&[&device, &cpu]);
    }
}
