//! Any bytes as a ZIP archive with a library in it.

#![no_main]

use std::io::Cursor;

use libfuzzer_sys::fuzz_target;
use purebpf_elf::archive::{find, read};
use purebpf_fuzz::limits;

fuzz_target!(|data: &[u8]| {
    let _limits = limits::arm(data, 1 << 20, 32);
    for name in ["lib/a.so", ""] {
        let mut file = Cursor::new(data);
        let Ok(Some(member)) = find(&mut file, name.as_bytes()) else {
            continue;
        };
        let (start, end) = (
            member.offset as usize,
            (member.offset + member.len) as usize,
        );
        match read(&mut file, member) {
            Ok(contents) => assert_eq!(contents, data[start..end]),
            Err(_) => assert!(end > data.len()),
        }
    }
});
