//! Small objects that ask for much memory.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use purebpf_btf::{BtfBuilder, Endian, IntEncoding, Linkage, SecInfo};
use purebpf_plan::{Error, ObjectSpec};
use support::{CODE, Elf, FUNCTION, PROGBITS, RETURN};

/// An object that asks for a text of this many bytes of the kernel's configuration.
fn object(bytes: u32) -> Vec<u8> {
    let mut btf = BtfBuilder::new();
    let char = btf.add_int("char", 1, IntEncoding::SIGNED).unwrap();
    let array = btf.add_array(char, char, bytes).unwrap();
    let text = btf.add_var("CONFIG_TEXT", Linkage::EXTERN, array).unwrap();
    let entry = SecInfo {
        ty: text,
        offset: 0,
        size: bytes,
    };
    btf.add_datasec(".kconfig", bytes, &[entry]).unwrap();
    let mut elf = Elf::new();
    let code = elf.section("raw_tp/event", PROGBITS, CODE, [0, 0], &RETURN);
    elf.symbol("program", FUNCTION, code, 16);
    elf.symbol("CONFIG_TEXT", 0, 0, 0);
    let btf = btf.to_bytes(Endian::Little).unwrap();
    elf.section(".BTF", PROGBITS, 0, [0, 0], &btf);
    elf.finish()
}

#[test]
fn configuration_values_larger_than_any_configuration_are_an_error() {
    assert!(ObjectSpec::parse(object(4096)).is_ok());
    let error = ObjectSpec::parse(object(1 << 28)).unwrap_err();
    assert!(matches!(error, Error::Extern { .. }), "{error}");
}
