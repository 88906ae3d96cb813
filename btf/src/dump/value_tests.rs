use super::ValueText;
use crate::btf::Btf;
use crate::builder::NewParam;
use crate::entries::SecInfo;
use crate::error::Error;
use crate::id::TypeId;
use crate::raw::Endian;
use crate::testing::{at, bits, builder, value};
use crate::types::{IntEncoding, Linkage};

/// On lines, of a little-endian machine.
fn little(btf: &Btf) -> ValueText<'_> {
    ValueText::new(btf).endian(Endian::Little)
}

/// All on one line.
fn compact(btf: &Btf) -> ValueText<'_> {
    little(btf).compact(true)
}

fn text(btf: &Btf, id: TypeId, bytes: &[u8]) -> String {
    compact(btf).to_text(id, bytes).unwrap()
}

#[test]
fn scalars_have_a_cast_and_their_own_notation() {
    let (mut btf, int, char_) = builder();
    let long = btf
        .add_int("unsigned long", 8, IntEncoding::UNSIGNED)
        .unwrap();
    let wide = btf.add_int("__int128", 16, IntEncoding::SIGNED).unwrap();
    let odd = btf.add_int("u24", 4, IntEncoding::UNSIGNED).unwrap();
    let float = btf.add_float("float", 4).unwrap();
    let double = btf.add_float("double", 8).unwrap();
    let long_double = btf.add_float("long double", 16).unwrap();
    let const_int = btf.add_const(int).unwrap();
    let ptr = btf.add_ptr(const_int).unwrap();
    let volatile = btf.add_volatile(int).unwrap();
    let name = btf.add_typedef("name", volatile).unwrap();
    let btf = btf.finish().unwrap();
    for (id, bytes, expected) in [
        (int, (-5i32).to_le_bytes().to_vec(), "(int)-5"),
        (char_, vec![b'x'], "(char)120"),
        (
            long,
            u64::MAX.to_le_bytes().to_vec(),
            "(unsigned long)18446744073709551615",
        ),
        (
            wide,
            (1i128 << 64).to_le_bytes().to_vec(),
            "(__int128)0x10000000000000000",
        ),
        (odd, vec![1, 2, 0, 0], "(u24)513"),
        (float, 1.5f32.to_le_bytes().to_vec(), "(float)1.500000"),
        (
            double,
            (-0.1f64).to_le_bytes().to_vec(),
            "(double)-0.100000",
        ),
        (double, f64::INFINITY.to_le_bytes().to_vec(), "(double)inf"),
        (double, (-f64::NAN).to_le_bytes().to_vec(), "(double)-nan"),
        (
            long_double,
            7u128.to_le_bytes().to_vec(),
            "(long double)0x7",
        ),
        (ptr, 0x1234u64.to_le_bytes().to_vec(), "(int *)0x1234"),
        (ptr, vec![0; 8], "(int *)0x0"),
        (volatile, vec![3, 0, 0, 0], "(int)3"),
        (name, vec![3, 0, 0, 0], "(name)3"),
        (int, vec![3, 0, 0], "(int)<truncated>"),
    ] {
        assert_eq!(text(&btf, id, &bytes), expected);
    }
    assert_eq!(
        compact(&btf)
            .skip_names(true)
            .to_text(ptr, &[0; 8])
            .unwrap(),
        "0x0"
    );
    let big = compact(&btf)
        .endian(Endian::Big)
        .to_text(int, &[0, 0, 1, 0])
        .unwrap();
    assert_eq!(big, "(int)256");
    assert!(matches!(
        compact(&btf).to_text(TypeId::VOID, &[]),
        Err(Error::NoSize { .. })
    ));
}

