//! One map as the file declares it, and how the BTF of `.maps` is read.

use std::path::PathBuf;

use purebpf_btf::{Btf, Composite, TypeId, TypeKind};
use purebpf_insn::{MapFlags, MapType};

use super::struct_ops::StructOpsSpec;
use crate::Error;

/// Where a map comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MapOrigin {
    /// A definition in `.maps`.
    Declared,
    /// Writable global variables (`.data*`).
    Data,
    /// Constant global variables (`.rodata*`): frozen once loaded.
    Rodata,
    /// Global variables that begin as zero (`.bss*`).
    Bss,
    /// Values of the kernel's configuration (`.kconfig`): frozen once loaded.
    Kconfig,
    /// A struct with functions for the kernel (`.struct_ops*`).
    StructOps,
}

impl MapOrigin {
    /// Whether the map holds variables rather than elements.
    #[must_use]
    pub const fn is_internal(self) -> bool {
        !matches!(self, Self::Declared | Self::StructOps)
    }

    pub(crate) const fn is_constant(self) -> bool {
        matches!(self, Self::Rodata | Self::Kconfig)
    }
}

/// What happens to a map that is pinned, if one is pinned at its place already, or none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PinPolicy {
    /// The one that is pinned is used, if it is compatible; else one is created and pinned.
    #[default]
    ReuseOrCreate,
    /// The one that is pinned is used, if it is compatible; that there is none is an error.
    Reuse,
    /// One is created, and takes the place of what is pinned in one step, once everything is
    /// loaded. Whoever holds the old one keeps it.
    Replace,
}

/// What a map's slot is filled with once everything is loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Slot {
    /// A map of the same object, by name.
    Map(String),
    /// A program of the same object, by name.
    Program(String),
}

/// One map of an object, editable until it is loaded.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MapSpec {
    /// Name by which the object knows it.
    pub name: String,
    /// Name by which the kernel knows it, at most 15 bytes of it.
    pub kernel_name: String,
    /// Type.
    pub map_type: MapType,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value.
    pub value_size: u32,
    /// Elements, or bytes of a ring buffer, or pages of an arena.
    pub max_entries: u32,
    /// Flags of `BPF_MAP_CREATE`.
    pub flags: MapFlags,
    /// Type-specific extra word.
    pub map_extra: u64,
    /// NUMA node; of effect with [`MapFlags::NUMA_NODE`].
    pub numa_node: u32,
    /// Network device, for offload.
    pub ifindex: u32,
    /// Type of a key in the object's BTF; [`TypeId::VOID`] if none is given.
    pub key_type: TypeId,
    /// Type of a value in the object's BTF; [`TypeId::VOID`] if none is given.
    pub value_type: TypeId,
    /// Whether the definition asks for pinning by name (`LIBBPF_PIN_BY_NAME`).
    pub pin_by_name: bool,
    /// Where it is pinned, and taken from if it is there already; wins over `pin_by_name`.
    pub pin_path: Option<PathBuf>,
    /// What happens if a map is pinned there already.
    pub pin_policy: PinPolicy,
    /// The only program of the object that may use it, by name (6.18): the kernel refuses every
    /// other, and user space may not change that program.
    #[doc(alias = "bpf_map__set_exclusive_program")]
    pub exclusive_program: Option<String>,
    /// For maps of maps: what an inner map is like.
    pub inner: Option<Box<Self>>,
    /// Whether the map is created. Programs that use one that is not are refused by the verifier.
    #[doc(alias = "bpf_map__set_autocreate")]
    pub autocreate: bool,
    /// Where it comes from.
    pub origin: MapOrigin,
    /// Initial value of an internal map, or of the variables in an arena; nothing stands for zeros.
    pub contents: Option<Vec<u8>>,
    /// What the slots of a map of maps or a program array are filled with; a hole is `None`.
    pub slots: Vec<Option<Slot>>,
    /// Section and offset of the definition.
    pub(crate) place: (usize, u64),
    /// Of an internal map: its section, by which BTF and users know it.
    pub(crate) section: Option<String>,
    /// Of a struct_ops map: its struct and programs.
    pub(crate) struct_ops: Option<StructOpsSpec>,
}

/// Types that may carry a `values` member.
const WITH_VALUES: [MapType; 3] = [
    MapType::ARRAY_OF_MAPS,
    MapType::HASH_OF_MAPS,
    MapType::PROG_ARRAY,
];

impl MapSpec {
    pub(crate) fn new(name: &str, origin: MapOrigin, place: (usize, u64)) -> Self {
        Self {
            name: name.to_owned(),
            kernel_name: name.to_owned(),
            map_type: MapType::UNSPEC,
            key_size: 0,
            value_size: 0,
            max_entries: 0,
            flags: MapFlags::empty(),
            map_extra: 0,
            numa_node: 0,
            ifindex: 0,
            key_type: TypeId::VOID,
            value_type: TypeId::VOID,
            pin_by_name: false,
            pin_path: None,
            pin_policy: PinPolicy::default(),
            exclusive_program: None,
            inner: None,
            autocreate: true,
            origin,
            contents: None,
            slots: Vec::new(),
            place,
            section: None,
            struct_ops: None,
        }
    }

