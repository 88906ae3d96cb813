//! Any text as the name of a section, and as that of anything that has a number.

#![no_main]

use std::hint::black_box;

use libfuzzer_sys::fuzz_target;
use purebpf_fuzz::limits;
use purebpf_handles::attach;
use purebpf_insn::{AttachType, LinkType, MapType, ProgramType, helpers};
use purebpf_plan::{program_type_of, section_definition};

/// What each mechanism reads in it.
const READERS: [fn(&str) -> bool; 13] = [
    |section| attach::Iter::from_section(section).is_ok(),
    |section| attach::Kprobe::from_section(section).is_ok(),
    |section| attach::Kprobe::from_syscall_section(section, true).is_ok(),
    |section| attach::Kprobe::from_syscall_section(section, false).is_ok(),
    |section| attach::KprobeMulti::from_section(section).is_ok(),
    |section| attach::PerfEvent::from_section(section).is_ok(),
    |section| attach::RawTracepoint::from_section(section).is_ok(),
    |section| attach::Trace::from_section(section).is_ok(),
    |section| attach::Tracepoint::from_section(section).is_ok(),
    |section| attach::TracingMulti::from_section(section).is_ok(),
    |section| attach::Uprobe::from_section(section).is_ok(),
    |section| attach::UprobeMulti::from_section(section).is_ok(),
    |section| attach::Usdt::from_section(section).is_ok(),
];

fuzz_target!(|text: &str| {
    let _limits = limits::arm(text, 1 << 20, 32);
    let plain = text.strip_prefix('?').unwrap_or(text);
    match (program_type_of(text), section_definition(plain)) {
        (Ok(_), Some(row)) => assert!(plain.starts_with(row.prefix())),
        (Err(_), None) => {}
        (found, row) => panic!("{found:?} {row:?}"),
    }
    for reader in READERS {
        black_box(reader(text));
    }
    let names = [
        ProgramType::from_name(text).and_then(ProgramType::name),
        AttachType::from_name(text).and_then(AttachType::name),
        LinkType::from_name(text).and_then(LinkType::name),
        MapType::from_name(text).and_then(MapType::name),
        helpers::id(text).and_then(helpers::name),
    ];
    // Helpers are known by a shorter name as well.
    let is_named = |name: &str| name == text || name.strip_prefix("bpf_") == Some(text);
    assert!(names.into_iter().flatten().all(is_named));
});
