use std::sync::Arc;

use crate::builder::{BtfBuilder, NewEnumerator, NewMember, NewParam};
use crate::entries::SecInfo;
use crate::id::TypeId;
use crate::raw::{Endian, Header};
use crate::types::{IntEncoding, Linkage, TypeKind};
use crate::{Btf, Error, Kind};

fn parse(types: &[u32], strings: &[u8]) -> Result<Btf, Error> {
    parse_with_layout(types, &[], strings)
}

fn parse_with_layout(types: &[u32], layout: &[u8], strings: &[u8]) -> Result<Btf, Error> {
    let types: Vec<u8> = types.iter().flat_map(|word| word.to_ne_bytes()).collect();
    Btf::parse(Header::assemble(&types, layout, strings).unwrap())
}

fn message(types: &[u32], strings: &[u8]) -> String {
    parse(types, strings).unwrap_err().to_string()
}

const fn info(kind: Kind, vlen: u32) -> u32 {
    (kind as u32) << 24 | vlen
}

/// One type of each kind.
pub(crate) fn zoo() -> BtfBuilder {
    let mut btf = BtfBuilder::new();
    let int = btf.add_int("int", 4, IntEncoding::SIGNED).unwrap();
    let ptr = btf.add_ptr(int).unwrap();
    let array = btf.add_array(ptr, int, 3).unwrap();
    let member = |name, ty, bit_offset| NewMember {
        name,
        ty,
        bit_offset,
        bitfield_size: 0,
    };
    let flags = NewMember {
        name: "flags",
        ty: int,
        bit_offset: 192,
        bitfield_size: 5,
    };
    let record = btf
        .add_struct("record", 32, &[member("table", array, 0), flags])
        .unwrap();
    btf.add_union("choice", 24, &[member("a", array, 0), member("", int, 0)])
        .unwrap();
    let value = |name, value| NewEnumerator { name, value };
    btf.add_enum("sign", 4, &[value("MINUS", -1), value("PLUS", 1)])
        .unwrap();
    btf.add_fwd("opaque", false).unwrap();
    let name = btf.add_typedef("record_t", record).unwrap();
    let name = btf.add_volatile(name).unwrap();
    let name = btf.add_const(name).unwrap();
    btf.add_restrict(ptr).unwrap();
    let params = [
        NewParam { name: "x", ty: int },
        NewParam {
            name: "",
            ty: TypeId::VOID,
        },
    ];
    let proto = btf.add_func_proto(int, &params).unwrap();
    let func = btf.add_func("run", Linkage::GLOBAL, proto).unwrap();
    let var = btf.add_var("state", Linkage::STATIC, name).unwrap();
    btf.add_datasec(
        ".bss",
        40,
        &[SecInfo {
            ty: var,
            offset: 8,
            size: 32,
        }],
    )
    .unwrap();
    btf.add_float("double", 8).unwrap();
    btf.add_decl_tag("hot", func, -1).unwrap();
    btf.add_type_tag("user", int).unwrap();
    btf.add_enum64("wide", 8, false, &[value("TOP", u64::MAX.into())])
        .unwrap();
    btf
}

#[test]
fn every_kind_reads_back_in_both_byte_orders() {
    let first = zoo().finish().unwrap();
    let dump = |btf: &Btf| -> Vec<String> {
        btf.ids()
            .map(|id| format!("{} {:?}", btf.name(id).unwrap(), btf.ty(id).unwrap()))
            .collect()
    };
    for endian in [Endian::Little, Endian::Big] {
        let btf = Btf::parse(zoo().to_bytes(endian).unwrap()).unwrap();
        assert_eq!(btf.endian(), endian);
        assert_eq!(dump(&btf), dump(&first));
        assert_eq!(btf.raw_bytes(), first.raw_bytes());
        assert_eq!(btf.to_bytes(endian), zoo().to_bytes(endian).unwrap());
    }
    let kinds: Vec<_> = first
        .ids()
        .map(|id| first.ty(id).unwrap().kind.id().unwrap())
        .collect();
    for kind in Kind::ALL.into_iter().skip(1) {
        assert!(kinds.contains(&kind), "{kind}");
    }
}

