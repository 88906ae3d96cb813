//! Maps: creation and element access.
//!
//! # Safety
//! The kernel reads and writes as many bytes as the map's own sizes say, whatever the length of
//! the slice in user space. So element access is only on a [`MapFd`], which learnt those sizes from
//! the kernel (or created the map with them), and every call checks its slices against them.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use purebpf_insn::{MapFlags, MapType};

use crate::call::{
    ATTEMPTS, Command, address, address_mut, bpf, bpf_fd, bpf_fd_with_log, bpf_once, length,
    object_name, raise, raw,
};
use crate::log::Log;
use crate::{CallError, attr, host, info};

/// What a map is created with (`BPF_MAP_CREATE`); zero or `None` is the kernel's default.
#[derive(Clone, Copy, Debug, Default)]
pub struct MapCreate<'a> {
    /// Type.
    pub map_type: MapType,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value, for one CPU.
    pub value_size: u32,
    /// Most elements; bytes of data for a ring buffer.
    pub max_entries: u32,
    /// Flags. [`MapFlags::TOKEN_FD`] and [`MapFlags::VTYPE_BTF_OBJ_FD`] are set as the fds below say.
    pub flags: MapFlags,
    /// Name; the kernel keeps 15 bytes (4.15). Empty for none.
    pub name: &'a str,
    /// Meaning depends on the type (5.16).
    pub map_extra: u64,
    /// A map like those that a map of maps will hold.
    pub inner_map: Option<BorrowedFd<'a>>,
    /// NUMA node, with [`MapFlags::NUMA_NODE`] (4.14).
    pub numa_node: u32,
    /// Network device to offload to, by index (4.16).
    pub ifindex: u32,
    /// BTF of key and value (4.18).
    pub btf: Option<BorrowedFd<'a>>,
    /// Type id of the key in `btf`.
    pub btf_key_type_id: u32,
    /// Type id of the value in `btf`.
    pub btf_value_type_id: u32,
    /// Type id of the value in the kernel's BTF, for struct_ops (5.6).
    pub btf_vmlinux_value_type_id: u32,
    /// BTF of the module that the previous id is from (6.9).
    pub value_type_btf: Option<BorrowedFd<'a>>,
    /// Token that allows the call (6.9).
    pub token: Option<BorrowedFd<'a>>,
    /// SHA-256 of the only program that may use the map; empty for any.
    pub exclusive_program_hash: &'a [u8],
}

/// The sizes by which the kernel copies keys and values of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MapShape {
    /// Type.
    pub map_type: MapType,
    /// Bytes of a key; zero for a map without keys.
    pub key_size: u32,
    /// Bytes of a value, for one CPU.
    pub value_size: u32,
    /// Bytes of a value as it goes through element calls: for a per-CPU map, the values of all
    /// possible CPUs, each padded to a multiple of 8.
    pub buffer_size: usize,
}

/// Element flag: one CPU of a per-CPU map, whose number is in the upper 32 bits (`BPF_F_CPU`).
pub const ELEMENT_CPU: u64 = 8;
/// Element flag: the same value for all CPUs of a per-CPU map (`BPF_F_ALL_CPUS`).
pub const ELEMENT_ALL_CPUS: u64 = 16;

impl MapShape {
    fn new(map_type: MapType, key_size: u32, value_size: u32) -> Result<Self, CallError> {
        let too_big = || CallError::new("map size", Errno::E2BIG);
        let one = usize::try_from(value_size).map_err(|_| too_big())?;
        let buffer_size = if is_per_cpu(map_type) {
            let padded = one.checked_next_multiple_of(8).ok_or_else(too_big)?;
            padded
                .checked_mul(host::possible_cpus()?)
                .ok_or_else(too_big)?
        } else {
            one
        };
        Ok(Self {
            map_type,
            key_size,
            value_size,
            buffer_size,
        })
    }

