use std::sync::Arc;

use super::*;
use crate::builder::{BtfBuilder, NewEnumerator};
use crate::error::Error;
use crate::kind::Kind;
use crate::raw::Header;
use crate::testing::at;
use crate::types::{IntEncoding, Linkage, TypeKind};

fn int(btf: &mut BtfBuilder) -> TypeId {
    btf.add_int("int", 4, IntEncoding::SIGNED).unwrap()
}

/// `struct b { struct a *a; }`, with whatever `a` is.
fn b_of(btf: &mut BtfBuilder, a: TypeId) -> TypeId {
    let ptr = btf.add_ptr(a).unwrap();
    btf.add_struct("b", 8, &[at("a", ptr, 0)]).unwrap()
}

fn a_of_int(btf: &mut BtfBuilder) -> TypeId {
    let int = int(btf);
    btf.add_struct("a", 4, &[at("x", int, 0)]).unwrap()
}

fn dedup(btf: &BtfBuilder) -> Dedup {
    btf.finish().unwrap().dedup().unwrap()
}

fn kinds(btf: &Btf) -> Vec<&'static str> {
    btf.own_ids()
        .map(|id| btf.ty(id).unwrap().kind.name())
        .collect()
}

fn count(btf: &Btf, kind: Kind) -> usize {
    kinds(btf)
        .iter()
        .filter(|name| **name == kind.name())
        .count()
}

#[test]
fn what_is_there_twice_is_left_once() {
    let mut unit = BtfBuilder::new();
    let a = a_of_int(&mut unit);
    let b = b_of(&mut unit, a);
    unit.add_const(b).unwrap();
    let proto = unit.add_func_proto(b, &[]).unwrap();
    unit.add_func("f", Linkage::GLOBAL, proto).unwrap();
    let unit = unit.finish().unwrap();

    let mut twice = BtfBuilder::new();
    twice.add_btf(&unit).unwrap();
    twice.add_btf(&unit).unwrap();
    let mut copy = BtfBuilder::new();
    copy.add_btf(&unit).unwrap();
    let Dedup { btf, ids } = dedup(&twice);
    assert_eq!(btf.raw_bytes(), copy.finish().unwrap().raw_bytes());
    let once: Vec<_> = unit.own_ids().collect();
    assert_eq!(ids, [once.clone(), once].concat());
}

#[test]
fn declaration_becomes_the_struct_that_its_graph_names() {
    // Two different structs `a`, so the name alone would not do.
    for definition_first in [true, false] {
        let mut btf = BtfBuilder::new();
        let other = btf.add_struct("a", 0, &[]).unwrap();
        btf.add_ptr(other).unwrap();
        let mut units: [fn(&mut BtfBuilder); 2] = [
            |btf| {
                let a = a_of_int(btf);
                b_of(btf, a);
            },
            |btf| {
                let a = btf.add_fwd("a", false).unwrap();
                b_of(btf, a);
            },
        ];
        if !definition_first {
            units.reverse();
        }
        for unit in units {
            unit(&mut btf);
        }
        let Dedup { btf, .. } = dedup(&btf);
        assert_eq!((count(&btf, Kind::Fwd), count(&btf, Kind::Struct)), (0, 3));
        let b = btf.find("b", Kind::Struct).unwrap();
        let ptr = btf.ty(b).unwrap().kind.composite().unwrap().members.get(0);
        let TypeKind::Ptr(a) = btf.ty(ptr.unwrap().ty).unwrap().kind else {
            panic!("no pointer");
        };
        assert_eq!(btf.resolve_size(a).unwrap(), 4);
    }
}

#[test]
fn declaration_becomes_the_only_struct_of_its_name() {
    let mut btf = BtfBuilder::new();
    a_of_int(&mut btf);
    for is_union in [false, true] {
        let fwd = btf.add_fwd("a", is_union).unwrap();
        btf.add_ptr(fwd).unwrap();
    }
    let Dedup { btf, ids } = dedup(&btf);
    assert_eq!(kinds(&btf), ["int", "struct", "ptr", "fwd", "ptr"]);
    assert_eq!(ids, [1, 2, 2, 3, 4, 5].map(TypeId));
}

#[test]
fn declaration_of_one_of_two_structs_stays() {
    let mut btf = BtfBuilder::new();
    let int = int(&mut btf);
    for name in ["x", "y"] {
        btf.add_struct("a", 4, &[at(name, int, 0)]).unwrap();
    }
    btf.add_fwd("a", false).unwrap();
    assert_eq!(dedup(&btf).btf.len(), 5);
}