#[test]
fn members_stand_on_lines_and_zeroes_are_left_out() {
    let (mut btf, int, char_) = builder();
    let text = btf.add_array(char_, int, 4).unwrap();
    let pair = btf.add_array(int, int, 2).unwrap();
    let inner = btf
        .add_struct("inner", 8, &[at("zero", int, 0), at("one", int, 4)])
        .unwrap();
    let either = btf
        .add_union("", 4, &[at("i", int, 0), at("c", char_, 0)])
        .unwrap();
    let members = [
        at("name", text, 0),
        at("pair", pair, 4),
        at("in", inner, 12),
        at("none", inner, 20),
        at("", either, 28),
    ];
    let id = btf.add_struct("s", 32, &members).unwrap();
    let btf = btf.finish().unwrap();
    let mut bytes = b"ab\0c".to_vec();
    for number in [0u32, 7, 0, 1, 0, 0, 65] {
        bytes.extend(number.to_le_bytes());
    }
    let mut lines = little(&btf);
    assert_eq!(
        lines.to_text(id, &bytes).unwrap(),
        "(struct s){\n\t.name = (char[4])[\n\t\t'a',\n\t\t'b',\n\t],\n\
         \t.pair = (int[2])[\n\t\t0,\n\t\t7,\n\t],\n\
         \t.in = (struct inner){\n\t\t.one = (int)1,\n\t},\n\
         \t(union){\n\t\t.i = (int)65,\n\t\t.c = (char)65,\n\t},\n}"
    );
    let mut lines = little(&btf)
        .emit_zeroes(true)
        .emit_strings(true)
        .indent("  ", 1);
    assert_eq!(
        lines.to_text(id, &bytes).unwrap(),
        "  (struct s){\n    .name = (char[4])\"ab\",\n\
         \x20   .pair = (int[2])[\n      0,\n      7,\n    ],\n\
         \x20   .in = (struct inner){\n      .zero = (int)0,\n      .one = (int)1,\n    },\n\
         \x20   .none = (struct inner){\n      .zero = (int)0,\n      .one = (int)0,\n    },\n\
         \x20   (union){\n      .i = (int)65,\n      .c = (char)65,\n    },\n  }"
    );
    assert_eq!(
        little(&btf).to_text(id, &[0; 32]).unwrap(),
        "(struct s){\n}"
    );
}

#[test]
fn only_chars_are_text_and_end_at_their_nul() {
    let (mut btf, int, char_) = builder();
    let byte = btf
        .add_int("unsigned char", 1, IntEncoding::UNSIGNED)
        .unwrap();
    let name = btf.add_array(char_, int, 5).unwrap();
    let mac = btf.add_array(byte, int, 3).unwrap();
    let names = btf.add_array(name, int, 2).unwrap();
    let members = [at("name", name, 0), at("mac", mac, 5), at("next", byte, 8)];
    let id = btf.add_struct("s", 9, &members).unwrap();
    let btf = btf.finish().unwrap();
    let bytes = *b"a\xff\0zz\x00\x41\x00\x42";
    assert_eq!(
        text(&btf, id, &bytes),
        "(struct s){.name = (char[5])['a',-1,],.mac = (unsigned char[3])[0,65,0,],\
         .next = (unsigned char)66,}"
    );
    let all = compact(&btf)
        .emit_zeroes(true)
        .to_text(name, &bytes)
        .unwrap();
    assert_eq!(all, "(char[5])['a',-1,'\\0',]");
    let strings = compact(&btf)
        .emit_strings(true)
        .to_text(names, b"a\xff\0zzwhole")
        .unwrap();
    assert_eq!(strings, "(char[2][5])[\"a\\xff\",['w','h','o','l','e',],]");
}

#[test]
fn arrays_of_structs_have_no_casts_and_keep_zeroes() {
    let (mut btf, int, _) = builder();
    let point = btf
        .add_struct("point", 8, &[at("x", int, 0), at("y", int, 4)])
        .unwrap();
    let points = btf.add_array(point, int, 2).unwrap();
    let btf = btf.finish().unwrap();
    let bytes: Vec<u8> = [0i32, 1, 0, 0]
        .into_iter()
        .flat_map(i32::to_le_bytes)
        .collect();
    assert_eq!(
        text(&btf, points, &bytes),
        "(struct point[2])[{.x = 0,.y = 1,},{.x = 0,.y = 0,},]"
    );
}

#[test]
fn bitfields_are_hexadecimal_and_only_their_bits_count() {
    let (mut btf, int, _) = builder();
    let kind = btf
        .add_enum("kind", 4, &[value("NEGATIVE", -1), value("TWO", 2)])
        .unwrap();
    let members = [
        bits("a", int, 0, 3),
        bits("b", int, 3, 5),
        bits("k", kind, 8, 3),
        bits("l", kind, 11, 3),
    ];
    let id = btf.add_struct("s", 4, &members).unwrap();
    let btf = btf.finish().unwrap();
    assert_eq!(
        text(&btf, id, &[0b1111_1000, 0b0001_0111, 0, 0]),
        "(struct s){.b = (int)0x1f,.k = (enum kind)NEGATIVE,.l = (enum kind)TWO,}"
    );
}

