use std::sync::Arc;

use super::{BtfBuilder, NewEnumerator, NewMember, NewParam, RawRecord};
use crate::entries::SecInfo;
use crate::id::TypeId;
use crate::raw::{Endian, Header};
use crate::types::{IntEncoding, Linkage, TypeKind};
use crate::{Btf, Error, Kind};

fn value(name: &str, value: i128) -> NewEnumerator<'_> {
    NewEnumerator { name, value }
}

fn with_int() -> (BtfBuilder, TypeId) {
    let mut btf = BtfBuilder::new();
    let int = btf.add_int("int", 4, IntEncoding::SIGNED).unwrap();
    (btf, int)
}

#[test]
fn same_string_has_the_same_offset() {
    let mut btf = BtfBuilder::new();
    assert_eq!(btf.add_str("").unwrap(), 0);
    let first = btf.add_str("abc").unwrap();
    let second = btf.add_str("ab").unwrap();
    assert_eq!((first, second, btf.add_str("abc").unwrap()), (1, 5, 1));
    assert!(matches!(btf.add_str("a\0b"), Err(Error::Build { .. })));
    let btf = btf.finish().unwrap();
    assert_eq!(
        (btf.str_at(first).unwrap(), btf.name_at(second).unwrap()),
        (&b"abc"[..], "ab")
    );
    assert!(matches!(
        btf.str_at(8),
        Err(Error::NoString {
            offset: 8,
            limit: 8
        })
    ));
}

#[test]
fn values_that_do_not_fit_are_refused() {
    let (mut btf, int) = with_int();
    let member = NewMember {
        name: "m",
        ty: int,
        bit_offset: 3,
        bitfield_size: 0,
    };
    let far = NewMember {
        bit_offset: 1 << 24,
        bitfield_size: 1,
        ..member
    };
    let inside = NewMember {
        bit_offset: 8,
        ..member
    };
    let results = [
        (btf.add_int("", 4, IntEncoding::SIGNED), "missing name"),
        (btf.add_int("i", 3, IntEncoding::SIGNED), "size"),
        (btf.add_int("i", 4, IntEncoding(8)), "encoding"),
        (btf.add_float("f", 3), "size"),
        (btf.add_typedef("", int), "missing name"),
        (btf.add_struct("s", 4, &[member]), "inside a byte"),
        (btf.add_struct("s", 4, &[far]), "2 MiB"),
        (btf.add_union("u", 4, &[inside]), "offset 0"),
        (btf.add_enum("e", 3, &[]), "size"),
        (btf.add_enum("e", 4, &[value("", 1)]), "without a name"),
        (btf.add_enum("e", 4, &[value("A", 1 << 32)]), "out of range"),
        (
            btf.add_enum("e", 4, &[value("A", -1), value("B", 1 << 31)]),
            "out of range",
        ),
        (
            btf.add_enum64("e", 8, true, &[value("A", 1 << 63)]),
            "out of range",
        ),
        (
            btf.add_enum64("e", 8, false, &[value("A", -1)]),
            "out of range",
        ),
        (btf.add_func("f", Linkage(3), int), "linkage"),
        (btf.add_var("v", Linkage(3), int), "linkage"),
        (btf.add_decl_tag("t", int, -2), "component"),
    ];
    for (result, problem) in results {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(problem), "{problem}: {error}");
    }
    assert_eq!(btf.len(), 2, "nothing was added");
}

#[test]
fn finish_checks_references() {
    let (mut btf, _) = with_int();
    btf.add_ptr(TypeId(3)).unwrap();
    assert!(matches!(
        btf.finish(),
        Err(Error::TypeOutOfRange {
            found: TypeId(3),
            ..
        })
    ));
    btf.add_fwd("later", false).unwrap();
    assert!(btf.finish().is_ok());
}

