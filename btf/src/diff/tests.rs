use super::{Category, Change, Count, Diff, Side, diff};
use crate::builder::{BtfBuilder, NewEnumerator, NewMember, NewParam};
use crate::entries::SecInfo;
use crate::id::TypeId;
use crate::types::{IntEncoding, Linkage};
use crate::{Btf, Error};

fn member(name: &str, ty: TypeId, bit_offset: u32) -> NewMember<'_> {
    NewMember {
        name,
        ty,
        bit_offset,
        bitfield_size: 0,
    }
}

/// A BTF that starts with `int`, `long` and `char *`.
fn btf(fill: impl FnOnce(&mut BtfBuilder, [TypeId; 3])) -> Btf {
    let mut btf = BtfBuilder::new();
    let int = btf.add_int("int", 4, IntEncoding::SIGNED).unwrap();
    let long = btf.add_int("long", 8, IntEncoding::SIGNED).unwrap();
    let char = btf.add_int("char", 1, IntEncoding::SIGNED).unwrap();
    let text = btf.add_ptr(char).unwrap();
    fill(&mut btf, [int, long, text]);
    btf.finish().unwrap()
}

/// What changed, as text.
fn changes(diff: &Diff) -> Vec<String> {
    let of = |changed: &super::Changed| {
        let name = changed.a.name.clone();
        let lines = changed.changes.iter();
        lines
            .map(move |change| format!("{name}: {change}"))
            .collect::<Vec<_>>()
    };
    diff.changed.iter().flat_map(of).collect()
}

#[test]
fn order_and_ids_do_not_matter() {
    let a = btf(|btf, [int, long, _]| {
        btf.add_typedef("one", int).unwrap();
        btf.add_struct("s", 8, &[member("x", long, 0)]).unwrap();
    });
    let b = btf(|btf, [int, long, text]| {
        btf.add_ptr(text).unwrap();
        btf.add_struct("s", 8, &[member("x", long, 0)]).unwrap();
        btf.add_typedef("one", int).unwrap();
    });
    let diff = diff(&a, &b).unwrap();
    assert!(diff.is_empty(), "{diff}");
    let same = |same| Count {
        same,
        ..Count::default()
    };
    assert_eq!(diff.counts[&Category::Number], same(3));
    assert_eq!(diff.counts[&Category::Struct], same(1));
}

#[test]
fn members_are_told_by_name_with_all_that_changed() {
    let a = btf(|btf, [int, long, text]| {
        let members = [
            member("stays", int, 0),
            member("moves", int, 32),
            member("goes", long, 64),
            member("turns", text, 128),
        ];
        btf.add_struct("s", 24, &members).unwrap();
    });
    let b = btf(|btf, [int, long, text]| {
        let text = btf.add_const(text).unwrap();
        let narrow = NewMember {
            bitfield_size: 3,
            ..member("moves", int, 65)
        };
        let members = [
            member("stays", int, 0),
            narrow,
            member("comes", long, 128),
            member("turns", text, 192),
        ];
        btf.add_struct("s", 32, &members).unwrap();
    });
    let diff = diff(&a, &b).unwrap();
    assert_eq!(
        changes(&diff),
        [
            "s: size 24 -> 32",
            "s: `moves`: offset 32 -> 65",
            "s: `moves`: size 0 -> 3",
            "s: `goes` only in the first",
            "s: `turns`: offset 128 -> 192",
            "s: `turns`: type char * -> const char *",
            "s: `comes` only in the second",
        ]
        .map(|line| line.replace("const char *", "char *const"))
    );
}

#[test]
fn anonymous_structs_are_compared_member_by_member() {
    let nested = |offset, count| {
        btf(move |btf, [int, long, _]| {
            let inner = btf
                .add_struct("", 16, &[member("x", int, 0), member("y", long, offset)])
                .unwrap();
            let union = btf
                .add_union("", 16, &[member("", inner, 0), member("z", long, 0)])
                .unwrap();
            let array = btf.add_array(inner, int, count).unwrap();
            let members = [member("", union, 0), member("list", array, 128)];
            btf.add_struct("s", 64, &members).unwrap();
        })
    };
    let diff = diff(&nested(64, 3), &nested(32, 4)).unwrap();
    assert_eq!(
        changes(&diff),
        [
            "s: `y`: offset 64 -> 32",
            "s: `list`: type struct of 16 bytes[3] -> struct of 16 bytes[4]",
            "s: `list[].y`: offset 192 -> 160",
        ]
    );
}

#[test]
fn types_of_one_name_are_matched_with_their_equals_first() {
    let s = |btf: &mut BtfBuilder, ty, size| {
        btf.add_struct("s", size, &[member("x", ty, 0)]).unwrap();
    };
    let a = btf(|btf, [int, long, text]| {
        s(btf, int, 4);
        s(btf, long, 8);
        s(btf, text, 8);
    });
    let b = btf(|btf, [int, long, _]| {
        s(btf, long, 8);
        s(btf, int, 16);
    });
    let diff = diff(&a, &b).unwrap();
    assert_eq!(changes(&diff), ["s: size 4 -> 16"]);
    let [only] = diff.only_a.as_slice() else {
        panic!("{diff}");
    };
    assert_eq!((only.name.as_str(), only.id), ("s", TypeId(7)));
    let count = Count {
        same: 1,
        changed: 1,
        only_a: 1,
        only_b: 0,
    };
    assert_eq!(diff.counts[&Category::Struct], count);
}

