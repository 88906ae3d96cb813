//! What the running kernel supports, as libbpf and as purebpf find out.

use libbpf_sys as sys;
use purebpf::insn::helpers;
use purebpf::{MapType, ProgramType, RunningKernel};

use crate::libbpf;

/// Lists where the two differ. libbpf knows no more than yes, no, and an error.
pub fn run() -> anyhow::Result<()> {
    libbpf::be_quiet();
    let kernel = RunningKernel::get();
    let mut same = 0;
    let mut differ = 0;
    let mut compare = |what: String, theirs: i32, ours: Option<bool>| {
        let theirs = match theirs {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        };
        if theirs == ours {
            same += 1;
        } else {
            differ += 1;
            println!("{what}: libbpf {theirs:?}, purebpf {ours:?}");
        }
    };
    for ty in ProgramType::known() {
        let theirs = unsafe { sys::libbpf_probe_bpf_prog_type(ty.0, std::ptr::null()) };
        compare(
            format!("program type {ty}"),
            theirs,
            kernel.has_program_type(ty),
        );
    }
    for ty in MapType::known() {
        let theirs = unsafe { sys::libbpf_probe_bpf_map_type(ty.0, std::ptr::null()) };
        compare(format!("map type {ty}"), theirs, kernel.has_map_type(ty));
    }
    for ty in ProgramType::known().filter(|ty| ty.0 != 0) {
        for id in (1..).take_while(|id| helpers::name(*id).is_some()) {
            let theirs =
                unsafe { sys::libbpf_probe_bpf_helper(ty.0, id.cast_unsigned(), std::ptr::null()) };
            let name = helpers::name(id).unwrap_or_default();
            compare(format!("{ty}: {name}"), theirs, kernel.has_helper(ty, id));
        }
    }
    println!("{same} the same, {differ} differ");
    Ok(())
}
