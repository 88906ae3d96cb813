use super::*;
use crate::builder::{BtfBuilder, NewEnumerator, NewMember};
use crate::entries::SecInfo;
use crate::testing::at;
use crate::types::Linkage;

fn builder() -> (BtfBuilder, TypeId, TypeId) {
    let mut btf = BtfBuilder::new().pointer_size(8);
    let int = btf.add_int("int", 4, IntEncoding::SIGNED).unwrap();
    let char_ = btf.add_int("char", 1, IntEncoding::UNSIGNED).unwrap();
    (btf, int, char_)
}

fn named(name: &str, value: Value) -> (String, Value) {
    (name.to_owned(), value)
}

#[test]
fn scalars_read_by_their_type() {
    let (mut btf, int, char_) = builder();
    let long = btf
        .add_int("unsigned long", 8, IntEncoding::UNSIGNED)
        .unwrap();
    let wide = btf.add_int("__int128", 16, IntEncoding::SIGNED).unwrap();
    let bool_ = btf.add_int("_Bool", 1, IntEncoding::BOOL).unwrap();
    let float = btf.add_float("float", 4).unwrap();
    let double = btf.add_float("double", 8).unwrap();
    let long_double = btf.add_float("long double", 16).unwrap();
    let ptr = btf.add_ptr(int).unwrap();
    let name = btf.add_typedef("name", int).unwrap();
    let name = btf.add_volatile(name).unwrap();
    let btf = btf.finish().unwrap();
    for (id, bytes, value) in [
        (int, (-5i32).to_ne_bytes().to_vec(), Value::Int(-5)),
        (name, (-5i32).to_ne_bytes().to_vec(), Value::Int(-5)),
        (char_, vec![b'x'], Value::Char(b'x')),
        (
            long,
            u64::MAX.to_ne_bytes().to_vec(),
            Value::Uint(u64::MAX.into()),
        ),
        (
            wide,
            i128::MIN.to_ne_bytes().to_vec(),
            Value::Int(i128::MIN),
        ),
        (bool_, vec![1], Value::Bool(true)),
        (float, 1.5f32.to_ne_bytes().to_vec(), Value::Float(1.5)),
        (double, 2.5f64.to_ne_bytes().to_vec(), Value::Float(2.5)),
        (long_double, vec![7; 16], Value::Bytes(vec![7; 16])),
        (
            ptr,
            0x1234u64.to_ne_bytes().to_vec(),
            Value::Pointer(0x1234),
        ),
        (int, vec![0; 3], Value::Truncated),
    ] {
        assert_eq!(decode(&btf, id, &bytes).unwrap(), value);
    }
    assert!(matches!(
        decode(&btf, TypeId::VOID, &[0; 8]),
        Err(Error::NoSize { .. })
    ));
    assert!(matches!(
        decode(&btf, TypeId(99), &[0; 8]),
        Err(Error::NoType { .. })
    ));
}

#[test]
fn enums_have_names_where_the_value_is_known() {
    let (mut btf, ..) = builder();
    let value = |name, value| NewEnumerator { name, value };
    let signed = btf.add_enum("s", 4, &[value("MINUS", -1)]).unwrap();
    let byte = btf.add_enum("b", 1, &[value("TWO", 2)]).unwrap();
    let wide = btf
        .add_enum64("w", 8, false, &[value("TOP", u64::MAX.into())])
        .unwrap();
    let btf = btf.finish().unwrap();
    let is = |id, bytes: &[u8], name: Option<&str>, value| {
        let name = name.map(str::to_owned);
        assert_eq!(
            decode(&btf, id, bytes).unwrap(),
            Value::Enum { name, value }
        );
    };
    is(signed, &(-1i32).to_ne_bytes(), Some("MINUS"), -1);
    is(signed, &7i32.to_ne_bytes(), None, 7);
    is(byte, &[2], Some("TWO"), 2);
    is(wide, &u64::MAX.to_ne_bytes(), Some("TOP"), u64::MAX.into());
}

#[test]
fn structs_nest_and_end_flexibly() {
    let (mut btf, int, char_) = builder();
    let text = btf.add_array(char_, int, 4).unwrap();
    let pair = btf.add_array(int, int, 2).unwrap();
    let rest = btf.add_array(int, int, 0).unwrap();
    let either = btf
        .add_union("", 4, &[at("i", int, 0), at("c", char_, 0)])
        .unwrap();
    let members = [
        at("name", text, 0),
        at("pair", pair, 4),
        at("", either, 12),
        at("rest", rest, 16),
    ];
    let id = btf.add_struct("s", 16, &members).unwrap();
    let btf = btf.finish().unwrap();
    let mut bytes = b"ab\0c".to_vec();
    for number in [1u32, 2, 0, 4, 5] {
        bytes.extend(number.to_ne_bytes());
    }
    let either = vec![named("i", Value::Int(0)), named("c", Value::Char(0))];
    let numbers =
        |numbers: &[i128]| Value::Array(numbers.iter().copied().map(Value::Int).collect());
    let expected = Value::Struct(vec![
        named("name", Value::String(b"ab".to_vec())),
        named("pair", numbers(&[1, 2])),
        named("", Value::Union(either)),
        named("rest", numbers(&[4, 5])),
    ]);
    assert_eq!(decode(&btf, id, &bytes).unwrap(), expected);
    // Cut inside the pair.
    let Value::Struct(cut) = decode(&btf, id, &bytes[..10]).unwrap() else {
        panic!()
    };
    assert_eq!(
        cut[1].1,
        Value::Array(vec![Value::Int(1), Value::Truncated])
    );
    assert_eq!(cut[3].1, Value::Truncated);
    assert_eq!(
        decode(&btf, text, b"abcd").unwrap(),
        Value::String(b"abcd".to_vec())
    );
    assert_eq!(decode(&btf, text, b"ab").unwrap(), Value::Truncated);
}

