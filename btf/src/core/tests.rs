//! Each test makes the BTF of an object and that of a kernel, and relocates one for the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{
    AccessSize, KnownTargets, Outcome, RelocationKind as K, Resolution, Resolver, Targets,
};
use crate::builder::{BtfBuilder, NewEnumerator, NewMember, NewParam};
use crate::error::{BoxedError, Error, Result};
use crate::ext::CoreRelo;
use crate::raw::Endian;
use crate::types::{IntEncoding, TypeId};
use crate::{Btf, Kind};

fn at(name: &str, ty: TypeId, bytes: u32) -> NewMember<'_> {
    NewMember {
        name,
        ty,
        bit_offset: bytes * 8,
        bitfield_size: 0,
    }
}

fn bits(name: &str, ty: TypeId, bit_offset: u32, bitfield_size: u8) -> NewMember<'_> {
    NewMember {
        name,
        ty,
        bit_offset,
        bitfield_size,
    }
}

fn value(name: &str, value: i128) -> NewEnumerator<'_> {
    NewEnumerator { name, value }
}

/// A builder with the integers that tests need.
struct Types {
    btf: BtfBuilder,
    int: TypeId,
    long: TypeId,
    unsigned: TypeId,
    byte: TypeId,
}

fn types() -> Types {
    let mut btf = BtfBuilder::new().pointer_size(8);
    let int = btf.add_int("int", 4, IntEncoding::SIGNED).unwrap();
    let long = btf
        .add_int("unsigned long", 8, IntEncoding::UNSIGNED)
        .unwrap();
    let unsigned = btf
        .add_int("unsigned int", 4, IntEncoding::UNSIGNED)
        .unwrap();
    let byte = btf
        .add_int("unsigned char", 1, IntEncoding::UNSIGNED)
        .unwrap();
    Types {
        btf,
        int,
        long,
        unsigned,
        byte,
    }
}

fn relo(local: &mut BtfBuilder, type_id: TypeId, access: &str, kind: K) -> CoreRelo {
    CoreRelo {
        insn_off: 0,
        type_id,
        access_str_off: local.add_str(access).unwrap(),
        kind: kind as u32,
    }
}

fn resolve_all(
    local: &BtfBuilder,
    target: &BtfBuilder,
    relos: &[CoreRelo],
) -> Vec<Result<Resolution>> {
    let main = Arc::new(target.finish().unwrap());
    let mut resolver = Resolver::new(Arc::new(local.finish().unwrap()), main);
    relos.iter().map(|relo| resolver.resolve(relo)).collect()
}

fn resolve(
    local: &mut BtfBuilder,
    target: &BtfBuilder,
    root: TypeId,
    access: &str,
    kind: K,
) -> Result<Resolution> {
    let relo = relo(local, root, access, kind);
    resolve_all(local, target, &[relo]).remove(0)
}

fn outcome(
    local: &mut BtfBuilder,
    target: &BtfBuilder,
    root: TypeId,
    access: &str,
    kind: K,
) -> Outcome {
    resolve(local, target, root, access, kind).unwrap().outcome
}

fn plain(orig: u64, new: u64) -> Outcome {
    Outcome::Value {
        orig,
        new,
        validate: true,
        access: AccessSize::Keep,
    }
}

fn unchecked(orig: u64, new: u64) -> Outcome {
    Outcome::Value {
        orig,
        new,
        validate: false,
        access: AccessSize::Keep,
    }
}

/// `struct task` of an object and of a kernel where everything moved.
fn tasks() -> (Types, TypeId, Types, TypeId) {
    let mut local = types();
    let members = [
        at("pid", local.int, 0),
        at("start", local.long, 8),
        at("gone", local.int, 16),
    ];
    let ours = local.btf.add_struct("task___mine", 24, &members).unwrap();
    let mut target = types();
    let members = [
        at("flags", target.long, 0),
        at("start", target.long, 16),
        at("pid", target.int, 24),
    ];
    let theirs = target.btf.add_struct("task", 32, &members).unwrap();
    (local, ours, target, theirs)
}

#[test]
fn field_byte_offset_moves_with_the_field() {
    let (mut local, ours, target, theirs) = tasks();
    let found = resolve(&mut local.btf, &target.btf, ours, "0:0", K::FieldByteOffset).unwrap();
    assert_eq!(found.outcome, plain(0, 24));
    assert_eq!(
        found.spec_text,
        "<byte_off> [5] struct task___mine.pid (0:0 @ offset 0)"
    );
    assert_eq!(
        (
            found.tried.len(),
            found.tried[0].target.id,
            found.tried[0].target.module
        ),
        (1, theirs, None)
    );
    let matched = found.tried[0].matched.as_ref().unwrap();
    assert_eq!(
        (matched.bit_offset, &matched.indices[..]),
        (192, &[0, 2][..])
    );
    // An index of the pointer multiplies the size of the struct, which differs.
    let found = outcome(&mut local.btf, &target.btf, ours, "2:1", K::FieldByteOffset);
    assert_eq!(found, plain(2 * 24 + 8, 2 * 32 + 16));
}