#[test]
fn enums_are_named_or_numbers_or_flags() {
    let (mut btf, ..) = builder();
    let flags = [
        value("AB", 3),
        value("A", 1),
        value("B", 2),
        value("TOP", 1 << 31),
    ];
    let flags = btf.add_enum("flags", 4, &flags).unwrap();
    let wide = btf
        .add_enum64("wide", 8, false, &[value("LOW", 1), value("HIGH", 1 << 63)])
        .unwrap();
    let btf = btf.finish().unwrap();
    let with = |flag, id, value: u64| {
        let bytes = value.to_le_bytes();
        compact(&btf)
            .enum_flags(flag)
            .skip_names(true)
            .to_text(id, &bytes)
            .unwrap()
    };
    for (value, plain, combined) in [
        (2, "B", "B"),
        (3, "AB", "AB"),
        (0x8000_0000, "TOP", "TOP"),
        (0x8000_0002, "2147483650", "B|TOP"),
        (0x8000_0001, "2147483649", "A|TOP"),
        (0x10, "16", "16"),
        (0x12, "18", "18"),
        (0, "0", "0"),
    ] {
        assert_eq!(with(false, flags, value), plain);
        assert_eq!(with(true, flags, value), combined);
    }
    assert_eq!(with(false, wide, 3), "3ULL");
    assert_eq!(with(true, wide, 1 << 63 | 1), "LOW|HIGH");
}

#[test]
fn flexible_array_takes_what_is_behind_the_type() {
    let (mut btf, int, char_) = builder();
    let rest = btf.add_array(int, int, 0).unwrap();
    let text_rest = btf.add_array(char_, int, 0).unwrap();
    let members = [
        at("n", int, 0),
        at("kind", char_, 4),
        at("text", text_rest, 5),
    ];
    let padded = btf.add_struct("padded", 8, &members).unwrap();
    let mark = btf
        .add_struct("mark", 4, &[at("here", rest, 0), at("x", int, 0)])
        .unwrap();
    let id = btf
        .add_struct("s", 4, &[at("n", int, 0), at("rest", rest, 4)])
        .unwrap();
    let btf = btf.finish().unwrap();
    let bytes: Vec<u8> = [2i32, 5, 6]
        .into_iter()
        .flat_map(i32::to_le_bytes)
        .collect();
    assert_eq!(
        text(&btf, id, &bytes),
        "(struct s){.n = (int)2,.rest = (int[0])[5,6,],}"
    );
    assert_eq!(text(&btf, id, &bytes[..4]), "(struct s){.n = (int)2,}");
    assert_eq!(text(&btf, mark, &bytes[..4]), "(struct mark){.x = (int)2,}");
    assert_eq!(
        text(&btf, padded, b"\x02\0\0\0\x01abc\0"),
        "(struct padded){.n = (int)2,.kind = (char)1,.text = (char[0])['a','b','c',],}"
    );
}

#[test]
fn bytes_that_end_early_are_said_to() {
    let (mut btf, int, char_) = builder();
    let three = btf.add_array(int, int, 3).unwrap();
    let either = btf
        .add_union("u", 4, &[at("i", int, 0), at("c", char_, 0)])
        .unwrap();
    let id = btf
        .add_struct(
            "s",
            16,
            &[at("a", three, 0), at("b", int, 12), at("c", int, 12)],
        )
        .unwrap();
    let btf = btf.finish().unwrap();
    assert_eq!(
        text(&btf, id, &[1, 0, 0, 0, 2, 0]),
        "(struct s){.a = (int[3])[1,<truncated>,],}"
    );
    assert_eq!(text(&btf, id, &[1; 12])[..14], *"(struct s){.a ");
    assert!(text(&btf, id, &[1; 12]).ends_with("],.b = (int)<truncated>,}"));
    assert_eq!(
        text(&btf, either, &[1]),
        "(union u){.i = (int)<truncated>,.c = (char)1,}"
    );
}

#[test]
fn sections_list_their_variables() {
    let (mut btf, int, _) = builder();
    let pair = btf
        .add_struct("pair", 8, &[at("a", int, 0), at("b", int, 4)])
        .unwrap();
    let first = btf.add_var("first", Linkage::STATIC, int).unwrap();
    let second = btf.add_var("second", Linkage::GLOBAL, pair).unwrap();
    let info = |ty, offset, size| SecInfo { ty, offset, size };
    let data = btf
        .add_datasec(".data", 12, &[info(first, 0, 4), info(second, 4, 8)])
        .unwrap();
    let btf = btf.finish().unwrap();
    let bytes: Vec<u8> = [1i32, 0, 3]
        .into_iter()
        .flat_map(i32::to_le_bytes)
        .collect();
    assert_eq!(
        text(&btf, data, &bytes),
        "SEC(\".data\") static int first = (int)1;\
         struct pair second = (struct pair){.b = (int)3,};"
    );
    let lines = little(&btf)
        .indent("  ", 1)
        .to_text(second, &bytes[4..])
        .unwrap();
    assert_eq!(
        lines,
        "  struct pair second = (struct pair){\n    .b = (int)3,\n  }"
    );
}

