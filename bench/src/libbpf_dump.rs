//! What libbpf prints of types and values.

use std::ffi::{c_char, c_int, c_void};
use std::ptr;

use libbpf_sys as sys;

unsafe extern "C" {
    fn vsnprintf(
        to: *mut c_char,
        size: usize,
        format: *const c_char,
        arguments: *mut sys::__va_list_tag,
    ) -> c_int;
}

/// More than any single piece of text that libbpf prints.
const PIECE: usize = 1 << 16;

/// Collects what is printed.
struct Text {
    piece: Box<[u8; PIECE]>,
    all: Vec<u8>,
}

/// BTF and a printer of it; the base lives for as long.
pub struct Dump {
    dump: ptr::NonNull<sys::btf_dump>,
    btf: ptr::NonNull<sys::btf>,
    base: *mut sys::btf,
    text: Box<Text>,
}

/// How values are printed.
#[derive(Clone, Copy, Debug, Default)]
pub struct ValueStyle {
    pub compact: bool,
    pub skip_names: bool,
    pub emit_zeroes: bool,
    pub emit_strings: bool,
}

unsafe extern "C" fn print(
    text: *mut c_void,
    format: *const c_char,
    arguments: *mut sys::__va_list_tag,
) {
    let text = unsafe { &mut *text.cast::<Text>() };
    let len = unsafe { vsnprintf(text.piece.as_mut_ptr().cast(), PIECE, format, arguments) };
    let len = usize::try_from(len).unwrap_or(0).min(PIECE - 1);
    text.all.extend_from_slice(&text.piece[..len]);
}

impl Dump {
    pub fn new(data: &[u8], base: Option<&[u8]>) -> Result<Self, std::io::Error> {
        unsafe { sys::libbpf_set_print(None) };
        let size = |data: &[u8]| u32::try_from(data.len()).unwrap_or(u32::MAX);
        let base = match base {
            Some(base) => unsafe { sys::btf__new(base.as_ptr().cast(), size(base)) },
            None => ptr::null_mut(),
        };
        let btf = unsafe { sys::btf__new_split(data.as_ptr().cast(), size(data), base) };
        let btf = ptr::NonNull::new(btf).ok_or_else(std::io::Error::last_os_error)?;
        let mut text = Box::new(Text {
            piece: Box::new([0; PIECE]),
            all: Vec::new(),
        });
        let context: *mut Text = &raw mut *text;
        let dump =
            unsafe { sys::btf_dump__new(btf.as_ptr(), Some(print), context.cast(), ptr::null()) };
        let dump = ptr::NonNull::new(dump).ok_or_else(std::io::Error::last_os_error)?;
        Ok(Self {
            dump,
            btf,
            base,
            text,
        })
    }

    /// The text of one type and what it needs, but for what was printed before.
    pub fn dump_type(&mut self, id: u32) -> Result<String, i32> {
        let errno = -unsafe { sys::btf_dump__dump_type(self.dump.as_ptr(), id) };
        let text = self.take();
        if errno == 0 { Ok(text) } else { Err(errno) }
    }

    /// The text of a value; that of what could be read even if not all could.
    pub fn value(&mut self, id: u32, bytes: &[u8], style: ValueStyle) -> (String, i32) {
        let options = sys::btf_dump_type_data_opts {
            sz: size_of::<sys::btf_dump_type_data_opts>() as u64,
            compact: style.compact,
            skip_names: style.skip_names,
            emit_zeroes: style.emit_zeroes,
            emit_strings: style.emit_strings,
            ..Default::default()
        };
        let result = unsafe {
            let data = bytes.as_ptr().cast();
            let len = bytes.len() as u64;
            sys::btf_dump__dump_type_data(self.dump.as_ptr(), id, data, len, &options)
        };
        (self.take(), (-result).max(0))
    }

    fn take(&mut self) -> String {
        let text = String::from_utf8_lossy(&self.text.all).into_owned();
        self.text.all.clear();
        text
    }
}

impl Drop for Dump {
    fn drop(&mut self) {
        unsafe {
            sys::btf_dump__free(self.dump.as_ptr());
            sys::btf__free(self.btf.as_ptr());
            sys::btf__free(self.base);
        }
    }
}