#[test]
fn missing_field_poisons_all_but_exists() {
    let (mut local, ours, target, _) = tasks();
    let (local, target) = (&mut local.btf, &target.btf);
    for kind in [
        K::FieldByteOffset,
        K::FieldByteSize,
        K::FieldSigned,
        K::FieldLshift,
        K::FieldRshift,
    ] {
        let found = resolve(local, target, ours, "0:2", kind).unwrap();
        assert_eq!(found.outcome, Outcome::Poison, "{kind}");
        assert!(found.tried[0].matched.is_none());
    }
    assert_eq!(
        outcome(local, target, ours, "0:2", K::FieldExists),
        plain(1, 0)
    );
    assert_eq!(
        outcome(local, target, ours, "0:1", K::FieldExists),
        plain(1, 1)
    );
}

#[test]
fn field_byte_size_and_sign_are_the_targets() {
    let mut local = types();
    let ours = local
        .btf
        .add_struct("s", 4, &[at("x", local.int, 0)])
        .unwrap();
    let mut target = types();
    target
        .btf
        .add_struct("s", 8, &[at("x", target.long, 0)])
        .unwrap();
    let (local, target) = (&mut local.btf, &target.btf);
    assert_eq!(
        outcome(local, target, ours, "0:0", K::FieldByteSize),
        plain(4, 8)
    );
    assert_eq!(
        outcome(local, target, ours, "0:0", K::FieldSigned),
        plain(1, 0)
    );
    assert_eq!(
        outcome(local, target, ours, "0:0", K::FieldLshift),
        plain(32, 0)
    );
    assert_eq!(
        outcome(local, target, ours, "0:0", K::FieldRshift),
        plain(32, 0)
    );
}

#[test]
fn signed_enum_fields_are_signed() {
    let mut local = types();
    let unsigned = local.btf.add_enum("e", 4, &[value("A", 1)]).unwrap();
    let ours = local
        .btf
        .add_struct("s", 4, &[at("x", unsigned, 0)])
        .unwrap();
    let mut target = types();
    let signed = target
        .btf
        .add_enum64("e", 8, true, &[value("A", -1)])
        .unwrap();
    target
        .btf
        .add_struct("s", 8, &[at("x", signed, 0)])
        .unwrap();
    assert_eq!(
        outcome(&mut local.btf, &target.btf, ours, "0:0", K::FieldSigned),
        plain(0, 1)
    );
}

#[test]
fn load_width_follows_pointers_and_unsigned_integers_only() {
    let sizes =
        |ours: fn(&mut Types) -> TypeId, theirs: fn(&mut Types) -> TypeId, pointers: u32| {
            let mut local = types();
            let ty = ours(&mut local);
            let root = local.btf.add_struct("s", 8, &[at("x", ty, 0)]).unwrap();
            let mut target = types();
            let ty = theirs(&mut target);
            target.btf.add_struct("s", 8, &[at("x", ty, 0)]).unwrap();
            let target = target.btf.pointer_size(pointers);
            match outcome(&mut local.btf, &target, root, "0:0", K::FieldByteOffset) {
                Outcome::Value { access, .. } => access,
                Outcome::Poison => panic!("poison"),
            }
        };
    let long: fn(&mut Types) -> TypeId = |t| t.long;
    let int: fn(&mut Types) -> TypeId = |t| t.int;
    let unsigned: fn(&mut Types) -> TypeId = |t| t.unsigned;
    let pointer: fn(&mut Types) -> TypeId = |t| t.btf.add_ptr(t.int).unwrap();
    let array: fn(&mut Types) -> TypeId = |t| t.btf.add_array(t.unsigned, t.int, 2).unwrap();
    let longs: fn(&mut Types) -> TypeId = |t| t.btf.add_array(t.long, t.int, 1).unwrap();
    assert_eq!(
        sizes(long, unsigned, 8),
        AccessSize::Change { from: 8, to: 4 }
    );
    assert_eq!(sizes(unsigned, unsigned, 8), AccessSize::Keep);
    assert_eq!(sizes(long, int, 8), AccessSize::Mismatch { from: 8, to: 4 });
    assert_eq!(
        sizes(pointer, pointer, 4),
        AccessSize::Change { from: 8, to: 4 }
    );
    // Arrays count by their elements.
    assert_eq!(sizes(array, array, 8), AccessSize::Keep);
    assert_eq!(
        sizes(array, longs, 8),
        AccessSize::Mismatch { from: 4, to: 8 }
    );
}

