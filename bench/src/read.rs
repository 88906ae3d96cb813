//! What both sides read of the same BTF, type by type.

use std::ffi::{CStr, CString};
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::Arc;

use anyhow::Context as _;
use libbpf_sys as sys;
use purebpf::btf::{Btf, Kind, TypeId, source};

/// Of how many types one is looked up by name: libbpf looks at all types each time.
const LOOKED_UP: usize = 499;

#[derive(clap::Args)]
pub struct Arguments {
    /// Files with BTF: raw, ELF files, compressed modules, boot images
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The file with the BTF that they continue
    #[arg(long)]
    base: Option<PathBuf>,
}

/// BTF as libbpf has it; the base is its own.
struct Theirs {
    btf: ptr::NonNull<sys::btf>,
    base: *mut sys::btf,
}

impl Drop for Theirs {
    fn drop(&mut self) {
        unsafe {
            sys::btf__free(self.btf.as_ptr());
            sys::btf__free(self.base);
        }
    }
}

/// What is said of one type, in words that can be compared.
#[derive(PartialEq, Debug)]
struct Seen {
    kind: u32,
    name: String,
    size: Option<u32>,
    align: Option<u32>,
    members: Vec<(String, u32, u32, u32)>,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    unsafe { sys::libbpf_set_print(None) };
    let base = match &arguments.base {
        Some(path) => Some(bytes(path)?),
        None => None,
    };
    let our_base = match &base {
        Some(base) => Some(Arc::new(Btf::parse(base.as_slice())?)),
        None => None,
    };
    let (mut read, mut types, mut differ, mut none) = (0, 0, 0, 0);
    for path in &arguments.files {
        // Not every file has any.
        let Ok(data) = bytes(path) else {
            none += 1;
            continue;
        };
        let ours = match &our_base {
            Some(base) => Btf::parse_split(data.as_slice(), Arc::clone(base)),
            None => Btf::parse(data.as_slice()),
        };
        let theirs = Theirs::new(&data, base.as_deref());
        let (ours, theirs) = match (ours, theirs) {
            (Ok(ours), Some(theirs)) => (ours, theirs),
            (Err(_), None) => continue,
            (ours, _) => {
                differ += 1;
                println!("{}: only one reads it: {:?}", path.display(), ours.err());
                continue;
            }
        };
        read += 1;
        let found = compare(&ours, &theirs)?;
        types += ours.own_ids().count();
        differ += found.len();
        for line in found.iter().take(3) {
            println!("{}: {line}", path.display());
        }
    }
    println!(
        "{read} files with {types} types of their own, {differ} differences; {none} files without BTF"
    );
    Ok(())
}

fn bytes(path: &Path) -> anyhow::Result<Vec<u8>> {
    let file = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    Ok(source::find(&file)?.btf)
}

fn compare(ours: &Btf, theirs: &Theirs) -> anyhow::Result<Vec<String>> {
    let mut differences = Vec::new();
    let count = unsafe { sys::btf__type_cnt(theirs.btf.as_ptr()) };
    if ours.len() != count {
        differences.push(format!("{} types and {count}", ours.len()));
    }
    for (index, id) in ours.own_ids().enumerate() {
        let (our, their) = (our(ours, id)?, theirs.seen(id));
        if our != their {
            differences.push(format!("{id}: {our:?} and {their:?}"));
        }
        if index % LOOKED_UP == 0 && !our.name.is_empty() {
            let kind = ours.ty(id)?.kind.id().context("a known kind")?;
            let found = ours.find(&our.name, kind).map_or(0, |id| id.0);
            let name = CString::new(our.name.as_str())?;
            let wanted = unsafe {
                sys::btf__find_by_name_kind(theirs.btf.as_ptr(), name.as_ptr(), our.kind)
            };
            if i32::try_from(found).ok() != Some(wanted) {
                differences.push(format!("{}: found at {found} and {wanted}", our.name));
            }
        }
    }
    Ok(differences)
}

fn our(btf: &Btf, id: TypeId) -> anyhow::Result<Seen> {
    let ty = btf.ty(id)?;
    let mut members = Vec::new();
    for member in ty
        .kind
        .composite()
        .into_iter()
        .flat_map(|composite| composite.members)
    {
        let name = btf.name_at(member.name_off)?.to_owned();
        members.push((
            name,
            member.ty.0,
            member.bit_offset,
            member.bitfield_size.into(),
        ));
    }
    let kind = ty.kind.id().unwrap_or(Kind::Void);
    Ok(Seen {
        kind: kind as u32,
        name: btf.name(id)?.to_owned(),
        size: btf.resolve_size(id).ok(),
        align: btf.align_of(id).ok().filter(|align| *align > 0),
        members,
    })
}

impl Theirs {
    fn new(data: &[u8], base: Option<&[u8]>) -> Option<Self> {
        let new = |data: &[u8], base: *mut sys::btf| unsafe {
            sys::btf__new_split(data.as_ptr().cast(), data.len() as u32, base)
        };
        let base = base.map_or(ptr::null_mut(), |base| new(base, ptr::null_mut()));
        let btf = ptr::NonNull::new(new(data, base))?;
        Some(Self { btf, base })
    }

    fn name(&self, offset: u32) -> String {
        let name = unsafe { sys::btf__name_by_offset(self.btf.as_ptr(), offset) };
        match name.is_null() {
            true => String::new(),
            false => unsafe { CStr::from_ptr(name) }
                .to_string_lossy()
                .into_owned(),
        }
    }

    fn seen(&self, id: TypeId) -> Seen {
        let btf = self.btf.as_ptr();
        let pointer = unsafe { sys::btf__type_by_id(btf, id.0) };
        let ty = unsafe { *pointer };
        let kind = ty.info >> 24 & 0x1f;
        let has_bitfields = ty.info >> 31 != 0;
        let count = if kind == Kind::Struct as u32 || kind == Kind::Union as u32 {
            ty.info & 0xffff
        } else {
            0
        };
        let first = unsafe { pointer.add(1) }.cast::<sys::btf_member>();
        let members = (0..count as usize).map(|index| {
            let member = unsafe { *first.add(index) };
            let (offset, size) = match has_bitfields {
                true => (member.offset & 0x00ff_ffff, member.offset >> 24),
                false => (member.offset, 0),
            };
            (self.name(member.name_off), member.type_, offset, size)
        });
        let size = unsafe { sys::btf__resolve_size(btf, id.0) };
        let align = unsafe { sys::btf__align_of(btf, id.0) };
        Seen {
            kind,
            name: self.name(ty.name_off),
            size: u32::try_from(size).ok(),
            // 0 is what has none.
            align: u32::try_from(align).ok().filter(|align| *align > 0),
            members: members.collect(),
        }
    }
}
