//! What libbpf makes of an object.

use std::ffi::{CStr, CString};
use std::path::Path;
use std::ptr;

use libbpf_sys as sys;

use crate::report::{Failure, MapResult, MapRow, ProgramRow, Side, trimmed};
use crate::{kernel, messages};

struct Object(ptr::NonNull<sys::bpf_object>);

impl Drop for Object {
    fn drop(&mut self) {
        unsafe { sys::bpf_object__close(self.0.as_ptr()) }
    }
}

#[derive(Default)]
struct Declared {
    inner: Option<Box<MapRow>>,
    contents: Vec<u8>,
}

fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

fn text(chars: *const std::ffi::c_char) -> String {
    unsafe { CStr::from_ptr(chars) }
        .to_string_lossy()
        .into_owned()
}

impl Object {
    fn open(path: &Path) -> Result<Self, i32> {
        Self::open_for(path, None)
    }

    /// Opens it for the kernel whose BTF is in a file.
    fn open_for(path: &Path, btf: Option<&Path>) -> Result<Self, i32> {
        let text = |path: &Path| CString::new(path.to_string_lossy().as_bytes()).map_err(|_| 22);
        let path = text(path)?;
        let btf = btf.map(text).transpose()?;
        let options = sys::bpf_object_open_opts {
            sz: size_of::<sys::bpf_object_open_opts>() as _,
            btf_custom_path: btf.as_ref().map_or(ptr::null(), |path| path.as_ptr()),
            ..Default::default()
        };
        let object = unsafe { sys::bpf_object__open_file(path.as_ptr(), &options) };
        ptr::NonNull::new(object).map(Self).ok_or_else(errno)
    }

    fn programs(&self) -> impl Iterator<Item = *mut sys::bpf_program> {
        let object = self.0.as_ptr();
        let next = move |previous| {
            let program = unsafe { sys::bpf_object__next_program(object, previous) };
            (!program.is_null()).then_some(program)
        };
        std::iter::successors(next(ptr::null_mut()), move |program| next(*program))
    }

    fn maps(&self) -> impl Iterator<Item = *mut sys::bpf_map> {
        let object = self.0.as_ptr();
        let next = move |previous| {
            let map = unsafe { sys::bpf_object__next_map(object, previous) };
            (!map.is_null()).then_some(map)
        };
        std::iter::successors(next(ptr::null_mut()), move |map| next(*map))
    }

    /// Names and sections of the programs.
    fn names(&self) -> Vec<(String, String)> {
        let names = self.programs().map(|p| unsafe {
            (
                text(sys::bpf_program__name(p)),
                text(sys::bpf_program__section_name(p)),
            )
        });
        names.collect()
    }

    fn only(&self, wanted: &str) {
        for program in self.programs() {
            let name = text(unsafe { sys::bpf_program__name(program) });
            unsafe { sys::bpf_program__set_autoload(program, name == wanted) };
        }
    }

    /// One of struct_ops comes with its programs, and these with the object's other maps.
    fn only_map(&self, wanted: &str, is_struct_ops: bool) {
        self.only("");
        for map in self.maps() {
            let name = text(unsafe { sys::bpf_map__name(map) });
            let is_needed =
                is_struct_ops && unsafe { sys::bpf_map__type(map) } != sys::BPF_MAP_TYPE_STRUCT_OPS;
            unsafe { sys::bpf_map__set_autocreate(map, name == wanted || is_needed) };
        }
    }

    fn prepare(&self) -> i32 {
        -unsafe { sys::bpf_object__prepare(self.0.as_ptr()) }
    }

    fn load(&self) -> i32 {
        -unsafe { sys::bpf_object__load(self.0.as_ptr()) }
    }

    /// What is there of maps until the object is prepared: inner maps, and variables as the file
    /// has them (the kernel initialises some).
    fn declared(&self) -> Vec<Declared> {
        let declared = |map| {
            let inner = unsafe { sys::bpf_map__inner_map(map) };
            let inner = (!inner.is_null()).then(|| Box::new(map_row(inner, Declared::default())));
            let is_internal = unsafe { sys::bpf_map__is_internal(map) };
            Declared {
                inner,
                contents: if is_internal {
                    initial_value(map)
                } else {
                    Vec::new()
                },
            }
        };
        self.maps().map(declared).collect()
    }

