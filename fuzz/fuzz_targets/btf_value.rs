//! Any bytes as a value of any type: as a tree, as JSON, as text.

#![no_main]

use libfuzzer_sys::fuzz_target;
use purebpf_btf::dump::ValueText;
use purebpf_btf::value::{Value, decode_as};
use purebpf_btf::{Btf, Endian, TypeId};
use purebpf_fuzz::{limits, mutate};
use serde::de::IgnoredAny;

/// How many values a tree is made of.
fn parts(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(parts).sum(),
        Value::Struct(fields) | Value::Union(fields) | Value::Datasec(fields) => {
            fields.iter().map(|(_, value)| parts(value)).sum()
        }
        _ => 0,
    }
}

// A tree has 2^18 parts whatever there is, and a text 24 MiB.
fuzz_target!(|data: &[u8]| {
    let _limits = limits::arm(data, 128 << 20, 64);
    let (btf, bytes) = purebpf_fuzz::halves(data);
    let (Ok(btf), Some((id, bytes))) = (Btf::parse(btf), bytes.split_first_chunk()) else {
        return;
    };
    let number = u16::from_le_bytes(*id);
    let id = TypeId(u32::from(number) % btf.len());
    let option = |bit: u16| number >> bit & 1 != 0;
    let endian = if option(15) {
        Endian::Big
    } else {
        Endian::Little
    };
    if let Ok(value) = decode_as(&btf, id, bytes, endian) {
        assert!(
            parts(&value) <= 4 * bytes.len() + (1 << 18),
            "{} parts",
            parts(&value)
        );
        let json = value.to_json();
        let read: Result<IgnoredAny, _> = serde_json::from_str(&json);
        read.expect("it is JSON");
        serde_json::to_string(&value).expect("all of it can be written");
    }
    let mut printer = ValueText::new(&btf)
        .compact(option(14))
        .emit_zeroes(option(13))
        .emit_strings(option(12))
        .enum_flags(option(11))
        .skip_names(option(10))
        .endian(endian);
    if let Ok(text) = printer.to_text(id, bytes) {
        let most = (24 << 20) + 64 * bytes.len() + data.len();
        assert!(text.len() <= most, "{} bytes", text.len());
    }
});

purebpf_fuzz::mutator!(mutate::parts::value);
