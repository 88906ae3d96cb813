//! What a map is created with.

use std::os::fd::AsFd;

use purebpf_insn::{MapFlags, MapType};
use purebpf_syscall::MapCreate;

use crate::{BtfObject, Map, Token};

/// What [`Map::create`] makes a map of; zero, empty and `None` are the kernel's defaults.
#[doc(alias = "bpf_map_create_opts")]
#[derive(Clone, Debug, Default)]
pub struct MapAttributes {
    /// Name of the handle. The kernel is told the first 15 bytes, if it takes names (4.15).
    pub name: String,
    /// Name that the kernel is told, if it is another one.
    pub kernel_name: Option<String>,
    /// Type.
    pub map_type: MapType,
    /// Bytes of a key; 0 for queues, stacks, bloom filters and ring buffers.
    pub key_size: u32,
    /// Bytes of a value, for one CPU; 0 for ring buffers.
    pub value_size: u32,
    /// Most elements; for a ring buffer, bytes: a power of two and a multiple of the page size.
    pub max_entries: u32,
    /// Flags.
    pub flags: MapFlags,
    /// Hash functions of a bloom filter, address of an arena (5.16).
    pub map_extra: u64,
    /// A map like those that a map of maps will hold.
    pub inner_map: Option<Map>,
    /// NUMA node, with [`MapFlags::NUMA_NODE`].
    pub numa_node: u32,
    /// Network device to offload to, by index.
    pub ifindex: u32,
    /// BTF of key and value (4.18).
    pub btf: Option<BtfObject>,
    /// Type id of the key in `btf`.
    pub btf_key_type_id: u32,
    /// Type id of the value in `btf`.
    pub btf_value_type_id: u32,
    /// Type id of the value in the kernel's BTF, for struct_ops (5.6).
    pub btf_vmlinux_value_type_id: u32,
    /// BTF of the module that the previous id is from (6.9).
    pub value_type_btf: Option<BtfObject>,
    /// Token that allows the call (6.9).
    pub token: Option<Token>,
    /// SHA-256 of the only program that may use the map; empty for any.
    pub exclusive_program_hash: Vec<u8>,
}

impl MapAttributes {
    /// Attributes of a map of this type and these sizes.
    #[must_use]
    pub fn new(map_type: MapType, key_size: u32, value_size: u32, max_entries: u32) -> Self {
        Self {
            map_type,
            key_size,
            value_size,
            max_entries,
            ..Self::default()
        }
    }

    /// Sets the name.
    #[must_use]
    pub fn name(self, name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..self
        }
    }

    /// Sets the flags.
    #[must_use]
    pub fn flags(self, flags: MapFlags) -> Self {
        Self { flags, ..self }
    }

    pub(super) fn params(&self) -> MapCreate<'_> {
        MapCreate {
            map_type: self.map_type,
            key_size: self.key_size,
            value_size: self.value_size,
            max_entries: self.max_entries,
            flags: self.flags,
            name: self.kernel_name.as_deref().unwrap_or(&self.name),
            map_extra: self.map_extra,
            inner_map: self.inner_map.as_ref().map(AsFd::as_fd),
            numa_node: self.numa_node,
            ifindex: self.ifindex,
            btf: self.btf.as_ref().map(AsFd::as_fd),
            btf_key_type_id: self.btf_key_type_id,
            btf_value_type_id: self.btf_value_type_id,
            btf_vmlinux_value_type_id: self.btf_vmlinux_value_type_id,
            value_type_btf: self.value_type_btf.as_ref().map(AsFd::as_fd),
            token: self.token.as_ref().map(AsFd::as_fd),
            exclusive_program_hash: &self.exclusive_program_hash,
        }
    }
}