#[test]
fn type_id_local_needs_no_target() {
    let mut local = types();
    let anonymous = local
        .btf
        .add_struct("", 4, &[at("x", local.int, 0)])
        .unwrap();
    let found = resolve(&mut local.btf, &types().btf, anonymous, "0", K::TypeIdLocal).unwrap();
    assert_eq!(found.outcome, unchecked(5, 5));
    assert_eq!(found.spec_text, "<local_type_id> [5] struct <anon>");
    assert!(found.tried.is_empty());
    let error = resolve(&mut local.btf, &types().btf, anonymous, "0", K::TypeExists).unwrap_err();
    assert!(error.to_string().contains("has no name"), "{error}");
}

#[test]
fn type_relocations_find_the_type_or_zero() {
    let (mut local, ours, target, theirs) = tasks();
    let other = local.btf.add_struct("other", 8, &[]).unwrap();
    let (local, target) = (&mut local.btf, &target.btf);
    let id = |id: TypeId| u64::from(id.0);
    assert_eq!(
        outcome(local, target, ours, "0", K::TypeIdTarget),
        unchecked(id(ours), id(theirs))
    );
    assert_eq!(
        outcome(local, target, ours, "0", K::TypeExists),
        plain(1, 1)
    );
    assert_eq!(
        outcome(local, target, ours, "0", K::TypeSize),
        plain(24, 32)
    );
    assert_eq!(
        outcome(local, target, other, "0", K::TypeIdTarget),
        unchecked(id(other), 0)
    );
    assert_eq!(
        outcome(local, target, other, "0", K::TypeExists),
        plain(1, 0)
    );
    assert_eq!(outcome(local, target, other, "0", K::TypeSize), plain(8, 0));
    assert_eq!(
        outcome(local, target, other, "0", K::TypeMatches),
        plain(1, 0)
    );
}

#[test]
fn candidates_are_of_the_same_kind() {
    let mut local = types();
    let name = local.btf.add_typedef("name", local.int).unwrap();
    let mut target = types();
    target
        .btf
        .add_struct("name", 4, &[at("x", target.int, 0)])
        .unwrap();
    assert_eq!(
        outcome(&mut local.btf, &target.btf, name, "0", K::TypeExists),
        plain(1, 0)
    );
    target.btf.add_typedef("name", target.long).unwrap();
    assert_eq!(
        outcome(&mut local.btf, &target.btf, name, "0", K::TypeExists),
        plain(1, 1)
    );
    assert_eq!(
        outcome(&mut local.btf, &target.btf, name, "0", K::TypeSize),
        plain(4, 8)
    );
}

#[test]
fn enumerators_are_found_by_essential_name_in_both_widths() {
    let mut local = types();
    let values = [value("A___mine", 1), value("B", -2), value("GONE", 3)];
    let ours = local.btf.add_enum("e", 4, &values).unwrap();
    let mut target = types();
    let values = [value("B", 5), value("A", i128::from(u64::MAX) - 1)];
    target.btf.add_enum64("e", 8, false, &values).unwrap();
    let (local, target) = (&mut local.btf, &target.btf);
    let minus_two = (-2i64).cast_unsigned();
    assert_eq!(
        outcome(local, target, ours, "0", K::EnumvalValue),
        plain(1, u64::MAX - 1)
    );
    assert_eq!(
        outcome(local, target, ours, "1", K::EnumvalValue),
        plain(minus_two, 5)
    );
    assert_eq!(
        outcome(local, target, ours, "2", K::EnumvalValue),
        Outcome::Poison
    );
    assert_eq!(
        outcome(local, target, ours, "1", K::EnumvalExists),
        plain(1, 1)
    );
    assert_eq!(
        outcome(local, target, ours, "2", K::EnumvalExists),
        plain(1, 0)
    );
    let found = resolve(local, target, ours, "1", K::EnumvalValue).unwrap();
    assert_eq!(found.spec_text, "<enumval_value> [5] enum e::B = -2");
}

#[test]
fn unsigned_enum_of_32_bits_is_sign_extended() {
    let mut local = types();
    let ours = local
        .btf
        .add_enum("e", 4, &[value("TOP", u32::MAX.into())])
        .unwrap();
    let target = local.btf.clone();
    let found = outcome(&mut local.btf, &target, ours, "0", K::EnumvalValue);
    assert_eq!(found, plain(u64::MAX, u64::MAX));
}