#[test]
fn bitfields_are_numbers() {
    let (mut btf, int, _) = builder();
    let unsigned = btf
        .add_int("unsigned int", 4, IntEncoding::UNSIGNED)
        .unwrap();
    let bits = |name, ty, bit_offset, bitfield_size| NewMember {
        name,
        ty,
        bit_offset,
        bitfield_size,
    };
    let members = [
        bits("a", unsigned, 0, 3),
        bits("b", int, 3, 7),
        bits("c", unsigned, 10, 22),
    ];
    let id = btf.add_struct("s", 4, &members).unwrap();
    let btf = btf.finish().unwrap();
    let storage = match Endian::HOST {
        Endian::Little => 5u32 | 0x7e << 3 | 0x12345 << 10,
        Endian::Big => 5u32 << 29 | 0x7e << 22 | 0x12345,
    };
    let expected = Value::Struct(vec![
        named("a", Value::Uint(5)),
        named("b", Value::Int(-2)),
        named("c", Value::Uint(0x12345)),
    ]);
    assert_eq!(decode(&btf, id, &storage.to_ne_bytes()).unwrap(), expected);
}

#[test]
fn bits_may_reach_into_a_17th_byte() {
    let bytes: Vec<u8> = (1..=17).collect();
    let mut whole = [0; 16];
    for (to, window) in whole.iter_mut().zip(bytes.windows(2)) {
        *to = match Endian::HOST {
            Endian::Little => window[0] >> 3 | window[1] << 5,
            Endian::Big => window[0] << 3 | window[1] >> 5,
        };
    }
    assert_eq!(
        read_bits(&bytes, 3, 128, Endian::HOST),
        Some(u128::from_ne_bytes(whole))
    );
    assert_eq!(read_bits(&bytes, 9, 128, Endian::HOST), None);
    assert_eq!(read_bits(&bytes, 0, 0, Endian::HOST), None);
    assert_eq!(read_bits(&bytes, u32::MAX, u32::MAX, Endian::HOST), None);
}

#[test]
fn sections_list_their_variables() {
    let (mut btf, int, _) = builder();
    let one = btf.add_var("one", Linkage::GLOBAL, int).unwrap();
    let two = btf.add_var("two", Linkage::STATIC, int).unwrap();
    let infos = [
        SecInfo {
            ty: one,
            offset: 4,
            size: 4,
        },
        SecInfo {
            ty: two,
            offset: 8,
            size: 4,
        },
    ];
    let id = btf.add_datasec(".data", 12, &infos).unwrap();
    let btf = btf.finish().unwrap();
    let bytes: Vec<u8> = [9u32, 1, 2]
        .into_iter()
        .flat_map(u32::to_ne_bytes)
        .collect();
    let expected = vec![named("one", Value::Int(1)), named("two", Value::Int(2))];
    assert_eq!(decode(&btf, id, &bytes).unwrap(), Value::Datasec(expected));
    let cut = vec![named("one", Value::Int(1)), named("two", Value::Truncated)];
    assert_eq!(decode(&btf, id, &bytes[..8]).unwrap(), Value::Datasec(cut));
}

fn count(value: &Value) -> usize {
    let parts = match value {
        Value::Array(values) => values.iter().map(count).sum(),
        Value::Struct(values) | Value::Union(values) | Value::Datasec(values) => values
            .iter()
            .map(|(name, value)| name.len() / 16 + count(value))
            .sum(),
        Value::String(text) | Value::Bytes(text) => text.len() / 16,
        _ => 0,
    };
    parts + 1
}

