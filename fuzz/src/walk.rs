//! Everything that can be asked of a BTF.

use std::hint::black_box;
use std::sync::Arc;

use purebpf_btf::{Btf, BtfBuilder, Endian, Error, Type, TypeKind};

/// Of how many types the size and alignment are asked. Each may take a million steps, and no more:
/// a file whose every type does is slow and not wrong.
const MEASURED: usize = 64;

/// Reads every type and looks every name up again.
///
/// # Panics
/// If a promise of the library is broken.
pub fn walk(btf: &Btf) {
    for id in btf.own_ids() {
        let ty = btf.ty(id).expect("its own ids are there");
        entries(btf, &ty);
        let name = match btf.name(id) {
            Ok(name) => name,
            Err(Error::NotUtf8 { .. }) => continue,
            Err(error) => panic!("names were checked: {error}"),
        };
        if let (Some(kind), false) = (ty.kind.id(), name.is_empty()) {
            let found = btf.find_own(name, kind).expect("what is there is found");
            assert!(found <= id, "the first one is found");
            assert_eq!(btf.name(found).ok(), Some(name));
            black_box(btf.find(name, kind));
            black_box(btf.find_any(name));
        }
    }
    for id in btf.own_ids().take(MEASURED) {
        black_box((btf.resolve_size(id).is_ok(), btf.align_of(id).is_ok()));
        black_box((
            btf.skip_mods(id).is_ok(),
            btf.skip_mods_and_typedefs(id).is_ok(),
        ));
    }
    black_box(btf.pointer_size());
}

/// Everything that stands behind a record.
fn entries(btf: &Btf, ty: &Type<'_>) {
    let name = |offset| black_box(btf.str_at(offset).expect("names were checked").len());
    let known = |id| black_box(btf.ty(id).expect("ids were checked").is_anonymous());
    match ty.kind {
        TypeKind::Struct(composite) | TypeKind::Union(composite) => {
            for member in composite.members().iter() {
                black_box((name(member.name_off), known(member.ty)));
            }
        }
        TypeKind::FuncProto { params, .. } => {
            for param in params.iter() {
                black_box((name(param.name_off), known(param.ty)));
            }
        }
        TypeKind::Datasec { secinfos, .. } => {
            for secinfo in secinfos.iter() {
                known(secinfo.ty);
            }
        }
        kind => {
            for value in kind.enumerators().into_iter().flatten() {
                name(value.name_off);
            }
        }
    }
}

/// Checks that writing a BTF and reading that again changes nothing.
///
/// # Panics
/// If it does.
pub fn write(btf: &Btf, parse: impl Fn(Vec<u8>) -> Result<Btf, Error>) {
    let same = parse(btf.to_bytes(Endian::HOST)).expect("what was read can be read again");
    assert_eq!(same.raw_bytes(), btf.raw_bytes());
    // Kinds that are not known cannot be turned around.
    let other = match Endian::HOST {
        Endian::Little => Endian::Big,
        Endian::Big => Endian::Little,
    };
    if let Ok(turned) = parse(btf.to_bytes(other)) {
        assert_eq!(turned.raw_bytes(), btf.raw_bytes());
    }
    let Ok(copy) = BtfBuilder::from_btf(btf).and_then(|builder| builder.finish()) else {
        return;
    };
    assert_eq!(copy.len(), btf.len());
    let mut builder = match btf.base() {
        Some(base) => BtfBuilder::new_split(Arc::clone(base)),
        None => BtfBuilder::new(),
    };
    if builder.add_btf(btf).is_ok() {
        let copy = builder.finish().expect("what was added fits");
        assert_eq!(copy.len(), btf.len());
    }
}
