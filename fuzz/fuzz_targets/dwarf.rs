//! Any bytes as an ELF file with DWARF, to be made BTF of.

#![no_main]

use libfuzzer_sys::fuzz_target;
use purebpf_btf::Btf;
use purebpf_btf::dwarf::{Functions, Languages, Options, Variables, encode};
use purebpf_fuzz::{limits, mutate};

fuzz_target!(|data: &[u8]| {
    let _limits = limits::arm(data, 1 << 20, 32);
    let options = Options::new()
        .threads(1)
        .functions(Functions::All)
        .variables(Variables::All)
        .languages(Languages::All)
        .optimized_functions(true);
    let Ok(encoded) = encode(data, &options) else {
        return;
    };
    let btf = encoded.btf;
    Btf::parse(btf.raw_bytes().to_vec()).expect("what was made can be read");
    assert!(encoded.report.skipped.len() <= encoded.report.units + 2);
    let options = options.functions(Functions::Consistent);
    let consistent = encode(data, &options).expect("it was read before");
    assert!(consistent.report.functions.encoded <= encoded.report.functions.encoded);
});

purebpf_fuzz::mutator!(mutate::elf::change);
