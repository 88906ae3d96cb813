//! Any bytes as `.BTF.ext`.

#![no_main]

use std::hint::black_box;

use libfuzzer_sys::fuzz_target;
use purebpf_btf::ext::{BtfExt, Info, Infos};

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
    let Ok(ext) = BtfExt::parse(data) else {
        return;
    };
    read(ext.func_infos());
    read(ext.line_infos());
    read(ext.core_relos());
    if ext.endian().is_host() {
        assert_eq!(ext.raw_bytes(), data);
    }
});