    /// Bytes of the value in a call with these element flags.
    #[inline]
    #[must_use]
    pub const fn buffer_size_with(&self, flags: u64) -> usize {
        if flags & (ELEMENT_CPU | ELEMENT_ALL_CPUS) != 0 && is_per_cpu(self.map_type) {
            self.value_size as usize
        } else {
            self.buffer_size
        }
    }
}

/// Whether a map of this type has a value for each CPU.
#[must_use]
pub const fn is_per_cpu(map_type: MapType) -> bool {
    matches!(
        map_type,
        MapType::PERCPU_ARRAY
            | MapType::PERCPU_HASH
            | MapType::LRU_PERCPU_HASH
            | MapType::PERCPU_CGROUP_STORAGE
    )
}

/// An open map and the sizes that its elements have.
#[derive(Debug)]
pub struct MapFd {
    fd: OwnedFd,
    shape: MapShape,
}

/// A place in a walk through a map by batches; the default one is the start.
#[derive(Clone, Debug, Default)]
pub struct BatchCursor {
    token: Vec<u8>,
}

/// What a batch call did: it may have got through a part before it was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchOutcome {
    /// Elements dealt with.
    pub count: u32,
    /// How it ended; `ENOENT` of a look-up is the end of the map.
    pub result: Result<(), CallError>,
}

impl MapFd {
    /// Creates a map (`BPF_MAP_CREATE`), with a log where the kernel
    /// [has one for it](crate::probe::has_common_attributes).
    ///
    /// # Errors
    /// What the kernel says; the log alone tells which field it disliked.
    pub fn create(params: &MapCreate<'_>, log: Option<&mut Log<'_>>) -> Result<Self, CallError> {
        let command = Command::MAP_CREATE;
        let mut flags = params.flags;
        flags.set(MapFlags::TOKEN_FD, params.token.is_some());
        flags.set(MapFlags::VTYPE_BTF_OBJ_FD, params.value_type_btf.is_some());
        let mut attr = attr::MapCreate {
            map_type: params.map_type.0,
            key_size: params.key_size,
            value_size: params.value_size,
            max_entries: params.max_entries,
            map_flags: flags.bits(),
            inner_map_fd: raw(params.inner_map),
            numa_node: params.numa_node,
            map_name: object_name(params.name),
            map_ifindex: params.ifindex,
            btf_fd: raw(params.btf),
            btf_key_type_id: params.btf_key_type_id,
            btf_value_type_id: params.btf_value_type_id,
            btf_vmlinux_value_type_id: params.btf_vmlinux_value_type_id,
            map_extra: params.map_extra,
            value_type_btf_obj_fd: raw(params.value_type_btf),
            map_token_fd: raw(params.token),
            excl_prog_hash: address(params.exclusive_program_hash),
            excl_prog_hash_size: length(command, params.exclusive_program_hash)?,
            pad: 0,
        };
        // SAFETY: the only address is of the hash, with its length; the command returns an fd.
        let fd = match log {
            // SAFETY: as above.
            Some(log) => unsafe { bpf_fd_with_log(command, &mut attr, log) },
            // SAFETY: as above.
            None => unsafe { bpf_fd(command, &mut attr) },
        }?;
        let shape = MapShape::new(params.map_type, params.key_size, params.value_size)?;
        Ok(Self { fd, shape })
    }

    /// Takes an fd, which must be of a map, and asks for the map's sizes.
    ///
    /// # Errors
    /// The fd is of something else, or the kernel does not tell.
    pub fn from_fd(fd: OwnedFd) -> Result<Self, CallError> {
        let fd = raise(fd)?;
        let info = info::map_info(fd.as_fd())?;
        let shape = MapShape::new(info.map_type, info.key_size, info.value_size)?;
        Ok(Self { fd, shape })
    }

    /// The sizes of keys and values.
    #[inline]
    #[must_use]
    pub const fn shape(&self) -> MapShape {
        self.shape
    }

    #[inline]
    fn check_key(&self, command: Command, key: &[u8]) -> Result<(), CallError> {
        check(command, key.len(), self.shape.key_size as usize)
    }