    /// Reads a definition: the struct that the macros `__uint`, `__type`, `__array` and `__ulong`
    /// make.
    ///
    /// # Source
    /// libbpf `parse_btf_map_def`.
    pub(crate) fn from_btf(
        btf: &Btf,
        definition: Composite<'_>,
        name: &str,
        place: (usize, u64),
        relaxed: bool,
    ) -> Result<Self, Error> {
        let mut map = Self::new(name, MapOrigin::Declared, place);
        Definition {
            btf,
            relaxed,
            is_inner: false,
        }
        .read(&mut map, definition)?;
        Ok(map)
    }

    /// Whether a place in a section of definitions is in that of this map.
    pub(crate) fn covers(&self, section: usize, offset: u64) -> bool {
        let (own, start) = self.place;
        let end = start.saturating_add(self.value_size.into());
        self.struct_ops.is_some() && own == section && (start..end).contains(&offset)
    }

    /// Of a map of variables: the section that they are in.
    #[must_use]
    pub fn section(&self) -> Option<&str> {
        self.section.as_deref()
    }

    /// Whether users may know the map by this name, beside its own.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.kernel_name == name || self.section.as_deref() == Some(name)
    }

    pub(crate) fn fail(&self, what: impl Into<String>) -> Error {
        Error::Map {
            map: self.name.clone(),
            what: what.into(),
        }
    }
}

/// Reads the members of one definition.
struct Definition<'a> {
    btf: &'a Btf,
    relaxed: bool,
    is_inner: bool,
}

