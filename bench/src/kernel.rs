//! What the kernel says of a map or a program, asked in the same way for both sides.

use std::ffi::{CStr, c_char};

use libbpf_sys as sys;

use crate::report::{KernelMap, KernelProgram};

fn text(name: &[c_char]) -> String {
    let bytes: Vec<u8> = name.iter().map(|char| char.cast_unsigned()).collect();
    CStr::from_bytes_until_nul(&bytes)
        .map_or_else(|_| String::new(), |name| name.to_string_lossy().into())
}

pub fn map(fd: i32) -> Option<KernelMap> {
    let mut info = sys::bpf_map_info::default();
    let mut len = size_of_val(&info) as u32;
    let result = unsafe { sys::bpf_map_get_info_by_fd(fd, &mut info, &mut len) };
    (result == 0).then(|| KernelMap {
        name: text(&info.name),
        ty: info.type_,
        key_size: info.key_size,
        value_size: info.value_size,
        max_entries: info.max_entries,
        flags: info.map_flags,
        extra: info.map_extra,
        types: [
            info.btf_key_type_id,
            info.btf_value_type_id,
            info.btf_vmlinux_value_type_id,
        ],
        of_module: info.btf_vmlinux_id != 0,
    })
}

/// `has_modules`: whether it has fds of modules' BTF in its instructions. The kernel zeroes fds of
/// maps before it makes the tag, but not these, so that it is another one each time.
pub fn program(fd: i32, has_modules: bool) -> Option<KernelProgram> {
    let mut info = sys::bpf_prog_info::default();
    let mut len = size_of_val(&info) as u32;
    let result = unsafe { sys::bpf_prog_get_info_by_fd(fd, &mut info, &mut len) };
    (result == 0).then(|| KernelProgram {
        name: text(&info.name),
        ty: info.type_,
        tag: (!has_modules).then_some(info.tag),
        is_gpl: info.gpl_compatible() != 0,
        maps: info.nr_map_ids,
        has_btf: info.btf_id != 0,
        functions: info.nr_func_info,
        lines: info.nr_line_info,
        verified: info.verified_insns,
        target: [info.attach_btf_obj_id, info.attach_btf_id],
    })
}
