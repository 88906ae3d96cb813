use super::*;
use crate::builder::{BtfBuilder, NewMember, RawRecord};
use crate::entries::SecInfo;
use crate::kind::Kind;
use crate::types::{IntEncoding, Linkage};

fn member(name: &str, ty: TypeId, bit_offset: u32) -> NewMember<'_> {
    NewMember {
        name,
        ty,
        bit_offset,
        bitfield_size: 0,
    }
}

fn with_int() -> BtfBuilder {
    let mut btf = BtfBuilder::new();
    btf.add_int("int", 4, IntEncoding::SIGNED).unwrap();
    btf
}

const INT: TypeId = TypeId(1);

fn problem(btf: &BtfBuilder) -> String {
    match btf.finish().unwrap().check() {
        Ok(()) => "none".into(),
        Err(error) => error.to_string(),
    }
}

fn change(btf: &mut BtfBuilder, id: TypeId, change: impl FnOnce(&mut RawRecord)) {
    let mut record = btf.raw_record(id).unwrap();
    change(&mut record);
    btf.replace(id, &record).unwrap();
}

#[test]
fn list_that_leads_back_to_itself_is_fine() {
    let mut btf = with_int();
    btf.add_struct(
        "node",
        16,
        &[member("next", TypeId(3), 0), member("x", INT, 64)],
    )
    .unwrap();
    let ptr = btf.add_ptr(TypeId(2)).unwrap();
    // A function that takes itself by way of a struct.
    let proto = btf.add_func_proto(ptr, &[]).unwrap();
    btf.add_func("f", Linkage::GLOBAL, proto).unwrap();
    let var = btf.add_var("v", Linkage::GLOBAL, INT).unwrap();
    let info = SecInfo {
        ty: var,
        offset: 0,
        size: 4,
    };
    btf.add_datasec(".data", 4, &[info]).unwrap();
    btf.add_decl_tag("any\ttext\n", TypeId(2), 1).unwrap();
    assert_eq!(problem(&btf), "none");
}

#[test]
fn each_nonsense_is_named() {
    type Make = fn(&mut BtfBuilder);
    let cases: [(Make, &str); 12] = [
        (
            |btf| change(btf, INT, |record| record.extra = vec![33]),
            "bits outside",
        ),
        (
            |btf| {
                btf.add_struct("s", 4, &[member("x", INT, 8)]).unwrap();
            },
            "behind its end",
        ),
        (
            |btf| {
                btf.add_struct("s", 8, &[member("x", INT, 32), member("y", INT, 0)])
                    .unwrap();
            },
            "not in order",
        ),
        (
            |btf| {
                btf.add_struct("s", 8, &[member("x", TypeId::VOID, 0)])
                    .unwrap();
            },
            "without a size",
        ),
        (
            |btf| {
                btf.add_array(TypeId::VOID, INT, 2).unwrap();
            },
            "elements without",
        ),
        (
            |btf| {
                let ptr = btf.add_ptr(INT).unwrap();
                btf.add_array(INT, ptr, 2).unwrap();
            },
            "no integer",
        ),
        (
            |btf| {
                let array = btf.add_array(INT, INT, u32::MAX).unwrap();
                btf.add_array(array, INT, u32::MAX).unwrap();
            },
            "counted",
        ),
        (
            |btf| {
                btf.add_decl_tag("tag", INT, -1).unwrap();
            },
            "cannot have a tag",
        ),
        (
            |btf| {
                let s = btf.add_struct("s", 4, &[member("x", INT, 0)]).unwrap();
                btf.add_decl_tag("tag", s, 1).unwrap();
            },
            "does not exist",
        ),
        (
            |btf| {
                btf.add_typedef("two words", INT).unwrap();
            },
            "name",
        ),
        (
            |btf| {
                let info = SecInfo {
                    ty: INT,
                    offset: 0,
                    size: 4,
                };
                btf.add_datasec(".data", 4, &[info]).unwrap();
            },
            "no variable",
        ),
        (
            |btf| {
                btf.add_union("u", 8, &[member("x", INT, 0)]).unwrap();
                change(btf, TypeId(2), |record| record.extra[2] = 32);
            },
            "start at 0",
        ),
    ];
    for (make, expected) in cases {
        let mut btf = with_int();
        make(&mut btf);
        let found = problem(&btf);
        assert!(found.contains(expected), "{expected}: {found}");
    }
}

#[test]
fn endless_types_are_found() {
    let mut btf = with_int();
    btf.add_struct("a", 4, &[member("b", TypeId(3), 0)])
        .unwrap();
    btf.add_typedef("b", TypeId(2)).unwrap();
    assert!(problem(&btf).contains("contains itself"));

    let mut btf = with_int();
    btf.add_ptr(TypeId(3)).unwrap();
    btf.add_const(TypeId(2)).unwrap();
    assert!(problem(&btf).contains("refers to itself"));

    // Far longer than any stack.
    let mut btf = with_int();
    for next in 3..100_000 {
        btf.add_ptr(TypeId(next)).unwrap();
    }
    btf.add_ptr(INT).unwrap();
    assert_eq!(problem(&btf), "none");
}

#[test]
fn kernel_passes() {
    let Some(data) = crate::testing::kernel_btf("kernel_passes") else {
        return;
    };
    let btf = Btf::parse(data).unwrap();
    assert_eq!(
        btf.find("int", Kind::Int).map(|id| id.is_void()),
        Some(false)
    );
    btf.check().unwrap();
}