#[test]
fn anonymous_members_are_passed_without_a_trace() {
    let mut local = types();
    let ours = local
        .btf
        .add_struct("s", 4, &[at("x", local.int, 0)])
        .unwrap();
    let mut target = types();
    let deep = target
        .btf
        .add_union("", 4, &[at("y", target.int, 0), at("x", target.int, 0)])
        .unwrap();
    let deep = target.btf.add_const(deep).unwrap();
    let middle = [at("a", target.int, 0), at("", deep, 4)];
    let middle = target.btf.add_struct("", 8, &middle).unwrap();
    let first = target
        .btf
        .add_struct("", 4, &[at("z", target.int, 0)])
        .unwrap();
    target
        .btf
        .add_struct("s", 16, &[at("", first, 0), at("", middle, 8)])
        .unwrap();
    let found = resolve(&mut local.btf, &target.btf, ours, "0:0", K::FieldByteOffset).unwrap();
    assert_eq!(found.outcome, plain(0, 12));
    let matched = found.tried[0].matched.as_ref().unwrap();
    assert_eq!(matched.indices, [0, 1, 1, 1]);
    assert_eq!(matched.accessors.len(), 2);
    // And the other way round, where the local one is nested.
    let root = target
        .btf
        .finish()
        .unwrap()
        .find("s", Kind::Struct)
        .unwrap();
    let found = resolve(
        &mut target.btf,
        &local.btf,
        root,
        "0:1:1:1",
        K::FieldByteOffset,
    )
    .unwrap();
    assert_eq!(found.outcome, plain(12, 0));
    assert!(
        found
            .spec_text
            .ends_with("struct s.x (0:1:1:1 @ offset 12)"),
        "{}",
        found.spec_text
    );
}

#[test]
fn incompatible_field_is_no_match() {
    let mut local = types();
    let ours = local
        .btf
        .add_struct("s", 4, &[at("x", local.int, 0)])
        .unwrap();
    let mut target = types();
    let inner = target.btf.add_struct("inner", 4, &[]).unwrap();
    let theirs = [at("x", inner, 0), at("y", target.int, 4)];
    target.btf.add_struct("s", 8, &theirs).unwrap();
    assert_eq!(
        outcome(&mut local.btf, &target.btf, ours, "0:0", K::FieldExists),
        plain(1, 0)
    );
}

#[test]
fn fields_are_compatible_by_kind_and_enum_name() {
    let compatible = |ours: fn(&mut Types) -> TypeId, theirs: fn(&mut Types) -> TypeId| {
        let (mut local, mut target) = (types(), types());
        let ty = ours(&mut local);
        let root = local.btf.add_struct("s", 8, &[at("x", ty, 0)]).unwrap();
        let ty = theirs(&mut target);
        target.btf.add_struct("s", 8, &[at("x", ty, 0)]).unwrap();
        outcome(&mut local.btf, &target.btf, root, "0:0", K::FieldExists) == plain(1, 1)
    };
    assert!(compatible(|t| t.int, |t| t.long));
    assert!(compatible(
        |t| t.btf.add_ptr(t.int).unwrap(),
        |t| t.btf.add_ptr(t.long).unwrap()
    ));
    assert!(!compatible(|t| t.btf.add_ptr(t.int).unwrap(), |t| t.long));
    assert!(compatible(
        |t| t.btf.add_float("f", 4).unwrap(),
        |t| t.btf.add_float("d", 8).unwrap()
    ));
    assert!(compatible(
        |t| t.btf.add_struct("a", 4, &[]).unwrap(),
        |t| t.btf.add_union("b", 4, &[]).unwrap()
    ));
    assert!(compatible(
        |t| t.btf.add_array(t.int, t.int, 2).unwrap(),
        |t| t.btf.add_array(t.long, t.int, 9).unwrap()
    ));
    assert!(compatible(
        |t| t.btf.add_enum("e___1", 4, &[]).unwrap(),
        |t| t.btf.add_enum64("e", 8, false, &[]).unwrap()
    ));
    assert!(compatible(
        |t| t.btf.add_enum("", 4, &[]).unwrap(),
        |t| t.btf.add_enum("e", 4, &[]).unwrap()
    ));
    assert!(!compatible(
        |t| t.btf.add_enum("d", 4, &[]).unwrap(),
        |t| t.btf.add_enum("e", 4, &[]).unwrap()
    ));
    assert!(!compatible(
        |t| t.btf.add_enum("e", 4, &[]).unwrap(),
        |t| t.int
    ));
}

/// `struct s { u32 pad:3, x:5, wide:20 }` here, other places there.
fn bitfields() -> (Types, TypeId, Types) {
    let mut local = types();
    let members = [
        bits("pad", local.unsigned, 0, 3),
        bits("x", local.unsigned, 3, 5),
        bits("s", local.int, 8, 20),
    ];
    let ours = local.btf.add_struct("s", 4, &members).unwrap();
    let mut target = types();
    let members = [
        at("first", target.long, 0),
        bits("x", target.byte, 64 + 14, 5),
        bits("s", target.unsigned, 96 + 4, 20),
    ];
    target.btf.add_struct("s", 16, &members).unwrap();
    (local, ours, target)
}