    #[inline]
    fn check_value(&self, command: Command, value: &[u8], flags: u64) -> Result<(), CallError> {
        // The kernel looks at one of them first, whichever it likes.
        const BOTH: u64 = ELEMENT_CPU | ELEMENT_ALL_CPUS;
        if flags & BOTH == BOTH {
            return Err(CallError::new(command.name, Errno::EINVAL));
        }
        check(command, value.len(), self.shape.buffer_size_with(flags))
    }

    #[inline]
    fn element(&self, key: &[u8], value: u64, flags: u64) -> attr::MapElement {
        attr::MapElement {
            map_fd: self.fd.as_raw_fd(),
            pad: 0,
            key: address(key),
            value,
            flags,
        }
    }

    /// Reads the value of `key` into `value` (`BPF_MAP_LOOKUP_ELEM`). `value` is read as well by a
    /// bloom filter, which is asked with it.
    ///
    /// # Errors
    /// `ENOENT` without such an element, `EINVAL` for a slice of the wrong length, and what the
    /// kernel says.
    #[inline]
    pub fn lookup(&self, key: &[u8], value: &mut [u8], flags: u64) -> Result<(), CallError> {
        self.read(Command::MAP_LOOKUP_ELEM, key, value, flags)
    }

    /// Reads the value of `key` and removes the element (`BPF_MAP_LOOKUP_AND_DELETE_ELEM`): for
    /// queues and stacks since 4.20, for hash maps since 5.14.
    ///
    /// # Errors
    /// As [`Self::lookup`].
    #[inline]
    pub fn take(&self, key: &[u8], value: &mut [u8], flags: u64) -> Result<(), CallError> {
        self.read(Command::MAP_LOOKUP_AND_DELETE_ELEM, key, value, flags)
    }

    #[inline]
    fn read(
        &self,
        command: Command,
        key: &[u8],
        value: &mut [u8],
        flags: u64,
    ) -> Result<(), CallError> {
        self.check_key(command, key)?;
        self.check_value(command, value, flags)?;
        let mut attr = self.element(key, address_mut(value), flags);
        // SAFETY: key and value have the lengths that the kernel copies, checked above.
        unsafe { bpf(command, &mut attr) }.map(drop)
    }

    /// Writes an element (`BPF_MAP_UPDATE_ELEM`).
    ///
    /// # Errors
    /// `EINVAL` for a slice of the wrong length, and what the kernel says.
    #[inline]
    pub fn update(&self, key: &[u8], value: &[u8], flags: u64) -> Result<(), CallError> {
        let command = Command::MAP_UPDATE_ELEM;
        self.check_key(command, key)?;
        self.check_value(command, value, flags)?;
        let mut attr = self.element(key, address(value), flags);
        // SAFETY: key and value have the lengths that the kernel copies, checked above.
        unsafe { bpf(command, &mut attr) }.map(drop)
    }

    /// Removes an element (`BPF_MAP_DELETE_ELEM`).
    ///
    /// # Errors
    /// `ENOENT` without such an element, `EINVAL` for a key of the wrong length, and what the
    /// kernel says.
    #[inline]
    pub fn delete(&self, key: &[u8], flags: u64) -> Result<(), CallError> {
        let command = Command::MAP_DELETE_ELEM;
        self.check_key(command, key)?;
        let mut attr = self.element(key, 0, flags);
        // SAFETY: the key has the length that the kernel copies, checked above.
        unsafe { bpf(command, &mut attr) }.map(drop)
    }

    /// The key after `key` in the kernel's own order, or the first (`BPF_MAP_GET_NEXT_KEY`).
    ///
    /// # Errors
    /// `ENOENT` after the last, `EINVAL` for a slice of the wrong length, and what the kernel says.
    #[inline]
    pub fn next_key(&self, key: Option<&[u8]>, next: &mut [u8]) -> Result<(), CallError> {
        let command = Command::MAP_GET_NEXT_KEY;
        self.check_key(command, next)?;
        if let Some(key) = key {
            self.check_key(command, key)?;
        }
        let mut attr = self.element(key.unwrap_or_default(), address_mut(next), 0);
        // SAFETY: both have the length that the kernel copies, checked above.
        unsafe { bpf(command, &mut attr) }.map(drop)
    }