#[test]
fn declared_enum_becomes_the_defined_one() {
    let value = [NewEnumerator {
        name: "ONE",
        value: 1,
    }];
    for definition_first in [true, false] {
        let mut btf = BtfBuilder::new();
        if definition_first {
            btf.add_enum64("e", 8, false, &value).unwrap();
        }
        btf.add_enum("e", 4, &[]).unwrap();
        if !definition_first {
            btf.add_enum64("e", 8, false, &value).unwrap();
        }
        let Dedup { btf, ids } = dedup(&btf);
        assert_eq!((kinds(&btf), ids), (vec!["enum64"], vec![TypeId(1); 2]));
    }
}

#[test]
fn anonymous_enums_are_told_apart_by_their_values() {
    let mut btf = BtfBuilder::new();
    for name in ["A", "B", "A"] {
        btf.add_enum("", 4, &[NewEnumerator { name, value: 0 }])
            .unwrap();
    }
    assert_eq!(dedup(&btf).ids, [1, 2, 1].map(TypeId));
}

#[test]
fn lists_are_compared_though_they_lead_back_to_themselves() {
    let mut btf = BtfBuilder::new();
    for other_at_the_end in [false, false, true] {
        let next = TypeId(btf.len() + 1);
        let node = btf
            .add_struct(
                "node",
                16,
                &[at("next", next, 0), at("last", TypeId(next.0 + 1), 0)],
            )
            .unwrap();
        btf.add_ptr(node).unwrap();
        btf.add_ptr(if other_at_the_end { TypeId::VOID } else { node })
            .unwrap();
    }
    let Dedup { btf, .. } = dedup(&btf);
    assert_eq!(count(&btf, Kind::Struct), 2);
    assert_eq!(count(&btf, Kind::Ptr), 3);
}

#[test]
fn unit_may_have_a_type_twice() {
    let mut btf = BtfBuilder::new();
    for _ in 0..2 {
        let int = int(&mut btf);
        // The same array twice, as compilers do it, but once in one of the two units.
        let arrays = [0, 1].map(|_| btf.add_array(int, int, 4).unwrap());
        let second = if btf.len() > 6 { arrays[0] } else { arrays[1] };
        let members = [at("x", arrays[0], 0), at("y", second, 16)];
        btf.add_struct("s", 32, &members).unwrap();
    }
    let Dedup { btf, .. } = dedup(&btf);
    assert_eq!(kinds(&btf), ["int", "array", "struct"]);
}

#[test]
fn variables_and_sections_stay_as_many_as_they_are() {
    let mut btf = BtfBuilder::new();
    let int = int(&mut btf);
    for _ in 0..2 {
        let var = btf.add_var("v", Linkage::GLOBAL, int).unwrap();
        let info = crate::entries::SecInfo {
            ty: var,
            offset: 0,
            size: 4,
        };
        btf.add_datasec(".data", 4, &[info]).unwrap();
    }
    assert_eq!(dedup(&btf).btf.len(), 6);
}

#[test]
fn own_types_go_in_favour_of_the_base() {
    let mut base = BtfBuilder::new();
    let a = a_of_int(&mut base);
    b_of(&mut base, a);
    let base = Arc::new(base.finish().unwrap());

    let mut split = BtfBuilder::new_split(Arc::clone(&base));
    let a = a_of_int(&mut split);
    let b = b_of(&mut split, a);
    let own = split.add_typedef("own", b).unwrap();
    let Dedup { btf, ids } = dedup(&split);
    assert_eq!(btf.own_ids().count(), 1);
    assert_eq!(btf.name(TypeId(base.len())).unwrap(), "own");
    assert_eq!(ids.last(), Some(&TypeId(base.len())));
    assert!(own.0 > base.len());
    assert_eq!(ids[..4], [1, 2, 3, 4].map(TypeId));
    assert_eq!(btf.find("own", Kind::Typedef), Some(TypeId(base.len())));
}

#[test]
fn struct_that_the_base_only_declares_is_not_lost() {
    let mut base = BtfBuilder::new();
    let a = base.add_fwd("a", false).unwrap();
    b_of(&mut base, a);
    let base = Arc::new(base.finish().unwrap());
    let mut split = BtfBuilder::new_split(Arc::clone(&base));
    let a = a_of_int(&mut split);
    b_of(&mut split, a);
    let Dedup { btf, .. } = dedup(&split);
    // The base's `b` has a member whose type nobody knows, so it cannot stand for this one.
    assert_eq!(kinds(&btf), ["int", "struct", "ptr", "struct"]);
}

