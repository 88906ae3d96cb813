//! Relocations of fields: offsets, sizes, signs, bit-fields, arrays.

use super::*;
use crate::error::Error;
use crate::raw::Endian;
use crate::{Btf, Kind};

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
    let ours = local.add_struct("s", 4, &[at("x", local.int, 0)]);
    let mut target = types();
    target.add_struct("s", 8, &[at("x", target.long, 0)]);
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
    let ours = local.add_struct("s", 4, &[at("x", unsigned, 0)]);
    let mut target = types();
    let signed = target
        .btf
        .add_enum64("e", 8, true, &[value("A", -1)])
        .unwrap();
    target.add_struct("s", 8, &[at("x", signed, 0)]);
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
            let root = local.add_struct("s", 8, &[at("x", ty, 0)]);
            let mut target = types();
            let ty = theirs(&mut target);
            target.add_struct("s", 8, &[at("x", ty, 0)]);
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
fn anonymous_members_are_passed_without_a_trace() {
    let mut local = types();
    let ours = local.add_struct("s", 4, &[at("x", local.int, 0)]);
    let mut target = types();
    let deep = target
        .btf
        .add_union("", 4, &[at("y", target.int, 0), at("x", target.int, 0)])
        .unwrap();
    let deep = target.btf.add_const(deep).unwrap();
    let middle = [at("a", target.int, 0), at("", deep, 4)];
    let middle = target.add_struct("", 8, &middle);
    let first = target.add_struct("", 4, &[at("z", target.int, 0)]);
    target.add_struct("s", 16, &[at("", first, 0), at("", middle, 8)]);
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
    let ours = local.add_struct("s", 4, &[at("x", local.int, 0)]);
    let mut target = types();
    let inner = target.add_struct("inner", 4, &[]);
    let theirs = [at("x", inner, 0), at("y", target.int, 4)];
    target.add_struct("s", 8, &theirs);
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
        let root = local.add_struct("s", 8, &[at("x", ty, 0)]);
        let ty = theirs(&mut target);
        target.add_struct("s", 8, &[at("x", ty, 0)]);
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
        |t| t.add_struct("a", 4, &[]),
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
    let ours = local.add_struct("s", 4, &members);
    let mut target = types();
    let members = [
        at("first", target.long, 0),
        bits("x", target.byte, 64 + 14, 5),
        bits("s", target.unsigned, 96 + 4, 20),
    ];
    target.add_struct("s", 16, &members);
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
    target.add_struct("s", 24, &[bits("x", target.long, 60, 5)]);
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
    target.add_struct("s", 8, &[at("x", target.unsigned, 4)]);
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
    let ours = local.add_struct("s", 32, &[at("a", array, 0)]);
    let mut target = types();
    let array = target.btf.add_array(target.int, target.int, 5).unwrap();
    target.add_struct("s", 24, &[at("x", target.int, 0), at("a", array, 4)]);
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
    let ours = local.add_struct("s", 4, &last);
    let not_last = local.add_struct("t", 8, &[at("a", array, 0), at("n", local.int, 4)]);
    let mut target = types();
    let array = target.btf.add_array(target.int, target.int, 0).unwrap();
    target.add_struct("s", 8, &[at("n", target.long, 0), at("a", array, 8)]);
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
