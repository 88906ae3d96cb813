//! Any bytes as a value of any type.

#![no_main]

use libfuzzer_sys::fuzz_target;
use purebpf_btf::value::{Value, decode};
use purebpf_btf::{Btf, TypeId};

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

fuzz_target!(|data: &[u8]| {
    let (btf, bytes) = purebpf_fuzz::halves(data);
    let (Ok(btf), Some((id, bytes))) = (Btf::parse(btf), bytes.split_first_chunk()) else {
        return;
    };
    let id = u32::from(u16::from_le_bytes(*id));
    if let Ok(value) = decode(&btf, TypeId(id % btf.len()), bytes) {
        assert!(
            parts(&value) <= 4 * bytes.len() + (1 << 18),
            "{} parts",
            parts(&value)
        );
    }
});
