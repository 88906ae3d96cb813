//! What tests of this crate make BTF with.

use crate::builder::{BtfBuilder, NewEnumerator, NewMember};
use crate::id::TypeId;
use crate::types::IntEncoding;

/// A member that starts at a byte.
pub(crate) fn at(name: &str, ty: TypeId, bytes: u32) -> NewMember<'_> {
    bits(name, ty, bytes * 8, 0)
}

/// A member that starts at a bit, a bit-field if it has a size.
pub(crate) fn bits(name: &str, ty: TypeId, bit_offset: u32, bitfield_size: u8) -> NewMember<'_> {
    NewMember {
        name,
        ty,
        bit_offset,
        bitfield_size,
    }
}

pub(crate) fn value(name: &str, value: i128) -> NewEnumerator<'_> {
    NewEnumerator { name, value }
}

/// BTF of a 64-bit machine with `int` and `char`.
pub(crate) fn builder() -> (BtfBuilder, TypeId, TypeId) {
    let mut btf = BtfBuilder::new().pointer_size(8);
    let int = btf.add_int("int", 4, IntEncoding::SIGNED).unwrap();
    let char_ = btf.add_int("char", 1, IntEncoding::SIGNED).unwrap();
    (btf, int, char_)
}

/// The running kernel's BTF; where tests must not be left out, its absence fails them.
pub(crate) fn kernel_btf(test: &str) -> Option<Vec<u8>> {
    let data = std::fs::read("/sys/kernel/btf/vmlinux").ok();
    if data.is_none() {
        let is_required = std::env::var_os("PUREBPF_REQUIRE_KERNEL").is_some();
        assert!(!is_required, "{test} needs a kernel with BTF");
        println!("skipped: {test}: this kernel has no BTF");
    }
    data
}