#[test]
fn bitfields_give_storage_and_shifts_in_both_byte_orders() {
    let (mut local, ours, target) = bitfields();
    let relos: Vec<CoreRelo> = [
        K::FieldByteOffset,
        K::FieldByteSize,
        K::FieldSigned,
        K::FieldLshift,
        K::FieldRshift,
    ]
    .into_iter()
    .map(|kind| relo(&mut local.btf, ours, "0:1", kind))
    .collect();
    for endian in [Endian::Little, Endian::Big] {
        let load = |btf: &BtfBuilder| Arc::new(Btf::parse(btf.to_bytes(endian).unwrap()).unwrap());
        let mut resolver = Resolver::new(load(&local.btf), load(&target.btf));
        let found: Vec<Outcome> = relos
            .iter()
            .map(|relo| resolver.resolve(relo).unwrap().outcome)
            .collect();
        // Bits 78 to 82 pass the end of byte 9 and of the 2 bytes around it, but not of bytes 8 to 11.
        let (orig, new) = match endian {
            Endian::Little => (64 - 8, 64 - (14 + 5)),
            Endian::Big => (4 * 8 + 3, 4 * 8 + 14),
        };
        let expected = [
            unchecked(0, 8),
            unchecked(4, 4),
            plain(0, 0),
            unchecked(orig, new),
            plain(64 - 5, 64 - 5),
        ];
        assert_eq!(found, expected, "{endian:?}");
    }
}

#[test]
fn bitfield_that_no_load_reaches_is_an_error() {
    let (mut local, ours, _) = bitfields();
    let mut target = types();
    target
        .btf
        .add_struct("s", 24, &[bits("x", target.long, 60, 5)])
        .unwrap();
    let error = resolve(&mut local.btf, &target.btf, ours, "0:1", K::FieldByteOffset).unwrap_err();
    let Error::Candidate { source, .. } = &error else {
        panic!("{error}")
    };
    assert!(
        source.to_string().contains("no load of 8 bytes"),
        "{source}"
    );
}

#[test]
fn bitfield_against_a_plain_field_has_no_common_width() {
    let (mut local, ours, _) = bitfields();
    let mut target = types();
    target
        .btf
        .add_struct("s", 8, &[at("x", target.unsigned, 4)])
        .unwrap();
    assert_eq!(
        outcome(&mut local.btf, &target.btf, ours, "0:1", K::FieldByteOffset),
        Outcome::Value {
            orig: 0,
            new: 4,
            validate: false,
            access: AccessSize::Mismatch { from: 0, to: 4 }
        }
    );
}

#[test]
fn array_elements_are_bounded_by_the_target() {
    let mut local = types();
    let array = local.btf.add_array(local.int, local.int, 8).unwrap();
    let ours = local.btf.add_struct("s", 32, &[at("a", array, 0)]).unwrap();
    let mut target = types();
    let array = target.btf.add_array(target.int, target.int, 5).unwrap();
    target
        .btf
        .add_struct("s", 24, &[at("x", target.int, 0), at("a", array, 4)])
        .unwrap();
    let (local, target) = (&mut local.btf, &target.btf);
    assert_eq!(
        outcome(local, target, ours, "0:0:4", K::FieldByteOffset),
        plain(16, 20)
    );
    assert_eq!(
        outcome(local, target, ours, "0:0:4", K::FieldByteSize),
        plain(4, 4)
    );
    assert_eq!(
        outcome(local, target, ours, "0:0:5", K::FieldExists),
        plain(1, 0)
    );
    let found = resolve(local, target, ours, "0:0:4", K::FieldByteOffset).unwrap();
    assert!(
        found.spec_text.ends_with("s.a[4] (0:0:4 @ offset 16)"),
        "{}",
        found.spec_text
    );
    let error = resolve(local, target, ours, "0:0:8", K::FieldByteOffset)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("`0:0:8`") && error.contains("more elements"),
        "{error}"
    );
    let error = resolve(local, target, ours, "0:0:4", K::FieldSigned).unwrap_err();
    assert!(
        matches!(&error, Error::Candidate { source, .. } if source.to_string().contains("array element")),
        "{error}"
    );
}

#[test]
fn flexible_arrays_have_no_bound() {
    let mut local = types();
    let array = local.btf.add_array(local.int, local.int, 0).unwrap();
    let last = [at("n", local.int, 0), at("a", array, 4)];
    let ours = local.btf.add_struct("s", 4, &last).unwrap();
    let not_last = local
        .btf
        .add_struct("t", 8, &[at("a", array, 0), at("n", local.int, 4)])
        .unwrap();
    let mut target = types();
    let array = target.btf.add_array(target.int, target.int, 0).unwrap();
    target
        .btf
        .add_struct("s", 8, &[at("n", target.long, 0), at("a", array, 8)])
        .unwrap();
    let (local, target) = (&mut local.btf, &target.btf);
    assert_eq!(
        outcome(local, target, ours, "0:1:7", K::FieldByteOffset),
        plain(4 + 28, 8 + 28)
    );
    let error = resolve(local, target, not_last, "0:0:1", K::FieldExists)
        .unwrap_err()
        .to_string();
    assert!(error.contains("more elements"), "{error}");
}