#[test]
fn flexible_array_of_a_variable_ends_with_the_variable() {
    let (mut btf, int, _) = builder();
    let rest = btf.add_array(int, int, 0).unwrap();
    let id = btf
        .add_struct("s", 4, &[at("n", int, 0), at("rest", rest, 4)])
        .unwrap();
    let var = btf.add_var("v", Linkage::GLOBAL, id).unwrap();
    let info = |offset, size| SecInfo {
        ty: var,
        offset,
        size,
    };
    let linked = btf
        .add_datasec(".data", 12, &[info(0, 8), info(8, 4)])
        .unwrap();
    let unlinked = btf.add_datasec(".data", 0, &[info(0, 0)]).unwrap();
    let btf = btf.finish().unwrap();
    let bytes: Vec<u8> = [1i32, 2, 3]
        .into_iter()
        .flat_map(i32::to_le_bytes)
        .collect();
    let printed = |id| compact(&btf).skip_names(true).to_text(id, &bytes).unwrap();
    assert_eq!(
        printed(linked),
        "SEC(\".data\") struct s v = {1,[2,],};struct s v = {3,};"
    );
    assert_eq!(printed(unlinked), "SEC(\".data\") struct s v = {1,};");
}

#[test]
fn text_stays_within_a_multiple_of_the_bytes() {
    let (mut btf, int, char_) = builder();
    let mut twice = int;
    for _ in 0..14 {
        twice = btf
            .add_union("", 4, &[at("a", twice, 0), at("b", twice, 0)])
            .unwrap();
    }
    let many = btf.add_array(twice, int, 1 << 14).unwrap();
    let nothing = btf.add_struct("", 0, &[]).unwrap();
    let endless = btf.add_array(nothing, int, u32::MAX).unwrap();
    let chars = btf.add_array(char_, int, 1 << 16).unwrap();
    let name = "n".repeat(10_000);
    let texts = btf
        .add_union("texts", 1 << 16, &vec![at(&name, chars, 0); 10_000])
        .unwrap();
    let itself = btf.add_typedef("itself", TypeId(23)).unwrap();
    let loop_ = btf.add_struct("loop", 4, &[at("a", itself, 0)]).unwrap();
    let btf = btf.finish().unwrap();
    let bytes = vec![1; 1 << 16];
    for id in [many, endless, texts] {
        let mut printer = ValueText::new(&btf);
        let text = printer.to_text(id, &bytes).unwrap();
        assert!(text.len() < 48 << 20, "{id}: {} bytes", text.len());
        assert!(id == endless || text.contains("<truncated>"), "{id}");
    }
    assert_eq!(loop_, TypeId(23));
    assert!(matches!(
        ValueText::new(&btf).to_text(loop_, &bytes),
        Err(Error::Depth { .. })
    ));
}

#[test]
fn a_section_that_holds_itself_is_refused() {
    let (mut btf, _, _) = builder();
    let info = |ty| SecInfo {
        ty,
        offset: 0,
        size: 4,
    };
    let itself = btf.add_datasec(".itself", 4, &[info(TypeId(3))]).unwrap();
    let one = btf.add_datasec(".one", 4, &[info(TypeId(5))]).unwrap();
    let other = btf.add_datasec(".other", 4, &[info(one)]).unwrap();
    let btf = btf.finish().unwrap();
    for id in [itself, one, other] {
        let result = ValueText::new(&btf).to_text(id, &[1; 4]);
        assert!(matches!(result, Err(Error::Depth { .. })), "{result:?}");
    }
}

#[test]
fn long_names_of_types_count_as_text() {
    let (mut btf, int, _) = builder();
    let name = "n".repeat(10_000);
    let mut prototype = btf.add_struct(&name, 4, &[at("a", int, 0)]).unwrap();
    for _ in 0..10 {
        let param = NewParam {
            name: "",
            ty: prototype,
        };
        let function = btf.add_func_proto(TypeId::VOID, &[param; 2]).unwrap();
        prototype = btf.add_ptr(function).unwrap();
    }
    let two = btf
        .add_struct("two", 16, &[at("a", prototype, 0), at("b", prototype, 8)])
        .unwrap();
    let btf = btf.finish().unwrap();
    let one = ValueText::new(&btf).to_text(prototype, &[1; 8]).unwrap();
    assert!(one.len() > 10_000_000);
    let result = ValueText::new(&btf).to_text(two, &[1; 16]);
    assert!(matches!(result, Err(Error::TextTooLong { .. })));
}