#[test]
fn ext_is_changed_alike() {
    let mut btf = BtfBuilder::new();
    let int = int(&mut btf);
    let section = btf.add_str("tp").unwrap();
    let access = btf.add_str("0:0").unwrap();
    btf.add_struct("s", 4, &[at("x", int, 0)]).unwrap();
    let again = btf.add_struct("s", 4, &[at("x", int, 0)]).unwrap();
    let btf = btf.finish().unwrap();
    let mut words = vec![0x0001_eb9f, 32, 0, 0, 0, 0, 0, 28];
    words.extend([16, section, 1, 0, again.0, access, 0]);
    let bytes: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
    let ext = BtfExt::parse(bytes).unwrap();
    let (Dedup { btf, .. }, ext) = btf.dedup_with_ext(&ext).unwrap();
    let section = ext.core_relos().sections().next().unwrap();
    assert_eq!(btf.name_at(section.section_name_off).unwrap(), "tp");
    let relocation = section.get(0).unwrap();
    assert_eq!(btf.name_at(relocation.access_str_off).unwrap(), "0:0");
    assert_eq!(btf.find("s", Kind::Struct), Some(relocation.type_id));
}

#[test]
fn loop_without_a_struct_is_an_error() {
    let mut btf = BtfBuilder::new();
    btf.add_ptr(TypeId(2)).unwrap();
    btf.add_const(TypeId(1)).unwrap();
    let error = btf.finish().unwrap().dedup().unwrap_err();
    assert!(
        matches!(error, Error::Depth { id: TypeId(1), .. }),
        "{error}"
    );
}

#[test]
fn look_alikes_do_not_take_for_ever() {
    // Each struct looks like all others, and differs at the end of a long chain of pointers.
    let mut btf = BtfBuilder::new();
    for number in 0..600 {
        let mut ty = btf
            .add_int(&format!("i{number}"), 4, IntEncoding::SIGNED)
            .unwrap();
        for _ in 0..20 {
            ty = btf.add_ptr(ty).unwrap();
        }
        btf.add_struct("s", 8, &[at("x", ty, 0)]).unwrap();
    }
    let before = btf.finish().unwrap();
    assert_eq!(before.dedup().unwrap().btf.len(), before.len());
}

#[test]
fn names_are_compared_as_text() {
    // "int" is there twice, at two offsets, and within "hint".
    let strings = b"\0int\0int\0hint\0";
    let types: Vec<u8> = [1, 5, 10]
        .into_iter()
        .flat_map(|name| [name, (Kind::Int as u32) << 24, 4, 32])
        .flat_map(u32::to_ne_bytes)
        .collect();
    let btf = Btf::parse(Header::assemble(&types, &[], strings).unwrap()).unwrap();
    let Dedup { btf, ids } = btf.dedup().unwrap();
    assert_eq!(ids, [TypeId(1); 3]);
    assert_eq!(btf.end_str(), 5);
}

#[test]
fn strings_known_to_be_unique_change_nothing() {
    let mut unit = BtfBuilder::new();
    let a = a_of_int(&mut unit);
    b_of(&mut unit, a);
    let unit = unit.finish().unwrap();
    let mut twice = BtfBuilder::new();
    for _ in 0..2 {
        twice.add_btf(&unit).unwrap();
    }
    let known = twice.finish().unwrap();
    let unknown = Btf::parse(known.raw_bytes()).unwrap();
    let [known, unknown] = [known, unknown].map(|btf| btf.dedup().unwrap());
    assert_eq!(known.btf.raw_bytes(), unknown.btf.raw_bytes());
    assert_eq!(known.ids, unknown.ids);
}

#[test]
fn builder_may_name_types_by_parts_of_strings() {
    let mut btf = BtfBuilder::new();
    let hint = btf.add_int("hint", 4, IntEncoding::SIGNED).unwrap();
    let offset = btf.add_str("hint").unwrap();
    btf.set_name(hint, offset + 1).unwrap();
    int(&mut btf);
    assert_eq!(dedup(&btf).ids, [TypeId(1); 2]);
}

#[test]
fn structs_that_differ_behind_pointers_stay_apart() {
    let mut btf = BtfBuilder::new();
    let int = int(&mut btf);
    for count in [1, 2, 1] {
        let array = btf.add_array(int, int, count).unwrap();
        let ptr = btf.add_ptr(array).unwrap();
        btf.add_struct("", 8, &[at("type", ptr, 0)]).unwrap();
    }
    let Dedup { btf, ids } = dedup(&btf);
    assert_eq!(count(&btf, Kind::Struct), 2);
    assert_eq!(ids[3], ids[9]);
}

#[test]
fn pointer_to_void_is_no_pointer_to_something() {
    let mut btf = BtfBuilder::new();
    let int = int(&mut btf);
    for target in [int, TypeId::VOID] {
        let ptr = btf.add_ptr(target).unwrap();
        let inner = btf.add_struct("", 8, &[at("p", ptr, 0)]).unwrap();
        btf.add_struct("outer", 8, &[at("inner", inner, 0)])
            .unwrap();
    }
    assert_eq!(count(&dedup(&btf).btf, Kind::Struct), 4);
}