#[test]
fn patches_change_what_they_name_and_nothing_else() {
    let (mut btf, int) = with_int();
    let param = NewParam { name: "", ty: int };
    let proto = btf.add_func_proto(int, &[param, param]).unwrap();
    let func = btf.add_func("f", Linkage::EXTERN, proto).unwrap();
    let var = btf.add_var("v", Linkage::EXTERN, int).unwrap();
    let infos = [
        SecInfo {
            ty: func,
            offset: 0,
            size: 0,
        },
        SecInfo {
            ty: var,
            offset: 0,
            size: 0,
        },
    ];
    let sec = btf.add_datasec(".ksyms", 0, &infos).unwrap();
    // As when an object is opened: a copy of what was read is changed.
    let mut btf = BtfBuilder::from_btf(&btf.finish().unwrap()).unwrap();
    let ptr = btf.add_ptr(int).unwrap();
    let name = btf.add_str("dummy").unwrap();
    btf.set_func_linkage(func, Linkage::GLOBAL).unwrap();
    btf.set_var_linkage(var, Linkage::GLOBAL).unwrap();
    btf.set_var_type(var, ptr).unwrap();
    btf.set_param_name(proto, 1, name).unwrap();
    let infos = [
        SecInfo {
            ty: var,
            offset: 0,
            size: 4,
        },
        SecInfo {
            ty: var,
            offset: 4,
            size: 4,
        },
    ];
    btf.set_datasec(sec, 8, &infos).unwrap();
    let renamed = btf.add_str(".kconfig").unwrap();
    btf.set_name(sec, renamed).unwrap();
    let btf = btf.finish().unwrap();
    let shown: Vec<String> = [proto, func, var, sec]
        .into_iter()
        .map(|id| format!("{} {:?}", btf.name(id).unwrap(), btf.ty(id).unwrap().kind))
        .collect();
    assert_eq!(
        shown,
        [
            format!(
                " FuncProto {{ ret: TypeId(1), params: [Param {{ name_off: 0, ty: TypeId(1) }}, \
                 Param {{ name_off: {name}, ty: TypeId(1) }}] }}"
            ),
            "f Func { proto: TypeId(2), linkage: Linkage(1) }".to_owned(),
            format!("v Var {{ ty: TypeId({}), linkage: Linkage(1) }}", ptr.0),
            ".kconfig Datasec { size: 8, secinfos: [SecInfo { ty: TypeId(4), offset: 0, size: 4 }, \
             SecInfo { ty: TypeId(4), offset: 4, size: 4 }] }"
                .to_owned(),
        ]
    );
}

#[test]
fn patches_refuse_other_kinds_and_lengths() {
    let (mut btf, int) = with_int();
    let sec = btf.add_datasec(".data", 4, &[]).unwrap();
    let proto = btf
        .add_func_proto(int, &[NewParam { name: "x", ty: int }])
        .unwrap();
    let info = SecInfo {
        ty: int,
        offset: 0,
        size: 4,
    };
    let wrong_kind = btf.set_var_type(int, int).unwrap_err().to_string();
    assert_eq!(wrong_kind, "type [1] is a int, expected var");
    assert!(matches!(
        btf.set_datasec(sec, 4, &[info]),
        Err(Error::RecordLength { .. })
    ));
    assert!(matches!(
        btf.set_param_name(proto, 1, 0),
        Err(Error::RecordLength { .. })
    ));
    assert!(matches!(
        btf.set_param_name(proto, usize::MAX, 0),
        Err(Error::RecordLength { .. })
    ));
    assert!(matches!(
        btf.set_name(TypeId(9), 0),
        Err(Error::NoType { .. })
    ));
    assert!(matches!(
        btf.set_name(TypeId::VOID, 0),
        Err(Error::NoType { .. })
    ));
}

