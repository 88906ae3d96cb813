//! Any bytes as `.BTF.ext`.

#![no_main]

use std::hint::black_box;

use libfuzzer_sys::fuzz_target;
use purebpf_btf::Endian;
use purebpf_btf::ext::{BtfExt, Info, Infos};
use purebpf_fuzz::{limits, mutate};

fn read<T: Info>(infos: Infos<'_, T>) {
    for section in infos.sections() {
        assert_eq!(
            section.iter().count(),
            section.len(),
            "every record can be read"
        );
        assert_eq!(
            section.bytes.len(),
            section.len() * infos.record_size() as usize
        );
        black_box(section.get(section.len()).is_none());
    }
}

fuzz_target!(|data: &[u8]| {
    let _limits = limits::arm(data, 1 << 20, 32);
    let Ok(ext) = BtfExt::parse(data) else {
        return;
    };
    read(ext.func_infos());
    read(ext.line_infos());
    read(ext.core_relos());
    let same = ext.rewrite(Ok, Ok).expect("nothing refuses");
    assert_eq!(same.raw_bytes(), ext.raw_bytes());
    // What is not made of words cannot be turned around.
    for endian in [Endian::Little, Endian::Big] {
        if let Ok(turned) = BtfExt::parse(ext.to_bytes(endian)) {
            assert_eq!(turned.raw_bytes(), ext.raw_bytes());
        } else {
            assert!(endian != Endian::HOST);
        }
    }
    if ext.endian().is_host() {
        assert_eq!(ext.raw_bytes(), data);
    }
});

purebpf_fuzz::mutator!(mutate::words);