#[test]
fn candidates_that_agree_are_one() {
    let mut local = types();
    let ours = local
        .btf
        .add_struct("s", 4, &[at("x", local.int, 0)])
        .unwrap();
    let mut target = types();
    for flavour in ["s", "s___2", "s___3"] {
        target
            .btf
            .add_struct(flavour, 8, &[at("x", target.int, 4)])
            .unwrap();
    }
    let found = resolve(&mut local.btf, &target.btf, ours, "0:0", K::FieldByteOffset).unwrap();
    assert_eq!((found.outcome, found.tried.len()), (plain(0, 4), 3));
}

#[test]
fn candidates_that_disagree_are_ambiguous_until_narrowed() {
    let mut local = types();
    let members = [at("x", local.int, 0), at("only", local.int, 4)];
    let ours = local.btf.add_struct("s", 8, &members).unwrap();
    let mut target = types();
    target
        .btf
        .add_struct("s", 8, &[at("x", target.int, 4)])
        .unwrap();
    let two = [at("x", target.int, 0), at("only", target.int, 12)];
    target.btf.add_struct("s", 16, &two).unwrap();
    let x = relo(&mut local.btf, ours, "0:0", K::FieldByteOffset);
    let only = relo(&mut local.btf, ours, "0:1", K::FieldByteOffset);
    let error = resolve_all(&local.btf, &target.btf, &[x])
        .remove(0)
        .unwrap_err();
    let Error::Ambiguous {
        first_value,
        second_value,
        ..
    } = &error
    else {
        panic!("{error}")
    };
    assert_eq!((&**first_value, &**second_value), ("4", "0"));
    // Once a relocation excluded a candidate, it is not asked again.
    let found = resolve_all(&local.btf, &target.btf, &[only, x]);
    let outcomes: Vec<_> = found
        .into_iter()
        .map(|found| found.unwrap().outcome)
        .collect();
    assert_eq!(outcomes, [plain(4, 12), plain(0, 0)]);
}

#[test]
fn type_sizes_of_candidates_must_agree() {
    let mut local = types();
    let ours = local.btf.add_struct("s", 8, &[]).unwrap();
    let mut target = types();
    target.btf.add_struct("s", 8, &[]).unwrap();
    target.btf.add_struct("s", 16, &[]).unwrap();
    let (local, target) = (&mut local.btf, &target.btf);
    let error = resolve(local, target, ours, "0", K::TypeSize).unwrap_err();
    assert!(matches!(error, Error::Ambiguous { .. }), "{error}");
    assert_eq!(
        outcome(local, target, ours, "0", K::TypeExists),
        plain(1, 1)
    );
}

/// Counts how often it is asked for modules.
struct Lazy {
    known: KnownTargets,
    asked: AtomicUsize,
}

impl Targets for Lazy {
    fn main(&self) -> &Arc<Btf> {
        &self.known.main
    }

    fn modules(&self) -> Result<&[Arc<Btf>], BoxedError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.known.modules()
    }
}

#[test]
fn modules_are_asked_only_if_the_kernel_has_no_candidate() {
    let mut local = types();
    let in_kernel = local
        .btf
        .add_struct("kernel", 4, &[at("x", local.int, 0)])
        .unwrap();
    let in_module = local
        .btf
        .add_struct("module", 4, &[at("x", local.int, 0)])
        .unwrap();
    let mut main = types();
    main.btf
        .add_struct("kernel", 8, &[at("x", main.int, 4)])
        .unwrap();
    let main = Arc::new(main.btf.finish().unwrap());
    let module = |offset| {
        let mut btf = BtfBuilder::new_split(Arc::clone(&main));
        if let Some(offset) = offset {
            btf.add_struct("module", 16, &[at("x", TypeId(1), offset)])
                .unwrap();
        }
        Arc::new(btf.finish().unwrap())
    };
    let modules = vec![module(None), module(Some(8)), module(Some(8))];
    let known = KnownTargets {
        main: Arc::clone(&main),
        modules,
    };
    let lazy = Lazy {
        known,
        asked: AtomicUsize::new(0),
    };
    let first = relo(&mut local.btf, in_kernel, "0:0", K::FieldByteOffset);
    let second = relo(&mut local.btf, in_module, "0:0", K::FieldByteOffset);
    let mut resolver = Resolver::new(Arc::new(local.btf.finish().unwrap()), &lazy);
    assert_eq!(resolver.resolve(&first).unwrap().outcome, plain(0, 4));
    assert_eq!(lazy.asked.load(Ordering::Relaxed), 0);
    let found = resolver.resolve(&second).unwrap();
    assert_eq!(found.outcome, plain(0, 8));
    let modules: Vec<_> = found
        .tried
        .iter()
        .map(|tried| tried.target.module)
        .collect();
    assert_eq!(modules, [Some(1), Some(2)]);
}