/// Each rewrite that an old kernel asks for, as a change of one record.
#[test]
fn records_turn_into_other_kinds_in_place() {
    let (mut btf, int) = with_int();
    let var = btf.add_var("v", Linkage::GLOBAL, int).unwrap();
    let info = SecInfo {
        ty: var,
        offset: 4,
        size: 4,
    };
    let sec = btf.add_datasec(".data", 8, &[info]).unwrap();
    let proto = btf
        .add_func_proto(int, &[NewParam { name: "x", ty: int }])
        .unwrap();
    let func = btf.add_func("f", Linkage::GLOBAL, proto).unwrap();
    let float = btf.add_float("float", 4).unwrap();
    let tag = btf.add_type_tag("user", int).unwrap();
    let wide = btf
        .add_enum64("w", 8, true, &[value("A", 1), value("B", 2)])
        .unwrap();
    let mut btf = BtfBuilder::from_btf(&btf.finish().unwrap()).unwrap();
    let rewrite = |btf: &mut BtfBuilder, id, change: &dyn Fn(&mut RawRecord)| {
        let mut record = btf.raw_record(id).unwrap();
        change(&mut record);
        btf.replace(id, &record).unwrap();
    };
    rewrite(&mut btf, sec, &|record| {
        record.kind = Kind::Struct;
        record.extra = vec![record.name_off, record.extra[0], record.extra[1] * 8];
    });
    rewrite(&mut btf, var, &|record| {
        (record.kind, record.size_or_type, record.extra) = (Kind::Int, 1, vec![8]);
    });
    rewrite(&mut btf, func, &|record| {
        (record.kind, record.vlen) = (Kind::Typedef, 0)
    });
    rewrite(&mut btf, proto, &|record| {
        (record.kind, record.size_or_type) = (Kind::Enum, 4)
    });
    rewrite(&mut btf, float, &|record| {
        (record.kind, record.name_off) = (Kind::Struct, 0)
    });
    rewrite(&mut btf, tag, &|record| {
        (record.kind, record.name_off) = (Kind::Const, 0)
    });
    let byte = btf
        .add_int("enum64_placeholder", 1, IntEncoding::UNSIGNED)
        .unwrap();
    rewrite(&mut btf, wide, &|record| {
        (record.kind, record.kind_flag) = (Kind::Union, false);
        for member in record.extra.chunks_exact_mut(3) {
            member[1..].copy_from_slice(&[byte.0, 0]);
        }
    });
    let error = btf.replace(int, &btf.raw_record(tag).unwrap()).unwrap_err();
    assert!(
        matches!(
            error,
            Error::RecordLength {
                found: 4,
                new: 3,
                ..
            }
        ),
        "{error}"
    );
    let btf = btf.finish().unwrap();
    let kinds: Vec<_> = btf
        .own_ids()
        .map(|id| btf.ty(id).unwrap().kind.name())
        .collect();
    let expected = [
        "int", "int", "struct", "enum", "typedef", "struct", "const", "union", "int",
    ];
    assert_eq!(kinds, expected);
    let TypeKind::Union(union) = btf.ty(wide).unwrap().kind else {
        panic!()
    };
    assert_eq!(
        union.members().iter().map(|m| m.ty).collect::<Vec<_>>(),
        [byte, byte]
    );
    let TypeKind::Struct(section) = btf.ty(sec).unwrap().kind else {
        panic!()
    };
    assert_eq!(
        (section.size, section.members().get(0).unwrap().bit_offset),
        (8, 32)
    );
}

#[test]
fn layout_survives_editing_until_it_is_dropped() {
    let (mut btf, _) = with_int();
    let types = btf.finish().unwrap();
    let layout: Vec<u8> = (0..20u8).flat_map(|_| [0, 0, 0, 0]).collect();
    let data = Header::assemble(types.words().as_flattened(), &layout, types.strings()).unwrap();
    btf = BtfBuilder::from_btf(&Btf::parse(data.clone()).unwrap()).unwrap();
    assert_eq!(btf.to_bytes(Endian::HOST).unwrap(), data);
    btf.drop_layout();
    assert_eq!(btf.to_bytes(Endian::HOST).unwrap(), types.raw_bytes());
}