#[test]
fn hostile_types_give_small_trees() {
    let (mut btf, int, char_) = builder();
    // 2^30 leaves, all of the same bytes.
    let mut twice = int;
    for _ in 0..30 {
        twice = btf
            .add_union("", 4, &[at("", twice, 0), at("", twice, 0)])
            .unwrap();
    }
    let nothing = btf.add_struct("", 0, &[]).unwrap();
    let endless = btf.add_array(nothing, int, u32::MAX).unwrap();
    let text = btf.add_array(char_, int, 1 << 16).unwrap();
    let name = "n".repeat(10_000);
    let texts = btf
        .add_union("", 1 << 16, &vec![at(&name, text, 0); 10_000])
        .unwrap();
    let itself = btf.add_struct("", 4, &[at("", TypeId(37), 0)]).unwrap();
    assert_eq!(itself, TypeId(37));
    let btf = btf.finish().unwrap();
    let bytes = vec![1; 1 << 16];
    for id in [twice, endless, texts] {
        let value = decode(&btf, id, &bytes).unwrap();
        let parts = count(&value);
        assert!(parts < 4 * bytes.len(), "{id}: {parts} parts");
    }
    assert!(matches!(
        decode(&btf, itself, &bytes),
        Err(Error::Depth { .. })
    ));
}

fn kitchen_sink() -> Value {
    let fields = vec![
        named("int", Value::Int(-5)),
        named("big", Value::Uint(u128::MAX)),
        named("least", Value::Int(i128::MIN)),
        named("long", Value::Uint(u64::MAX.into())),
        named("bool", Value::Bool(true)),
        named("char", Value::Char(b'x')),
        named("text", Value::String(b"a\"\\\n\x01\xffz".to_vec())),
        named(
            "",
            Value::Union(vec![
                named("inner", Value::Int(1)),
                named("", Value::Struct(vec![named("deep", Value::Int(2))])),
            ]),
        ),
        named(
            "named",
            Value::Enum {
                name: Some("A".to_owned()),
                value: 1,
            },
        ),
        named(
            "number",
            Value::Enum {
                name: None,
                value: 9,
            },
        ),
        named("float", Value::Float(1.0)),
        named("nan", Value::Float(f64::NAN)),
        named("pointer", Value::Pointer(0x1234)),
        named("array", Value::Array(vec![Value::Int(1), Value::Truncated])),
        named("none", Value::Array(Vec::new())),
        named("empty", Value::Struct(Vec::new())),
        named("bytes", Value::Bytes(vec![7, 0x80])),
    ];
    Value::Struct(fields)
}

#[test]
fn json_keeps_what_json_can_hold() {
    assert_eq!(
        kitchen_sink().to_json(),
        "{\"int\":-5,\"big\":\"340282366920938463463374607431768211455\",\
         \"least\":\"-170141183460469231731687303715884105728\",\"long\":18446744073709551615,\
         \"bool\":true,\"char\":120,\"text\":\"a\\\"\\\\\\n\\u0001\u{fffd}z\",\"inner\":1,\
         \"deep\":2,\"named\":\"A\",\"number\":9,\"float\":1.0,\"nan\":null,\
         \"pointer\":\"0x1234\",\"array\":[1,null],\"none\":[],\"empty\":{},\"bytes\":\"0780\"}"
    );
    assert_eq!(Value::Truncated.to_json(), "null");
}

#[test]
fn json_text_is_what_other_parsers_read() {
    for number in [1e300, -1.5e-300, 0.1, -0.0] {
        let text = Value::Float(number).to_json();
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(read.is_f64(), "{text}");
        assert_eq!(text.parse::<f64>().unwrap().to_bits(), number.to_bits());
    }
    let read: serde_json::Value = serde_json::from_str(&kitchen_sink().to_json()).unwrap();
    assert_eq!(read["text"], "a\"\\\n\u{1}\u{fffd}z");
    assert_eq!(read["long"], u64::MAX);
}

#[cfg(feature = "serde")]
#[test]
fn serde_gives_the_same_json() {
    let value = kitchen_sink();
    assert_eq!(serde_json::to_string(&value).unwrap(), value.to_json());
}

#[test]
fn bytes_of_the_other_order_are_turned_around() {
    let (mut btf, int, _) = builder();
    let members = [
        at("n", int, 0),
        NewMember {
            name: "b",
            ty: int,
            bit_offset: 32,
            bitfield_size: 4,
        },
    ];
    let id = btf.add_struct("s", 8, &members).unwrap();
    let btf = btf.finish().unwrap();
    let value = |endian| decode_as(&btf, id, &[0, 0, 1, 2, 0x7f, 0, 0, 0], endian).unwrap();
    let fields = |n, b| Value::Struct(vec![named("n", Value::Int(n)), named("b", Value::Int(b))]);
    assert_eq!(value(Endian::Big), fields(0x102, 7));
    assert_eq!(value(Endian::Little), fields(0x0201_0000, -1));
}

#[test]
fn empty_array_between_members_marks_a_place() {
    let (mut btf, int, _) = builder();
    let none = btf.add_array(int, int, 0).unwrap();
    let members = [
        at("start", none, 0),
        at("a", int, 0),
        at("b", int, 4),
        at("c", int, 8),
    ];
    let id = btf.add_struct("s", 12, &members).unwrap();
    let btf = btf.finish().unwrap();
    let Value::Struct(fields) = decode(&btf, id, &[1; 12]).unwrap() else {
        panic!("it is a struct");
    };
    assert_eq!(fields[0], named("start", Value::Array(Vec::new())));
    assert!(matches!(fields[3].1, Value::Int(0x0101_0101)));
}