    fn map_rows(&self, declared: Vec<Declared>) -> Vec<MapRow> {
        let rows = self.maps().zip(declared);
        rows.map(|(map, declared)| map_row(map, declared)).collect()
    }

    /// Puts what the object would load of a program into the row, and says whether fds of modules'
    /// BTF are in it.
    fn describe(&self, program: *mut sys::bpf_program, row: &mut ProgramRow) -> bool {
        let (insns, maps, has_modules) = self.instructions(program);
        row.insns = Some(insns);
        row.maps = maps;
        unsafe {
            let functions = sys::bpf_program__func_info(program);
            let count = sys::bpf_program__func_info_cnt(program);
            row.func_info = words(functions.cast(), count * 2);
            let lines = sys::bpf_program__line_info(program);
            let count = sys::bpf_program__line_info_cnt(program);
            row.line_info = words(lines.cast(), count * 4);
        }
        has_modules
    }

    /// Final instructions with fds zeroed, the maps that they refer to, and whether fds of modules'
    /// BTF were among them.
    fn instructions(
        &self,
        program: *mut sys::bpf_program,
    ) -> (Vec<u64>, Vec<(usize, String)>, bool) {
        let insns = unsafe {
            let count = sys::bpf_program__insn_cnt(program) as usize;
            std::slice::from_raw_parts(sys::bpf_program__insns(program).cast::<[u8; 8]>(), count)
        };
        let fds: Vec<(i32, String)> = self
            .maps()
            .map(|map| unsafe { (sys::bpf_map__fd(map), text(sys::bpf_map__name(map))) })
            .collect();
        let mut words: Vec<u64> = insns.iter().map(|insn| u64::from_le_bytes(*insn)).collect();
        let mut maps = Vec::new();
        let mut has_modules = false;
        for index in 0..words.len() {
            let [code, regs, _, _, a, b, c, d] = words[index].to_le_bytes();
            if code != 0x18 {
                continue;
            }
            let imm = i32::from_le_bytes([a, b, c, d]);
            match regs >> 4 {
                1 | 2 => {
                    // Another number is one that the source itself wrote there.
                    if let Some((_, name)) = fds.iter().find(|(fd, _)| *fd == imm) {
                        maps.push((index, name.clone()));
                    }
                    words[index] &= 0xffff_ffff;
                }
                // The fd of a module's BTF.
                3 => {
                    if let Some(second) = words.get_mut(index + 1) {
                        has_modules |= *second >> 32 != 0;
                        *second &= 0xffff_ffff;
                    }
                }
                _ => {}
            }
        }
        (words, maps, has_modules)
    }
}

fn words(start: *const u32, count: u32) -> Vec<u32> {
    if start.is_null() {
        return Vec::new();
    }
    unsafe { std::slice::from_raw_parts(start, count as usize).to_vec() }
}

fn map_row(map: *mut sys::bpf_map, declared: Declared) -> MapRow {
    unsafe {
        let pin = sys::bpf_map__pin_path(map);
        let ty = sys::bpf_map__type(map);
        // That of struct_ops is told in another way, though libbpf goes on to have it.
        let has_types = ty != sys::BPF_MAP_TYPE_STRUCT_OPS;
        MapRow {
            name: text(sys::bpf_map__name(map)),
            ty,
            key_size: sys::bpf_map__key_size(map),
            value_size: sys::bpf_map__value_size(map),
            max_entries: sys::bpf_map__max_entries(map),
            flags: sys::bpf_map__map_flags(map),
            extra: sys::bpf_map__map_extra(map),
            numa_node: sys::bpf_map__numa_node(map),
            ifindex: sys::bpf_map__ifindex(map),
            key_type: sys::bpf_map__btf_key_type_id(map) * u32::from(has_types),
            value_type: sys::bpf_map__btf_value_type_id(map) * u32::from(has_types),
            pin: (!pin.is_null()).then(|| text(pin)),
            autocreate: sys::bpf_map__autocreate(map),
            contents: trimmed(&configuration(map).unwrap_or(declared.contents)),
            inner: declared.inner,
        }
    }
}

fn initial_value(map: *mut sys::bpf_map) -> Vec<u8> {
    unsafe {
        let mut size = 0;
        let start = sys::bpf_map__initial_value(map, &mut size);
        match start.is_null() {
            true => Vec::new(),
            false => std::slice::from_raw_parts(start.cast(), size as usize).to_vec(),
        }
    }
}