#[test]
fn btf_of_a_later_version_is_not_edited() {
    let mut data = with_int().0.to_bytes(Endian::HOST).unwrap();
    data.splice(24..24, [0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
    data[4..8].copy_from_slice(&36u32.to_ne_bytes());
    let btf = Btf::parse(data).unwrap();
    assert!(matches!(
        BtfBuilder::from_btf(&btf),
        Err(Error::Unsupported { .. })
    ));
}

#[test]
fn adding_btf_moves_ids_and_strings() {
    let (mut first, int) = with_int();
    first.add_typedef("one", int).unwrap();
    let (mut second, int) = with_int();
    let ptr = second.add_ptr(int).unwrap();
    second
        .add_struct(
            "s",
            8,
            &[NewMember {
                name: "int",
                ty: ptr,
                ..NewMember::default()
            }],
        )
        .unwrap();
    let second = second.finish().unwrap();
    let start = first.add_btf(&second).unwrap();
    let both = first.finish().unwrap();
    assert_eq!((start, both.len()), (TypeId(3), 6));
    let TypeKind::Struct(composite) = both.ty(TypeId(5)).unwrap().kind else {
        panic!()
    };
    let member = composite.members().get(0).unwrap();
    assert_eq!(
        (member.ty, both.name_at(member.name_off).unwrap()),
        (TypeId(4), "int")
    );
    assert!(matches!(
        both.ty(TypeId(4)).unwrap().kind,
        TypeKind::Ptr(TypeId(3))
    ));
    // A split one only beside its own base.
    let base = Arc::new(second);
    let mut split = BtfBuilder::new_split(Arc::clone(&base));
    split.add_typedef("more", int).unwrap();
    let split = split.finish().unwrap();
    assert!(matches!(
        first.add_btf(&split),
        Err(Error::Unsupported { .. })
    ));
    let mut same = BtfBuilder::new_split(base);
    let added = same.add_btf(&split).unwrap();
    assert!(matches!(
        same.finish().unwrap().ty(added).unwrap().kind,
        TypeKind::Typedef(TypeId(1))
    ));
}

#[test]
fn failed_addition_leaves_nothing_behind() {
    // Each name starts one byte further into the same long string.
    const LEN: u32 = 10_000;
    let mut strings = [b"\0", vec![b'x'; LEN as usize].as_slice(), b"\0"].concat();
    let fine_at = strings.len() as u32;
    strings.extend(b"fine\0");
    let types: Vec<u8> = std::iter::once(fine_at)
        .chain(1..LEN)
        .flat_map(|name| [name, (Kind::Fwd as u32) << 24, 0])
        .flat_map(u32::to_ne_bytes)
        .collect();
    let source = Btf::parse(Header::assemble(&types, &[], &strings).unwrap()).unwrap();
    let (mut target, _) = with_int();
    let before = target.to_bytes(Endian::HOST).unwrap();
    assert!(matches!(
        target.add_btf(&source),
        Err(Error::TooLarge {
            what: "strings that overlap"
        })
    ));
    assert_eq!(target.to_bytes(Endian::HOST).unwrap(), before);
    let fine = target.add_str("fine").unwrap();
    target.add_str("other").unwrap();
    assert_eq!(target.finish().unwrap().name_at(fine).unwrap(), "fine");
}

#[test]
fn strings_of_one_source_are_not_taken_for_those_of_the_next() {
    let sources = ["one", "two", "three"].map(|name| {
        let mut source = BtfBuilder::new();
        source.add_int(name, 4, IntEncoding::SIGNED).unwrap();
        source.finish().unwrap()
    });
    let mut btf = BtfBuilder::new();
    for source in &sources {
        btf.add_btf(source).unwrap();
    }
    let btf = btf.finish().unwrap();
    let names: Vec<_> = btf.own_ids().map(|id| btf.name(id).unwrap()).collect();
    assert_eq!(names, ["one", "two", "three"]);
}