#[test]
fn malformed_access_strings_are_refused() {
    let (mut local, ours, target, _) = tasks();
    let (local, target) = (&mut local.btf, &target.btf);
    let long = vec!["0"; 65].join(":");
    for (access, kind, problem) in [
        ("", K::FieldByteOffset, "list of numbers"),
        (":0", K::FieldByteOffset, "list of numbers"),
        ("0:", K::FieldByteOffset, "list of numbers"),
        ("0:-1", K::FieldByteOffset, "list of numbers"),
        ("0:+1", K::FieldByteOffset, "list of numbers"),
        ("0:x", K::FieldByteOffset, "list of numbers"),
        ("0:4294967296", K::FieldByteOffset, "list of numbers"),
        (&long, K::FieldByteOffset, "64 steps"),
        ("0:3", K::FieldByteOffset, "more members"),
        ("0:0:0", K::FieldByteOffset, "no struct, union or array"),
        ("0:0", K::TypeExists, "must be 0"),
        ("0", K::EnumvalValue, "no enum"),
    ] {
        let error = resolve(local, target, ours, access, kind).unwrap_err();
        assert!(matches!(error, Error::AccessString { .. }), "{error}");
        assert!(error.to_string().contains(problem), "{access}: {error}");
    }
    let error = resolve(local, target, ours, "2147483647", K::FieldByteOffset).unwrap_err();
    assert!(matches!(error, Error::SizeOverflow { .. }), "{error}");
}

#[test]
fn types_match_by_name_and_structure() {
    let matches = |ours: fn(&mut Types) -> TypeId, theirs: fn(&mut Types) -> TypeId| {
        let (mut local, mut target) = (types(), types());
        let ours = ours(&mut local);
        let theirs = theirs(&mut target);
        let (local, target) = (local.btf.finish().unwrap(), target.btf.finish().unwrap());
        super::types_match(&local, ours, &target, theirs).unwrap()
    };
    fn pair(t: &mut Types, name: &str, first: &str) -> TypeId {
        let members = [at(first, t.int, 0), at("b", t.long, 8)];
        t.btf.add_struct(name, 16, &members).unwrap()
    }
    assert!(matches(|t| pair(t, "s___x", "a"), |t| pair(t, "s", "a")));
    assert!(!matches(|t| pair(t, "s", "a"), |t| pair(t, "s", "other")));
    assert!(!matches(|t| pair(t, "s", "a"), |t| pair(t, "z", "a")));
    // Behind a pointer the name is enough, and a declaration is as good as a definition.
    assert!(matches(
        |t| {
            let ty = pair(t, "s", "a");
            t.btf.add_ptr(ty).unwrap()
        },
        |t| {
            let ty = pair(t, "s", "other");
            t.btf.add_ptr(ty).unwrap()
        }
    ));
    assert!(matches(
        |t| {
            let ty = t.btf.add_fwd("s", false).unwrap();
            t.btf.add_ptr(ty).unwrap()
        },
        |t| {
            let ty = pair(t, "s", "a");
            t.btf.add_ptr(ty).unwrap()
        }
    ));
    assert!(!matches(
        |t| {
            let ty = t.btf.add_fwd("s", true).unwrap();
            t.btf.add_ptr(ty).unwrap()
        },
        |t| {
            let ty = pair(t, "s", "a");
            t.btf.add_ptr(ty).unwrap()
        }
    ));
    assert!(!matches(
        |t| t.btf.add_fwd("s", false).unwrap(),
        |t| pair(t, "s", "a")
    ));
    assert!(!matches(|t| t.int, |t| t.unsigned), "names differ");
    assert!(!matches(
        |t| t.btf.add_int("i", 4, IntEncoding::SIGNED).unwrap(),
        |t| t.btf.add_int("i", 8, IntEncoding::SIGNED).unwrap()
    ));
    assert!(!matches(
        |t| t.btf.add_array(t.int, t.int, 2).unwrap(),
        |t| t.btf.add_array(t.int, t.int, 3).unwrap()
    ));
    assert!(matches(
        |t| t.btf.add_enum("e", 8, &[value("A", 1)]).unwrap(),
        |t| t
            .btf
            .add_enum64("e", 8, false, &[value("B", 1), value("A", 2)])
            .unwrap()
    ));
    assert!(!matches(
        |t| t.btf.add_enum("e", 4, &[value("A", 1)]).unwrap(),
        |t| t.btf.add_enum("e", 4, &[value("B", 1)]).unwrap()
    ));
    fn proto(t: &mut Types, params: &[TypeId]) -> TypeId {
        let params: Vec<_> = params
            .iter()
            .map(|ty| NewParam { name: "", ty: *ty })
            .collect();
        t.btf.add_func_proto(t.int, &params).unwrap()
    }
    assert!(matches(
        |t| proto(t, &[t.int, t.long]),
        |t| proto(t, &[t.int, t.long])
    ));
    assert!(!matches(
        |t| proto(t, &[t.int]),
        |t| proto(t, &[t.int, t.long])
    ));
    assert!(!matches(|t| proto(t, &[t.int]), |t| proto(t, &[t.long])));
}