/// What is in `.kconfig`, which is known once the kernel has it.
fn configuration(map: *mut sys::bpf_map) -> Option<Vec<u8>> {
    unsafe {
        if !text(sys::bpf_map__name(map)).ends_with(".kconfig") {
            return None;
        }
        let mut value = vec![0; sys::bpf_map__value_size(map) as usize];
        let key = 0u32;
        let (key, start) = (ptr::from_ref(&key).cast(), value.as_mut_ptr().cast());
        (sys::bpf_map_lookup_elem(sys::bpf_map__fd(map), key, start) == 0).then_some(value)
    }
}

/// What says that the kernel was asked and refused.
const BY_KERNEL: &[&str] = &[
    "failed to create: -",
    "failed to create inner map: -",
    "BPF program load failed",
    "BPF_PROG_LOAD",
    "Error loading .BTF into kernel: ",
    "Failed to set initial contents",
    "failed to initialize slot",
    "failed to set initial",
    "Failed to freeze map",
];

fn failure(errno: i32) -> Failure {
    let messages: Vec<String> = messages::take()
        .into_iter()
        .map(|message| message.trim_start_matches("libbpf: ").to_owned())
        .collect();
    let by_kernel = messages
        .iter()
        .any(|message| BY_KERNEL.iter().any(|part| message.contains(part)));
    Failure {
        errno,
        messages,
        by_kernel,
    }
}

/// Everything about one object.
pub fn results(path: &Path) -> Side {
    messages::listen();
    let object = match Object::open(path) {
        Ok(object) => object,
        Err(errno) => {
            return Side {
                open_error: Some(failure(errno)),
                ..Side::default()
            };
        }
    };
    let names = object.names();
    let names_of_maps: Vec<String> = object
        .maps()
        .map(|map| text(unsafe { sys::bpf_map__name(map) }))
        .collect();
    let errno = object.load();
    drop(object);
    let whole_error = (errno != 0).then(|| failure(errno));
    Side {
        open_error: None,
        whole_error,
        created: names_of_maps
            .iter()
            .map(|name| map_alone(path, name))
            .collect(),
        maps: maps(path, &names_of_maps),
        programs: names
            .into_iter()
            .map(|(name, section)| alone(path, name, section))
            .collect(),
    }
}

/// The maps as they are created where no program is loaded; if the kernel refuses one, those that
/// can be created without the others.
fn maps(path: &Path, names: &[String]) -> Vec<MapRow> {
    let Ok(object) = Object::open(path) else {
        return Vec::new();
    };
    object.only("");
    let declared = object.declared();
    messages::take();
    match object.prepare() {
        0 => object.map_rows(declared),
        errno if failure(errno).by_kernel => {
            let rows = names.iter().filter_map(|name| map_of_its_own(path, name));
            rows.collect()
        }
        _ => Vec::new(),
    }
}

/// Nothing of a map of struct_ops, whose attributes come from programs.
fn map_of_its_own(path: &Path, name: &str) -> Option<MapRow> {
    let object = Object::open(path).ok()?;
    object.only_map(name, false);
    let declared = object.declared();
    let is_struct_ops = |map: &MapRow| map.ty == sys::BPF_MAP_TYPE_STRUCT_OPS;
    let is_created = object.prepare() == 0;
    let rows = is_created.then(|| object.map_rows(declared))?;
    let mut row = rows
        .into_iter()
        .find(|row| row.name == name && !is_struct_ops(row))?;
    row.autocreate = true;
    Some(row)
}

fn map_alone(path: &Path, name: &str) -> MapResult {
    let mut result = MapResult {
        name: name.to_owned(),
        ..MapResult::default()
    };
    messages::take();
    let Ok(object) = Object::open(path) else {
        return result;
    };
    let named = |map: &*mut sys::bpf_map| text(unsafe { sys::bpf_map__name(*map) }) == name;
    let Some(map) = object.maps().find(named) else {
        return result;
    };
    // Slots of other maps are filled at the load, created or not; only struct_ops needs programs.
    let is_struct_ops = unsafe { sys::bpf_map__type(map) } == sys::BPF_MAP_TYPE_STRUCT_OPS;
    object.only_map(name, is_struct_ops);
    let errno = match is_struct_ops {
        true => object.load(),
        false => object.prepare(),
    };
    match errno {
        0 => result.kernel = kernel::map(unsafe { sys::bpf_map__fd(map) }),
        errno => result.failure = Some(failure(errno)),
    }
    result
}

