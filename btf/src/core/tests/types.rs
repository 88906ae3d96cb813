//! Relocations of types and enumerators; what is compatible and what matches.

use super::*;
use crate::builder::NewParam;
use crate::core::{types_compatible, types_match};

#[test]
fn type_id_local_needs_no_target() {
    let mut local = types();
    let anonymous = local.add_struct("", 4, &[at("x", local.int, 0)]);
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
    let other = local.add_struct("other", 8, &[]);
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
    target.add_struct("name", 4, &[at("x", target.int, 0)]);
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
fn types_match_by_name_and_structure() {
    let matches = |ours: fn(&mut Types) -> TypeId, theirs: fn(&mut Types) -> TypeId| {
        let (mut local, mut target) = (types(), types());
        let ours = ours(&mut local);
        let theirs = theirs(&mut target);
        let (local, target) = (local.btf.finish().unwrap(), target.btf.finish().unwrap());
        types_match(&local, ours, &target, theirs).unwrap()
    };
    fn pair(t: &mut Types, name: &str, first: &str) -> TypeId {
        let members = [at(first, t.int, 0), at("b", t.long, 8)];
        t.add_struct(name, 16, &members)
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
    let ours = local.add_struct("s", 4, &[at("x", local.int, 0)]);
    let mut target = types();
    target.add_struct("s", 8, &[at("x", target.long, 0)]);
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
    let ours = local.add_struct("a", 4, &[]);
    let ours = proto(&mut local, ours, "p");
    let theirs = target.add_struct("b", 8, &[]);
    let same = proto(&mut target, theirs, "q");
    let union = target.btf.add_union("a", 8, &[]).unwrap();
    let other = proto(&mut target, union, "p");
    let (local, target) = (local.btf.finish().unwrap(), target.btf.finish().unwrap());
    assert!(types_compatible(&local, ours, &target, same).unwrap());
    assert!(!types_compatible(&local, ours, &target, other).unwrap());
    assert!(types_compatible(&local, TypeId(1), &target, TypeId(2)).unwrap());
    assert!(!types_compatible(&local, TypeId(1), &target, theirs).unwrap());
    assert!(types_compatible(&local, TypeId::VOID, &target, TypeId::VOID).unwrap());
}