#[test]
fn type_matches_relocation_is_one_or_zero() {
    let mut local = types();
    let ours = local
        .btf
        .add_struct("s", 4, &[at("x", local.int, 0)])
        .unwrap();
    let mut target = types();
    target
        .btf
        .add_struct("s", 8, &[at("x", target.long, 0)])
        .unwrap();
    let (local, target) = (&mut local.btf, &mut target.btf);
    assert_eq!(
        outcome(local, target, ours, "0", K::TypeMatches),
        plain(1, 0)
    );
    assert_eq!(
        outcome(local, target, ours, "0", K::TypeExists),
        plain(1, 1)
    );
    let same = local.clone();
    assert_eq!(
        outcome(local, &same, ours, "0", K::TypeMatches),
        plain(1, 1)
    );
}

#[test]
fn types_are_compatible_whatever_their_names() {
    let (mut local, mut target) = (types(), types());
    let proto = |t: &mut Types, ty, name| {
        let ptr = t.btf.add_ptr(ty).unwrap();
        t.btf
            .add_func_proto(t.int, &[NewParam { name, ty: ptr }])
            .unwrap()
    };
    let ours = local.btf.add_struct("a", 4, &[]).unwrap();
    let ours = proto(&mut local, ours, "p");
    let theirs = target.btf.add_struct("b", 8, &[]).unwrap();
    let same = proto(&mut target, theirs, "q");
    let union = target.btf.add_union("a", 8, &[]).unwrap();
    let other = proto(&mut target, union, "p");
    let (local, target) = (local.btf.finish().unwrap(), target.btf.finish().unwrap());
    assert!(super::types_compatible(&local, ours, &target, same).unwrap());
    assert!(!super::types_compatible(&local, ours, &target, other).unwrap());
    assert!(super::types_compatible(&local, TypeId(1), &target, TypeId(2)).unwrap());
    assert!(!super::types_compatible(&local, TypeId(1), &target, theirs).unwrap());
    assert!(super::types_compatible(&local, TypeId::VOID, &target, TypeId::VOID).unwrap());
}

#[test]
fn hostile_nesting_ends_in_an_error() {
    // Each anonymous struct holds the one before twice: 2^40 paths to search for a field.
    let mut target = types();
    let mut inner = target
        .btf
        .add_struct("", 4, &[at("y", target.int, 0)])
        .unwrap();
    for _ in 0..40 {
        inner = target
            .btf
            .add_struct("", 8, &[at("", inner, 0), at("", inner, 4)])
            .unwrap();
    }
    target.btf.add_struct("s", 8, &[at("", inner, 0)]).unwrap();
    let mut local = types();
    let ours = local
        .btf
        .add_struct("s", 4, &[at("x", local.int, 0)])
        .unwrap();
    let error = resolve(&mut local.btf, &target.btf, ours, "0:0", K::FieldExists).unwrap_err();
    let Error::Candidate { source, .. } = &error else {
        panic!("{error}")
    };
    assert!(matches!(**source, Error::TooComplex { .. }), "{source}");

    // A struct inside itself.
    let mut target = types();
    target
        .btf
        .add_struct("s", 8, &[at("", TypeId(5), 0)])
        .unwrap();
    let error = resolve(&mut local.btf, &target.btf, ours, "0:0", K::FieldExists).unwrap_err();
    let Error::Candidate { source, .. } = &error else {
        panic!("{error}")
    };
    assert!(matches!(**source, Error::Depth { .. }), "{source}");

    // Function types whose parameters are function types, twice each.
    let deep = |t: &mut Types| {
        let mut inner = t.int;
        for _ in 0..31 {
            let params = [NewParam {
                name: "",
                ty: inner,
            }; 2];
            inner = t.btf.add_func_proto(TypeId::VOID, &params).unwrap();
        }
        inner
    };
    let (mut local, mut target) = (types(), types());
    let (ours, theirs) = (deep(&mut local), deep(&mut target));
    let (local, target) = (local.btf.finish().unwrap(), target.btf.finish().unwrap());
    for compare in [super::types_compatible, super::types_match] {
        let error = compare(&local, ours, &target, theirs).unwrap_err();
        assert!(matches!(error, Error::TooComplex { .. }), "{error}");
    }
}
