//! What libbpf prints while it works.

use std::ffi::{CStr, c_char, c_int};
use std::sync::Mutex;

use libbpf_sys as sys;

static MESSAGES: Mutex<Vec<String>> = Mutex::new(Vec::new());

unsafe extern "C" {
    fn vsnprintf(
        buffer: *mut c_char,
        size: usize,
        format: *const c_char,
        arguments: *mut sys::__va_list_tag,
    ) -> c_int;
}

unsafe extern "C" fn keep(
    level: sys::libbpf_print_level,
    format: *const c_char,
    arguments: *mut sys::__va_list_tag,
) -> c_int {
    if level != sys::LIBBPF_WARN {
        return 0;
    }
    let mut buffer = [0; 4096];
    let text = unsafe {
        vsnprintf(buffer.as_mut_ptr(), buffer.len(), format, arguments);
        CStr::from_ptr(buffer.as_ptr())
    };
    let text = text.to_string_lossy().trim_end().to_owned();
    MESSAGES.lock().unwrap().push(text);
    0
}

/// Keeps the warnings from now on, and prints none.
pub fn listen() {
    unsafe { sys::libbpf_set_print(Some(keep)) };
    take();
}

/// The warnings since the last call.
pub fn take() -> Vec<String> {
    std::mem::take(&mut *MESSAGES.lock().unwrap())
}