impl Definition<'_> {
    fn read(&self, map: &mut MapSpec, definition: Composite<'_>) -> Result<(), Error> {
        let name = &map.name;
        let context = |source| Error::btf(format!("map `{name}`: its definition in BTF"))(source);
        let mut members = Vec::new();
        for member in definition.members() {
            let field = self.btf.name_at(member.name_off).map_err(context)?;
            members.push((field, member.ty));
        }
        let count = members.len();
        for (index, (field, ty)) in members.into_iter().enumerate() {
            let is_last = index.saturating_add(1) == count;
            self.member(map, field, ty, is_last)?;
        }
        if map.map_type == MapType::UNSPEC {
            return Err(map.fail("its definition gives no type"));
        }
        Ok(())
    }

    fn member(
        &self,
        map: &mut MapSpec,
        field: &str,
        ty: TypeId,
        is_last: bool,
    ) -> Result<(), Error> {
        match field {
            "type" => map.map_type = MapType(self.uint(map, field, ty)?),
            "max_entries" => map.max_entries = self.uint(map, field, ty)?,
            "map_flags" => map.flags = MapFlags::from_bits_retain(self.uint(map, field, ty)?),
            "numa_node" => map.numa_node = self.uint(map, field, ty)?,
            "key_size" => {
                let size = self.uint(map, field, ty)?;
                map.key_size = agree(map, "key", map.key_size, size)?;
            }
            "value_size" => {
                let size = self.uint(map, field, ty)?;
                map.value_size = agree(map, "value", map.value_size, size)?;
            }
            "key" => {
                let (id, size) = self.type_and_size(map, field, ty)?;
                map.key_size = agree(map, "key", map.key_size, size)?;
                map.key_type = id;
            }
            "value" => {
                let (id, size) = self.type_and_size(map, field, ty)?;
                map.value_size = agree(map, "value", map.value_size, size)?;
                map.value_type = id;
            }
            "values" => self.values(map, ty, is_last)?,
            "pinning" => {
                if self.is_inner {
                    return Err(map.fail("an inner map cannot be pinned"));
                }
                map.pin_by_name = match self.uint(map, field, ty)? {
                    0 => false,
                    1 => true,
                    other => {
                        return Err(map.fail(format!(
                            "pinning is {other}, expected 0 (none) or 1 (by name)"
                        )));
                    }
                };
            }
            "map_extra" => map.map_extra = self.ulong(map, field, ty)?,
            _ if self.relaxed => log::debug!("map `{}`: unknown field `{field}`", map.name),
            _ => return Err(map.fail(format!("its definition has an unknown field `{field}`"))),
        }
        Ok(())
    }

    fn kind(&self, map: &MapSpec, id: TypeId) -> Result<TypeKind<'_>, Error> {
        let ty = self.btf.ty(id);
        let context =
            |source| Error::btf(format!("map `{}`: its definition in BTF", map.name))(source);
        ty.map(|ty| ty.kind).map_err(context)
    }

    fn stripped(&self, map: &MapSpec, id: TypeId) -> Result<TypeKind<'_>, Error> {
        let context =
            |source| Error::btf(format!("map `{}`: its definition in BTF", map.name))(source);
        let id = self.btf.skip_mods_and_typedefs(id).map_err(context)?;
        self.kind(map, id)
    }

    /// `__uint`: a pointer to an array whose length is the number.
    fn uint(&self, map: &MapSpec, field: &str, ty: TypeId) -> Result<u32, Error> {
        if let TypeKind::Ptr(target) = self.stripped(map, ty)?
            && let TypeKind::Array { nelems, .. } = self.kind(map, target)?
        {
            return Ok(nelems);
        }
        Err(map.fail(format!("field `{field}` is not an integer made by __uint")))
    }

    /// `__ulong`: an enumeration of one value; `__uint` does as well.
    fn ulong(&self, map: &MapSpec, field: &str, ty: TypeId) -> Result<u64, Error> {
        let Some(values) = self.stripped(map, ty)?.enumerators() else {
            return self.uint(map, field, ty).map(u64::from);
        };
        match (values.get(0), values.len()) {
            // The 64 bits of the value, whatever its sign.
            (Some(only), 1) => Ok((only.value & i128::from(u64::MAX)).try_into().unwrap_or(0)),
            _ => Err(map.fail(format!("field `{field}` is not a number made by __ulong"))),
        }
    }

    /// `__type`: a pointer to the type.
    fn type_and_size(
        &self,
        map: &MapSpec,
        field: &str,
        ty: TypeId,
    ) -> Result<(TypeId, u32), Error> {
        let TypeKind::Ptr(target) = self.kind(map, ty)? else {
            return Err(map.fail(format!("field `{field}` is not a type made by __type")));
        };
        let context = |source| Error::btf(format!("map `{}`: size of `{field}`", map.name))(source);
        let size = self.btf.resolve_size(target).map_err(context)?;
        Ok((target, size))
    }

    /// `__array(values, ...)`: what an inner map, or a program in a slot, is like.
    fn values(&self, map: &mut MapSpec, ty: TypeId, is_last: bool) -> Result<(), Error> {
        if self.is_inner {
            return Err(map.fail("an inner map cannot have inner maps or programs of its own"));
        }
        if !is_last {
            return Err(map.fail("field `values` is not the last one"));
        }
        if !WITH_VALUES.contains(&map.map_type) {
            return Err(map.fail(format!(
                "a map of type {} cannot have `values`",
                map.map_type
            )));
        }
        map.value_size = agree(map, "value", map.value_size, 4)?;
        let bad = |map: &MapSpec| map.fail("field `values` is not one made by __array");
        let TypeKind::Array {
            elem, nelems: 0, ..
        } = self.stripped(map, ty)?
        else {
            return Err(bad(map));
        };
        let TypeKind::Ptr(target) = self.stripped(map, elem)? else {
            return Err(bad(map));
        };
        match self.stripped(map, target)? {
            TypeKind::FuncProto { .. } if map.map_type == MapType::PROG_ARRAY => Ok(()),
            TypeKind::Struct(definition) if map.map_type != MapType::PROG_ARRAY => {
                let name = format!("{}.inner", map.name);
                let mut inner = MapSpec::new(&name, MapOrigin::Declared, map.place);
                Self {
                    is_inner: true,
                    ..*self
                }
                .read(&mut inner, definition)?;
                map.inner = Some(Box::new(inner));
                Ok(())
            }
            _ => Err(bad(map)),
        }
    }
}

/// A size given twice must be the same both times.
fn agree(map: &MapSpec, what: &str, known: u32, size: u32) -> Result<u32, Error> {
    if known != 0 && known != size {
        return Err(map.fail(format!("its {what} size is {known} and {size} at once")));
    }
    Ok(size)
}

/// What the kernel takes for a ring buffer: the next power of two of pages.
///
/// # Source
/// libbpf `adjust_ringbuf_sz`.
pub(crate) fn ring_size(bytes: u32, page_size: u32) -> u32 {
    let pages = bytes.checked_div(page_size).unwrap_or(0);
    let is_whole = pages.checked_mul(page_size) == Some(bytes);
    if bytes == 0 || (is_whole && pages.is_power_of_two()) {
        return bytes;
    }
    // Strictly greater: a whole number of pages that is no power of two goes up as well.
    let next = pages
        .checked_add(1)
        .and_then(u32::checked_next_power_of_two);
    next.and_then(|pages| pages.checked_mul(page_size))
        .unwrap_or(bytes)
}

#[cfg(test)]
mod tests {
    use super::ring_size;

    #[test]
    fn ring_sizes_are_powers_of_two_of_pages() {
        for (asked, got) in [
            (0, 0),
            (1, 4096),
            (4096, 4096),
            (4097, 8192),
            (12288, 16384),
            (1 << 20, 1 << 20),
            (u32::MAX, u32::MAX),
        ] {
            assert_eq!(ring_size(asked, 4096), got, "{asked}");
        }
    }
}