#[test]
fn records_say_what_was_put_in() {
    let btf = zoo().finish().unwrap();
    let ty = |name, kind| btf.ty(btf.find(name, kind).unwrap()).unwrap().kind;
    let TypeKind::Struct(record) = ty("record", Kind::Struct) else {
        panic!()
    };
    let flags = record.members().get(1).unwrap();
    assert_eq!(
        (record.size, flags.bit_offset, flags.bitfield_size),
        (32, 192, 5)
    );
    assert_eq!(btf.name_at(flags.name_off).unwrap(), "flags");
    let TypeKind::Enum {
        signed: true,
        values,
        ..
    } = ty("sign", Kind::Enum)
    else {
        panic!()
    };
    assert_eq!(values.iter().map(|v| v.value).collect::<Vec<_>>(), [-1, 1]);
    let TypeKind::Enum64 {
        signed: false,
        values,
        ..
    } = ty("wide", Kind::Enum64)
    else {
        panic!()
    };
    assert_eq!(values.get(0).unwrap().value, u64::MAX.into());
    let TypeKind::Func { proto, linkage } = ty("run", Kind::Func) else {
        panic!()
    };
    assert_eq!(linkage, Linkage::GLOBAL);
    let TypeKind::FuncProto { params, .. } = btf.ty(proto).unwrap().kind else {
        panic!()
    };
    assert_eq!((params.len(), params.get(1).unwrap().ty), (2, TypeId::VOID));
    let TypeKind::Datasec { size, secinfos } = ty(".bss", Kind::Datasec) else {
        panic!()
    };
    assert_eq!((size, secinfos.get(0).unwrap().offset), (40, 8));
}

#[test]
fn truncation_at_every_byte_is_an_error() {
    let whole = zoo().to_bytes(Endian::HOST).unwrap();
    for len in 0..whole.len() {
        assert!(Btf::parse(&whole[..len]).is_err(), "{len}");
    }
}

/// Asks everything that there is to ask.
pub(crate) fn exercise(btf: &Btf) {
    for id in btf.ids() {
        assert!(!format!("{:?}", btf.ty(id).unwrap()).is_empty());
        drop((btf.name(id), btf.resolve_size(id), btf.align_of(id)));
        drop(btf.skip_mods_and_typedefs(id));
    }
    let _ = (
        btf.find("record", Kind::Struct),
        btf.find_any("run"),
        btf.pointer_size(),
    );
    let _ = btf.essential_candidates("record").count();
}

#[test]
fn every_bit_flipped_never_panics() {
    for endian in [Endian::Little, Endian::Big] {
        let whole = zoo().to_bytes(endian).unwrap();
        for bit in 0..whole.len() * 8 {
            let mut data = whole.clone();
            data[bit / 8] ^= 1 << (bit % 8);
            if let Ok(btf) = Btf::parse(data) {
                exercise(&btf);
            }
        }
    }
}

#[test]
fn type_that_does_not_fit_names_id_and_offset() {
    let ptr = [0, info(Kind::Ptr, 0), 0];
    let text = message(
        &[&ptr[..], &[0, info(Kind::Struct, 0x00ff_ffff), 8, 0, 0, 0]].concat(),
        b"\0",
    );
    assert!(
        text.contains("type [2] at offset 12 needs 201326592 bytes"),
        "{text}"
    );
    let text = message(&[&ptr[..], &[0]].concat(), b"\0");
    assert!(
        text.contains("type [2] at offset 12") && text.contains("4 left"),
        "{text}"
    );
}

#[test]
fn bad_references_name_the_word() {
    let text = message(&[0, info(Kind::Ptr, 0), 2], b"\0");
    assert!(
        text.contains("type [1] at offset 0: word 2 refers to type [2]"),
        "{text}"
    );
    let text = message(&[0, info(Kind::Array, 0), 0, 1, 9, 0], b"\0");
    assert!(text.contains("word 4 refers to type [9]"), "{text}");
    let text = message(&[0, info(Kind::Struct, 2), 8, 0, 1, 0, 0, 7, 0], b"\0");
    assert!(text.contains("word 7 refers to type [7]"), "{text}");
    let text = message(&[0, info(Kind::Datasec, 1), 8, 5, 0, 0], b"\0");
    assert!(text.contains("word 3 refers to type [5]"), "{text}");
}

#[test]
fn bad_names_name_the_word() {
    let text = message(&[4, info(Kind::Fwd, 0), 0], b"\0ab\0");
    assert!(
        text.contains("word 0 is name offset 4, the strings end at 4"),
        "{text}"
    );
    let text = message(&[0, info(Kind::Enum64, 1), 8, 99, 0, 0], b"\0");
    assert!(text.contains("word 3 is name offset 99"), "{text}");
}