    /// Ends all writing from user space (`BPF_MAP_FREEZE`, 5.2).
    ///
    /// # Errors
    /// `EBUSY` while the map is mapped for writing or frozen already, and what the kernel says.
    pub fn freeze(&self) -> Result<(), CallError> {
        let mut attr = attr::MapFreeze {
            map_fd: self.fd.as_raw_fd(),
        };
        // SAFETY: the attribute holds no address.
        unsafe { bpf(Command::MAP_FREEZE, &mut attr) }.map(drop)
    }

    /// Reads elements from `cursor` on, as many as both slices have room for, and moves it
    /// (`BPF_MAP_LOOKUP_BATCH`, 5.6); with `delete` they are removed as well. Fewer than asked for
    /// and `ENOENT` is the end; `ENOSPC` asks for more room.
    pub fn lookup_batch(
        &self,
        cursor: &mut BatchCursor,
        keys: &mut [u8],
        values: &mut [u8],
        flags: u64,
        delete: bool,
    ) -> BatchOutcome {
        let command = match delete {
            false => Command::MAP_LOOKUP_BATCH,
            true => Command::MAP_LOOKUP_AND_DELETE_BATCH,
        };
        // A hash map's token is a bucket number of 4 bytes, any other's is a key.
        let mut next = vec![0; (self.shape.key_size as usize).max(4)];
        let room = self.batch_of(command, keys, Some(values));
        let outcome = room.map(|count| {
            let mut attr = attr::MapBatch {
                in_batch: address(&cursor.token),
                out_batch: address_mut(&mut next),
                keys: address_mut(keys),
                values: address_mut(values),
                count,
                map_fd: self.fd.as_raw_fd(),
                elem_flags: flags,
                flags: 0,
            };
            // SAFETY: keys and values have room for `count` elements, and the tokens are as long
            // as the longer of the two kinds.
            unsafe { batch(command, &mut attr) }
        });
        let outcome = outcome.unwrap_or_else(BatchOutcome::refused);
        if outcome.result.is_ok() {
            cursor.token = next;
        }
        outcome
    }

    /// Writes elements given as keys and values one after the other (`BPF_MAP_UPDATE_BATCH`, 5.6).
    pub fn update_batch(&self, keys: &[u8], values: &[u8], flags: u64) -> BatchOutcome {
        self.write_batch(Command::MAP_UPDATE_BATCH, keys, Some(values), flags)
    }

    /// Removes elements given as keys one after the other (`BPF_MAP_DELETE_BATCH`, 5.6).
    pub fn delete_batch(&self, keys: &[u8], flags: u64) -> BatchOutcome {
        self.write_batch(Command::MAP_DELETE_BATCH, keys, None, flags)
    }

    fn write_batch(
        &self,
        command: Command,
        keys: &[u8],
        values: Option<&[u8]>,
        flags: u64,
    ) -> BatchOutcome {
        let outcome = self.batch_of(command, keys, values).map(|count| {
            let mut attr = attr::MapBatch {
                keys: address(keys),
                values: address(values.unwrap_or_default()),
                count,
                map_fd: self.fd.as_raw_fd(),
                elem_flags: flags,
                ..Default::default()
            };
            // SAFETY: keys and values hold `count` elements.
            unsafe { batch(command, &mut attr) }
        });
        outcome.unwrap_or_else(BatchOutcome::refused)
    }

    /// How many elements the slices hold.
    fn batch_of(
        &self,
        command: Command,
        keys: &[u8],
        values: Option<&[u8]>,
    ) -> Result<u32, CallError> {
        let sizes = (self.shape.key_size as usize, self.shape.buffer_size);
        let count = keys.len().checked_div(sizes.0);
        let values = values.map_or(count, |values| values.len().checked_div(sizes.1));
        match (count, values) {
            (Some(keys), Some(values)) => u32::try_from(keys.min(values))
                .map_err(|_| CallError::new(command.name, Errno::E2BIG)),
            _ => Err(CallError::new(command.name, Errno::EINVAL)),
        }
    }
}

