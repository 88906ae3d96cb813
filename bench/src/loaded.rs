//! One program of an object, loaded by libbpf.

use std::ffi::CString;
use std::path::Path;

use anyhow::ensure;
use libbpf_sys as sys;

/// A loaded object.
pub struct Loaded {
    object: *mut sys::bpf_object,
    pub program: *mut sys::bpf_program,
}

impl Drop for Loaded {
    fn drop(&mut self) {
        unsafe { sys::bpf_object__close(self.object) }
    }
}

impl Loaded {
    /// The program, and of the others none.
    pub fn new(path: &Path, wanted: &str) -> anyhow::Result<Self> {
        let path = CString::new(path.to_string_lossy().as_bytes())?;
        let wanted = CString::new(wanted)?;
        let object = unsafe { sys::bpf_object__open_file(path.as_ptr(), std::ptr::null()) };
        ensure!(!object.is_null(), "libbpf cannot open the object");
        let program = unsafe { sys::bpf_object__find_program_by_name(object, wanted.as_ptr()) };
        let this = Self { object, program };
        ensure!(!program.is_null(), "the object has no program {wanted:?}");
        let mut other = std::ptr::null_mut();
        loop {
            other = unsafe { sys::bpf_object__next_program(object, other) };
            if other.is_null() {
                break;
            }
            unsafe { sys::bpf_program__set_autoload(other, other == program) };
        }
        let loaded = unsafe { sys::bpf_object__load(object) };
        ensure!(loaded == 0, "libbpf cannot load the object: {loaded}");
        Ok(this)
    }

    /// Attaches it to what its section says.
    pub fn attach(&self) -> Result<(), std::io::Error> {
        let link = unsafe { sys::bpf_program__attach(self.program) };
        if link.is_null() {
            return Err(std::io::Error::last_os_error());
        }
        unsafe { sys::bpf_link__destroy(link) };
        Ok(())
    }
}