#[test]
fn func_must_have_a_proto_on_either_side_of_it() {
    let text = message(&[1, info(Kind::Func, 0), 1], b"\0f\0");
    assert!(
        text.contains("func [1] at offset 0 refers to type [1]"),
        "{text}"
    );
    assert!(
        parse(
            &[1, info(Kind::Func, 0), 2, 0, info(Kind::FuncProto, 0), 0],
            b"\0f\0"
        )
        .is_ok()
    );
    assert!(
        parse(
            &[0, info(Kind::FuncProto, 0), 0, 1, info(Kind::Func, 0), 1],
            b"\0f\0"
        )
        .is_ok()
    );
    // What is not read yet is not taken for the first type.
    let proto = [0, info(Kind::FuncProto, 0), 0];
    let later = [1, info(Kind::Func, 0), 3, 1, info(Kind::Fwd, 0), 0];
    let text = message(&[proto.as_slice(), &later].concat(), b"\0f\0");
    assert!(text.contains("refers to type [3]"), "{text}");
}

#[test]
fn strings_must_start_and_end_with_nul() {
    for (strings, problem) in [(&b""[..], "is empty"), (b"\0a", "end"), (b"a\0", "start")] {
        let text = message(&[], strings);
        assert!(text.contains(problem), "{text}");
    }
}

#[test]
fn unknown_kind_needs_a_layout_and_known_order() {
    let types = [
        1,
        info(Kind::Fwd, 0),
        0,
        1,
        20 << 24 | 2,
        0,
        11,
        12,
        13,
        14,
        15,
    ];
    let text = message(&types, b"\0a\0");
    assert!(
        text.contains("type [2] at offset 12 is of unknown kind 20"),
        "{text}"
    );
    // One more word, and two words for each entry.
    let mut layout = vec![0; 20 * 4];
    layout.extend([4, 8, 0, 0]);
    let btf = parse_with_layout(&types, &layout, b"\0a\0").unwrap();
    assert!(matches!(
        btf.ty(TypeId(2)).unwrap().kind,
        TypeKind::Unknown { kind: 20 }
    ));
    assert_eq!((btf.len(), btf.find("a", Kind::Fwd)), (3, Some(TypeId(1))));
    exercise(&btf);
    let other = match Endian::HOST {
        Endian::Little => Endian::Big,
        Endian::Big => Endian::Little,
    };
    assert!(matches!(
        Btf::parse(btf.to_bytes(other)),
        Err(Error::UnknownKind { kind: 20, .. })
    ));
    layout[80] = 3;
    assert!(parse_with_layout(&types, &layout, b"\0a\0").is_err());
}

#[test]
fn split_continues_ids_and_strings() {
    let base = Arc::new(zoo().finish().unwrap());
    let mut split = BtfBuilder::new_split(Arc::clone(&base));
    let record = base.find("record", Kind::Struct).unwrap();
    let ptr = split.add_ptr(record).unwrap();
    let name = split.add_typedef("handle", ptr).unwrap();
    assert_eq!((ptr.0, name.0), (base.len(), base.len() + 1));
    let split = split.finish().unwrap();
    assert_eq!((split.start_id(), split.len()), (ptr, base.len() + 2));
    assert_eq!(split.name(name).unwrap(), "handle");
    assert_eq!(split.name(record).unwrap(), "record");
    assert_eq!(split.find("record", Kind::Struct), Some(record));
    assert_eq!(split.find_own("record", Kind::Struct), None);
    assert_eq!(split.find_own("handle", Kind::Typedef), Some(name));
    assert_eq!(split.own_ids().collect::<Vec<_>>(), [ptr, name]);
    assert_eq!(split.resolve_size(name).unwrap(), base.pointer_size());
    let text = Btf::parse(split.raw_bytes()).unwrap_err().to_string();
    assert!(
        text.contains("start with a NUL"),
        "without its base: {text}"
    );
}

#[test]
fn empty_btf_has_only_void() {
    let btf = BtfBuilder::new().finish().unwrap();
    assert_eq!((btf.len(), btf.ids().count()), (1, 0));
    assert!(matches!(btf.ty(TypeId::VOID).unwrap().kind, TypeKind::Void));
    assert!(matches!(
        btf.ty(TypeId(1)),
        Err(Error::NoType { len: 1, .. })
    ));
    assert_eq!(btf.find_any("x"), None);
}
