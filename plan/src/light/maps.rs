//! Maps: created, filled, frozen.

use purebpf_insn::MapType;
use purebpf_insn::build::{call, mov64_imm};
use purebpf_insn::opcode::{self as op, DW, W};

use super::attr::{Attr, Endianness as _, map_create, map_freeze, map_update};
use super::builder::{Builder, Place, RESULT, Slot, helper};
use super::context::ContextLayout;
use crate::{Error, MapPlan};

/// Bit of the context's flags: initial values are at addresses of the kernel.
const FROM_KERNEL: i32 = 1;

/// Creates a map; without an index it is the pattern of an inner one.
///
/// # Source
/// libbpf `bpf_gen__map_create`.
pub(super) fn create(
    builder: &mut Builder,
    map: &MapPlan,
    index: Option<usize>,
) -> Result<(), Error> {
    if let Some(inner) = &map.inner {
        // An inner map has none of its own.
        create(builder, inner, None)?;
    }
    let attr = Attr::new(builder.endian, &map_create::COMMAND)
        .words(&[
            (map_create::MAP_TYPE, map.map_type.0),
            (map_create::KEY_SIZE, map.key_size),
            (map_create::VALUE_SIZE, map.value_size),
            (map_create::MAX_ENTRIES, map.max_entries),
            (map_create::FLAGS, map.flags.bits()),
            (map_create::NUMA_NODE, map.numa_node),
            (map_create::IFINDEX, map.ifindex),
            (map_create::KEY_TYPE, map.key_type.0),
            (map_create::VALUE_TYPE, map.value_type.0),
        ])
        .long(map_create::EXTRA, map.map_extra)
        .name(map_create::NAME, &map.kernel_name);
    let attr = builder.attr(&attr)?;
    if !map.value_type.is_void() {
        builder.take_slot(attr.at(map_create::BTF_FD), Slot::Btf);
    }
    let has_inner = matches!(map.map_type, MapType::ARRAY_OF_MAPS | MapType::HASH_OF_MAPS);
    if has_inner {
        builder.take_slot(attr.at(map_create::INNER_MAP_FD), Slot::InnerMap);
    }
    if let Some(index) = index {
        let entries = builder.layout.max_entries(index);
        builder.take_some(attr.at(map_create::MAX_ENTRIES), W, entries)?;
    }
    builder.bpf(&map_create::COMMAND, attr);
    builder.check()?;
    match index {
        Some(index) => builder.put(Builder::map_fd(index), W, RESULT),
        None => builder.keep(Slot::InnerMap),
    }
    match has_inner {
        true => builder.close_slot(Slot::InnerMap),
        false => Ok(()),
    }
}

/// Gives a map of variables its values, those of the context if that has some, and takes the right
/// to write away where they are constant.
///
/// # Source
/// libbpf `bpf_gen__map_update_elem`, `bpf_gen__map_freeze`.
pub(super) fn fill(builder: &mut Builder, map: &MapPlan, index: usize) -> Result<(), Error> {
    if !map.origin.is_internal() {
        return Ok(());
    }
    let size = usize::try_from(map.value_size).unwrap_or(usize::MAX);
    let value = builder.room(map.contents.as_deref().unwrap_or_default(), size)?;
    let key = builder.add(&[0; 4])?;
    given_value(builder, value, map.value_size, index)?;
    update(builder, index, key, value)?;
    if map.freeze {
        let attr = builder.attr(&Attr::new(builder.endian, &map_freeze::COMMAND))?;
        builder.copy(attr.at(map_freeze::MAP_FD), W, Builder::map_fd(index));
        builder.bpf(&map_freeze::COMMAND, attr);
        builder.check()?;
    }
    Ok(())
}

/// Reads a value from where the context says, if it says so.
fn given_value(builder: &mut Builder, to: Place, size: u32, index: usize) -> Result<(), Error> {
    builder.given(DW, 3, builder.layout.initial_value(index));
    let none = builder.jump(op::JEQ, 3, 0);
    builder.address(1, to);
    builder.emit(&[mov64_imm(2, size.cast_signed())]);
    builder.given(W, 0, ContextLayout::FLAGS);
    let from_kernel = builder.jump(op::JSET, 0, FROM_KERNEL);
    builder.emit(&[call(helper::COPY_FROM_USER)]);
    let done = builder.jump(op::JA, 0, 0);
    builder.land(from_kernel)?;
    builder.emit(&[call(helper::PROBE_READ_KERNEL)]);
    builder.land(done)?;
    builder.land(none)
}

/// Puts a map into the slot of another.
///
/// # Source
/// libbpf `bpf_gen__populate_outer_map`.
pub(super) fn put(builder: &mut Builder, map: usize, slot: u32, value: usize) -> Result<(), Error> {
    let key = builder.add(&builder.endian.word(slot))?;
    update(builder, map, key, Builder::map_fd(value))
}

fn update(builder: &mut Builder, map: usize, key: Place, value: Place) -> Result<(), Error> {
    let attr = builder.attr(&Attr::new(builder.endian, &map_update::COMMAND))?;
    builder.copy(attr.at(map_update::MAP_FD), W, Builder::map_fd(map));
    builder.point(attr.at(map_update::KEY), key);
    builder.point(attr.at(map_update::VALUE), value);
    builder.bpf(&map_update::COMMAND, attr);
    builder.check()
}