fn alone(path: &Path, name: String, section: String) -> ProgramRow {
    let mut row = ProgramRow {
        name,
        section,
        ..ProgramRow::default()
    };
    messages::take();
    let Ok(object) = Object::open(path) else {
        return row;
    };
    object.only(&row.name);
    match object.prepare() {
        0 => {}
        errno => {
            row.failure = Some(failure(errno));
            return row;
        }
    }
    let named = |p: &*mut sys::bpf_program| text(unsafe { sys::bpf_program__name(*p) }) == row.name;
    let Some(program) = object.programs().find(named) else {
        return row;
    };
    let has_modules = object.describe(program, &mut row);
    let errno = object.load();
    row.loaded = errno == 0;
    // A USDT probe's is settled only now.
    row.attach_type = Some(unsafe { sys::bpf_program__expected_attach_type(program) });
    match row.loaded {
        true => {
            row.kernel = kernel::program(unsafe { sys::bpf_program__fd(program) }, has_modules);
        }
        false => row.failure = Some(failure(errno)),
    }
    row
}

/// What it would load of an object or of one of its programs, for this kernel or for the one whose
/// BTF is in a file.
pub fn prepared(path: &Path, btf: Option<&Path>, only: Option<&str>) -> Side {
    messages::listen();
    let object = match Object::open_for(path, btf) {
        Ok(object) => object,
        Err(errno) => {
            return Side {
                open_error: Some(failure(errno)),
                ..Side::default()
            };
        }
    };
    if let Some(only) = only {
        object.only(only);
    }
    let declared = object.declared();
    let errno = object.prepare();
    let whole_error = (errno != 0).then(|| failure(errno));
    let mut rows = Vec::new();
    for (program, (name, section)) in object.programs().zip(object.names()) {
        let mut row = ProgramRow {
            name,
            section,
            ..ProgramRow::default()
        };
        if errno == 0 && unsafe { sys::bpf_program__autoload(program) } {
            object.describe(program, &mut row);
        }
        rows.push(row);
    }
    Side {
        open_error: None,
        whole_error,
        maps: object.map_rows(declared),
        created: Vec::new(),
        programs: rows,
    }
}

/// Lets libbpf print nothing.
pub fn be_quiet() {
    unsafe { sys::libbpf_set_print(None) };
}

/// Opens and prepares; whether it can.
pub fn prepares(path: &Path) -> bool {
    Object::open(path).is_ok_and(|object| object.prepare() == 0)
}

/// Opens and loads, and nothing else.
pub fn load_whole(path: &Path) -> anyhow::Result<()> {
    let object = Object::open(path).map_err(std::io::Error::from_raw_os_error)?;
    match object.load() {
        0 => Ok(()),
        errno => Err(std::io::Error::from_raw_os_error(errno).into()),
    }
}

/// A loader program by libbpf.
pub struct Generated {
    pub data: Vec<u8>,
    pub insns: Vec<u8>,
    pub maps: Vec<String>,
    /// Those that are loaded.
    pub programs: Vec<String>,
}

/// Writes the loader program of an object, of one of its programs or of all.
pub fn generate(path: &Path, program: Option<&str>) -> Result<Generated, i32> {
    unsafe { sys::libbpf_set_print(None) };
    let object = Object::open(path)?;
    if let Some(program) = program {
        object.only(program);
    }
    let mut options = sys::gen_loader_opts {
        sz: size_of::<sys::gen_loader_opts>() as _,
        ..Default::default()
    };
    let errno = -unsafe { sys::bpf_object__gen_loader(object.0.as_ptr(), &mut options) };
    if errno != 0 {
        return Err(errno);
    }
    match object.load() {
        0 => {}
        errno => return Err(errno),
    }
    let bytes = |start: *const std::ffi::c_char, len: u32| unsafe {
        std::slice::from_raw_parts(start.cast::<u8>(), len as usize).to_vec()
    };
    let maps = object
        .maps()
        .map(|map| text(unsafe { sys::bpf_map__name(map) }));
    let loaded = object
        .programs()
        .filter(|program| unsafe { sys::bpf_program__autoload(*program) });
    Ok(Generated {
        data: bytes(options.data, options.data_sz),
        insns: bytes(options.insns, options.insns_sz),
        maps: maps.collect(),
        programs: loaded
            .map(|program| text(unsafe { sys::bpf_program__name(program) }))
            .collect(),
    })
}
