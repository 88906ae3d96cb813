//! What libbpf makes of an object.

use std::ffi::{CStr, CString};
use std::path::Path;
use std::ptr;

use libbpf_sys as sys;

use crate::kernel;
use crate::report::{MapResult, MapRow, ProgramRow, Side};

struct Object(ptr::NonNull<sys::bpf_object>);

impl Drop for Object {
    fn drop(&mut self) {
        unsafe { sys::bpf_object__close(self.0.as_ptr()) }
    }
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
        let path = CString::new(path.to_string_lossy().as_bytes()).map_err(|_| 22)?;
        let object = unsafe { sys::bpf_object__open_file(path.as_ptr(), ptr::null()) };
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

    fn map_rows(&self) -> Vec<MapRow> {
        let row = |map: *mut sys::bpf_map| unsafe {
            MapRow {
                name: text(sys::bpf_map__name(map)),
                ty: sys::bpf_map__type(map),
                key_size: sys::bpf_map__key_size(map),
                value_size: sys::bpf_map__value_size(map),
                max_entries: sys::bpf_map__max_entries(map),
                flags: sys::bpf_map__map_flags(map),
                extra: sys::bpf_map__map_extra(map),
            }
        };
        self.maps().map(row).collect()
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

/// Everything about one object.
pub fn results(path: &Path) -> Side {
    be_quiet();
    let object = match Object::open(path) {
        Ok(object) => object,
        Err(errno) => {
            return Side {
                open_error: Some(format!("errno {errno}")),
                ..Side::default()
            };
        }
    };
    let maps = object.map_rows();
    let names: Vec<(String, String)> = object
        .programs()
        .map(|p| unsafe {
            (
                text(sys::bpf_program__name(p)),
                text(sys::bpf_program__section_name(p)),
            )
        })
        .collect();
    let errno = object.load();
    drop(object);
    Side {
        open_error: None,
        whole: errno == 0,
        whole_error: (errno != 0).then(|| format!("errno {errno}")),
        created: maps.iter().map(|map| map_alone(path, &map.name)).collect(),
        maps,
        programs: names
            .into_iter()
            .map(|(name, section)| alone(path, name, section))
            .collect(),
    }
}

fn map_alone(path: &Path, name: &str) -> MapResult {
    let mut result = MapResult {
        name: name.to_owned(),
        ..MapResult::default()
    };
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
    result.errno = match is_struct_ops {
        true => object.load(),
        false => object.prepare(),
    };
    match result.errno {
        0 => result.kernel = kernel::map(unsafe { sys::bpf_map__fd(map) }),
        errno => result.error = Some(format!("errno {errno}")),
    }
    result
}

fn alone(path: &Path, name: String, section: String) -> ProgramRow {
    let mut row = ProgramRow {
        name,
        section,
        ..ProgramRow::default()
    };
    let Ok(object) = Object::open(path) else {
        return row;
    };
    object.only(&row.name);
    row.errno = object.prepare();
    if row.errno != 0 {
        row.error = Some(format!("prepare: errno {}", row.errno));
        return row;
    }
    let named = |p: &*mut sys::bpf_program| text(unsafe { sys::bpf_program__name(*p) }) == row.name;
    let Some(program) = object.programs().find(named) else {
        return row;
    };
    let (insns, maps, has_modules) = object.instructions(program);
    row.insns = Some(insns);
    row.maps = maps;
    row.errno = object.load();
    row.loaded = row.errno == 0;
    // A USDT probe's is settled only now.
    row.attach_type = Some(unsafe { sys::bpf_program__expected_attach_type(program) });
    match row.loaded {
        true => {
            row.kernel = kernel::program(unsafe { sys::bpf_program__fd(program) }, has_modules);
        }
        false => row.error = Some(format!("load: errno {}", row.errno)),
    }
    row
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