/// Issues a batch command, again from the start as long as it is interrupted before its first element. A
/// look-up that is interrupted later has got so far, which is no failure.
///
/// # Safety
/// As [`bpf`].
unsafe fn batch(command: Command, attr: &mut attr::MapBatch) -> BatchOutcome {
    let asked = attr.count;
    let is_lookup = attr.out_batch != 0;
    let mut attempt = 1;
    loop {
        attr.count = asked;
        // SAFETY: passed on to the caller.
        let result = unsafe { bpf_once(command, attr) }.map(drop);
        // A call that fails has not dealt with all, unless it fails at the end of the map; one that fails
        // at once leaves what was asked for.
        let is_end = matches!(result, Err(error) if is_lookup && error.errno() == Errno::ENOENT);
        let count = match result {
            Err(_) if attr.count >= asked && !is_end => 0,
            _ => attr.count.min(asked),
        };
        match result {
            Err(error) if error.is_interruption() && count != 0 && is_lookup => {
                return BatchOutcome {
                    count,
                    result: Ok(()),
                };
            }
            Err(error) if error.is_interruption() && count == 0 && attempt < ATTEMPTS => {
                attempt += 1;
            }
            result => return BatchOutcome { count, result },
        }
    }
}

impl BatchOutcome {
    const fn refused(error: CallError) -> Self {
        Self {
            count: 0,
            result: Err(error),
        }
    }
}

impl AsFd for MapFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[inline]
fn check(command: Command, found: usize, expected: usize) -> Result<(), CallError> {
    if found == expected {
        Ok(())
    } else {
        Err(CallError::new(command.name, Errno::EINVAL))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn per_cpu_buffer_holds_all_cpus_padded() {
        let cpus = host::possible_cpus().unwrap();
        let shape = MapShape::new(MapType::PERCPU_HASH, 4, 12).unwrap();
        assert_eq!(shape.buffer_size, cpus * 16);
        assert_eq!(shape.buffer_size_with(ELEMENT_ALL_CPUS), 12);
        let shape = MapShape::new(MapType::HASH, 4, 12).unwrap();
        assert_eq!(shape.buffer_size, 12);
        assert_eq!(shape.buffer_size_with(ELEMENT_CPU), 12);
    }

    #[test]
    fn slices_of_the_wrong_length_never_reach_the_kernel() {
        let fd = std::fs::File::open("/dev/null").unwrap().into();
        let shape = MapShape::new(MapType::HASH, 4, 8).unwrap();
        let map = MapFd { fd, shape };
        let errno = |result: Result<(), CallError>| result.unwrap_err().errno();
        assert_eq!(errno(map.lookup(&[0; 4], &mut [0; 7], 0)), Errno::EINVAL);
        assert_eq!(errno(map.update(&[0; 3], &[0; 8], 0)), Errno::EINVAL);
        assert_eq!(
            errno(map.next_key(Some(&[0; 5]), &mut [0; 4])),
            Errno::EINVAL
        );
        // Lengths that are right do reach it, and it sees that this is no map.
        assert_ne!(errno(map.delete(&[0; 4], 0)), Errno::ENOENT);
    }

    #[test]
    fn batch_counts_whole_elements() {
        let fd = std::fs::File::open("/dev/null").unwrap().into();
        let map = MapFd {
            fd,
            shape: MapShape::new(MapType::HASH, 4, 8).unwrap(),
        };
        let command = Command::MAP_UPDATE_BATCH;
        assert_eq!(map.batch_of(command, &[0; 13], Some(&[0; 17])), Ok(2));
        assert_eq!(map.batch_of(command, &[0; 13], None), Ok(3));
        let keyless = MapFd {
            shape: MapShape::new(MapType::QUEUE, 0, 8).unwrap(),
            ..map
        };
        assert!(keyless.batch_of(command, &[0; 13], None).is_err());
    }
}