#[test]
fn functions_are_told_as_c_writes_them() {
    let with = |variadic: bool| {
        btf(move |btf, [int, _, text]| {
            let returns = btf.add_array(int, int, 2).unwrap();
            let returns = btf.add_ptr(returns).unwrap();
            let inner = btf
                .add_func_proto(returns, &[NewParam { name: "n", ty: int }])
                .unwrap();
            let callback = btf.add_ptr(inner).unwrap();
            let mut params = vec![
                NewParam {
                    name: "name",
                    ty: text,
                },
                NewParam {
                    name: "call",
                    ty: callback,
                },
            ];
            if variadic {
                params.push(NewParam::default());
            }
            let proto = btf.add_func_proto(TypeId::VOID, &params).unwrap();
            btf.add_func("f", Linkage::STATIC, proto).unwrap();
        })
    };
    let diff = diff(&with(false), &with(true)).unwrap();
    let text = "void (char * name, int (*(*)(int n))[2] call";
    assert_eq!(changes(&diff), [format!("f: type {text}) -> {text}, ...)")]);
}

#[test]
fn enums_numbers_variables_and_sections_have_their_own_changes() {
    let make = |encoding, value, wide, linkage, offset| {
        btf(move |btf, [int, ..]| {
            btf.add_int("flag", 1, encoding).unwrap();
            let values = [
                NewEnumerator { name: "A", value },
                NewEnumerator {
                    name: "B",
                    value: 7,
                },
            ];
            match wide {
                true => btf.add_enum64("e", 8, false, &values),
                false => btf.add_enum("e", 4, &values),
            }
            .unwrap();
            btf.add_enum("", 4, &values[1..]).unwrap();
            let var = btf.add_var("v", linkage, int).unwrap();
            let info = SecInfo {
                ty: var,
                offset,
                size: 4,
            };
            btf.add_datasec(".data", 16, &[info]).unwrap();
            btf.add_decl_tag("note", var, -1).unwrap();
        })
    };
    let a = make(IntEncoding::UNSIGNED, 1, false, Linkage::STATIC, 0);
    let b = make(IntEncoding::BOOL, 2, true, Linkage::GLOBAL, 8);
    let diff = diff(&a, &b).unwrap();
    assert_eq!(
        changes(&diff),
        [
            "flag: type unsigned, 8 bits -> bool, 8 bits",
            "e: kind enum -> enum64",
            "e: size 4 -> 8",
            "e: `A`: value 1 -> 2",
            "v: linkage 0 -> 1",
            ".data: `v`: offset 0 -> 8",
        ]
    );
    let same = |category| diff.counts[&category].same;
    assert_eq!((same(Category::Enum), same(Category::Tag)), (1, 1));
}

#[test]
fn declaration_and_definition_of_a_struct_are_one_subject() {
    let a = btf(|btf, _| {
        btf.add_fwd("s", false).unwrap();
    });
    let b = btf(|btf, [int, ..]| {
        btf.add_struct("s", 4, &[member("x", int, 0)]).unwrap();
    });
    let diff = diff(&a, &b).unwrap();
    let [changed] = diff.changed.as_slice() else {
        panic!("{diff}");
    };
    assert_eq!(changed.changes, [Change::Kind("fwd", "struct")]);
}

#[test]
fn typedef_of_an_anonymous_struct_is_compared_like_the_struct() {
    let make = |name: &'static str| {
        btf(move |btf, [int, ..]| {
            let inner = btf.add_struct("", 4, &[member(name, int, 0)]).unwrap();
            btf.add_typedef("t", inner).unwrap();
        })
    };
    let diff = diff(&make("x"), &make("y")).unwrap();
    let [changed] = diff.changed.as_slice() else {
        panic!("{diff}");
    };
    let only = |side, name: &str| Change::Only(side, name.to_owned());
    assert_eq!(changed.changes, [only(Side::A, "x"), only(Side::B, "y")]);
}

#[test]
fn another_order_of_the_same_members_is_a_change() {
    let make = |names: [&'static str; 2]| {
        btf(move |btf, [int, ..]| {
            btf.add_union("u", 4, &names.map(|name| member(name, int, 0)))
                .unwrap();
        })
    };
    let diff = diff(&make(["x", "y"]), &make(["y", "x"])).unwrap();
    assert_eq!(changes(&diff), ["u: another order"]);
}

#[test]
fn display_lists_all_and_counts() {
    let a = btf(|btf, [int, ..]| {
        btf.add_typedef("only", int).unwrap();
        btf.add_typedef("both", int).unwrap();
    });
    let b = btf(|btf, [int, long, _]| {
        btf.add_typedef("both", long).unwrap();
        btf.add_typedef("new", int).unwrap();
    });
    let text = diff(&a, &b).unwrap().to_string();
    assert_eq!(
        text,
        "- typedef only\n\
         + typedef new\n\
         ! typedef both\n    type int -> long\n\
         number: 3 the same, 0 changed, 0 only in the first, 0 only in the second\n\
         typedef: 0 the same, 1 changed, 1 only in the first, 1 only in the second\n"
    );
}

#[test]
fn nesting_beyond_reason_ends() {
    let wide = btf(|btf, [int, ..]| {
        let mut inner = int;
        for _ in 0..40 {
            let members = [member("a", inner, 0), member("b", inner, 0)];
            inner = btf.add_union("", 4, &members).unwrap();
        }
        btf.add_union("u", 4, &[member("x", inner, 0)]).unwrap();
    });
    let error = diff(&wide, &wide).unwrap_err();
    assert!(matches!(error, Error::TooComplex { .. }), "{error}");
    let itself = btf(|btf, [int, ..]| {
        let id = TypeId(btf.len());
        btf.add_struct("", 4, &[member("x", id, 0), member("y", int, 0)])
            .unwrap();
        btf.add_typedef("t", id).unwrap();
    });
    assert!(diff(&itself, &itself).unwrap().is_empty());
}
