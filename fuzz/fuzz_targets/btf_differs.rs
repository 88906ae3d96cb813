//! BTF that this library reads, read by libbpf: it finds the same, or has a reason to refuse it.
//!
//! libbpf is not made for any bytes, and what is in it is not watched by the sanitizer: it is asked
//! only for what was checked here.

#![no_main]

use std::ffi::CStr;
use std::ptr;

use libbpf_sys as libbpf;
use libfuzzer_sys::fuzz_target;
use purebpf_btf::{Btf, Error, Kind, TypeId, TypeKind};
use purebpf_fuzz::{limits, mutate};

/// BTF as libbpf has it.
struct Theirs(ptr::NonNull<libbpf::btf>);

impl Theirs {
    fn parse(data: &[u8]) -> Option<Self> {
        // SAFETY: a callback that is not there, and bytes that outlive the call.
        let btf = unsafe {
            libbpf::libbpf_set_print(None);
            libbpf::btf__new(data.as_ptr().cast(), data.len() as u32)
        };
        ptr::NonNull::new(btf).map(Self)
    }

    fn len(&self) -> u32 {
        // SAFETY: the BTF lives as long as this.
        unsafe { libbpf::btf__type_cnt(self.0.as_ptr()) }
    }

    fn name(&self, offset: u32) -> &[u8] {
        // SAFETY: as above; what it returns is a string inside the BTF.
        unsafe {
            let name = libbpf::btf__name_by_offset(self.0.as_ptr(), offset);
            assert!(!name.is_null(), "a name is outside the strings");
            CStr::from_ptr(name).to_bytes()
        }
    }

    /// Name, info, and the third word.
    fn ty(&self, id: TypeId) -> [u32; 3] {
        // SAFETY: as above; it returns a whole record for an id below the number of types.
        unsafe {
            let ty = libbpf::btf__type_by_id(self.0.as_ptr(), id.0);
            assert!(!ty.is_null(), "{id} is not there");
            [(*ty).name_off, (*ty).info, (*ty).__bindgen_anon_1.size]
        }
    }

    /// `None` for what has no size.
    fn size(&self, id: TypeId) -> Option<u32> {
        // SAFETY: as above.
        let size = unsafe { libbpf::btf__resolve_size(self.0.as_ptr(), id.0) };
        u32::try_from(size).ok()
    }
}

impl Drop for Theirs {
    fn drop(&mut self) {
        // SAFETY: it is used no more.
        unsafe { libbpf::btf__free(self.0.as_ptr()) }
    }
}

/// Whether it is in this BTF, of these bytes, and why libbpf refuses it.
type Reason = (fn(&Btf, &[u8]) -> bool, &'static str);

/// What libbpf refuses that this library reads.
const REASONS: [Reason; 3] = [
    (
        |btf, _| btf.has_layout(),
        "libbpf 1.7 does not know the lengths of kinds that come with the BTF",
    ),
    (
        |btf, data| {
            let known = 24_u32.swap_bytes().to_ne_bytes();
            !btf.endian().is_host() && data[4..8] != known
        },
        "libbpf 1.7 turns no header around that is longer than its own",
    ),
    (
        |btf, _| {
            btf.own_ids()
                .any(|id| btf.ty(id).is_ok_and(|ty| ty.kind.id().is_none()))
        },
        "kinds that are not known",
    ),
];

/// How deep libbpf follows types to find a size.
const DEPTH: usize = 16;
/// Each may take a million steps.
const MEASURED: usize = 64;

fn same_size(ours: &Btf, theirs: &Theirs, id: TypeId) {
    match (ours.resolve_size(id), theirs.size(id)) {
        (Ok(ours), Some(theirs)) => assert_eq!(ours, theirs, "the size of {id}"),
        (Err(_), None) => {}
        // It goes no further than so many types, and takes no size above that of `int`.
        (Ok(size), None) => assert!(i32::try_from(size).is_err() || depth(ours, id) >= DEPTH),
        (Err(error), Some(size)) => panic!("only libbpf has a size for {id}: {size}; {error}"),
    }
}

/// How many types are between a type and one that has a size by itself, so many at most.
fn depth(btf: &Btf, mut id: TypeId) -> usize {
    let next = |id| match btf.ty(id).ok()?.kind {
        TypeKind::Array { elem: ty, .. }
        | TypeKind::Typedef(ty)
        | TypeKind::Const(ty)
        | TypeKind::Volatile(ty)
        | TypeKind::Restrict(ty)
        | TypeKind::TypeTag(ty)
        | TypeKind::Var { ty, .. }
        | TypeKind::DeclTag { ty, .. } => Some(ty),
        _ => None,
    };
    let mut depth = 0;
    while let (Some(ty), true) = (next(id), depth < DEPTH) {
        (id, depth) = (ty, depth + 1);
    }
    depth
}

fuzz_target!(|data: &[u8]| {
    let _limits = limits::arm(data, 1 << 20, 32);
    let Ok(ours) = Btf::parse(data) else { return };
    let Some(theirs) = Theirs::parse(data) else {
        let reason = REASONS.iter().find(|(is_one, _)| is_one(&ours, data));
        assert!(reason.is_some(), "only libbpf refuses it");
        return;
    };
    assert_eq!(ours.len(), theirs.len());
    for id in ours.own_ids() {
        let ty = ours.ty(id).expect("its own ids are there");
        let [name, info, _] = theirs.ty(id);
        assert_eq!(
            ty.kind.id().map(|kind| kind as u32),
            Some(info >> 24 & 0x1f),
            "{id}"
        );
        let name = theirs.name(name);
        match ours.name(id) {
            Ok(ours) => assert_eq!(ours.as_bytes(), name, "{id}"),
            Err(Error::NotUtf8 { .. }) => assert!(str::from_utf8(name).is_err(), "{id}"),
            Err(error) => panic!("names were checked: {error}"),
        }
        if ty.kind.id() == Some(Kind::Void) {
            panic!("{id} is void");
        }
    }
    for id in ours.own_ids().take(MEASURED) {
        same_size(&ours, &theirs, id);
    }
});

purebpf_fuzz::mutator!(mutate::btf::change);
