//! Reads the BTF of the running kernel, where there is one.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

use std::sync::Arc;

use purebpf_btf::core::{Outcome, RelocationKind, Resolver};
use purebpf_btf::dump::{Header, ValueText};
use purebpf_btf::ext::CoreRelo;
use purebpf_btf::{Btf, BtfBuilder, Endian, IntEncoding, Kind, NewMember, TypeId, TypeKind, value};

const PATH: &str = "/sys/kernel/btf/vmlinux";

fn kernel(test: &str) -> Option<Btf> {
    match std::fs::read(PATH) {
        Ok(data) => Some(Btf::parse(data).unwrap()),
        Err(error) => {
            let is_required = std::env::var_os("PUREBPF_REQUIRE_KERNEL").is_some();
            assert!(!is_required, "{test} needs {PATH}: {error}");
            println!("skipped: {test}: {PATH}: {error}");
            None
        }
    }
}

#[test]
fn every_type_has_a_name_and_a_kind_and_is_found() {
    let Some(btf) = kernel("every_type_has_a_name_and_a_kind_and_is_found") else {
        return;
    };
    assert!(btf.len() > 10_000);
    for id in btf.ids() {
        let ty = btf.ty(id).unwrap();
        let name = btf.name(id).unwrap();
        let kind = ty.kind.id().unwrap();
        if !name.is_empty() {
            let found = btf.find(name, kind).unwrap();
            assert!(
                found <= id && btf.name(found).unwrap() == name,
                "{id} {name}"
            );
            assert!(btf.find_any(name).unwrap() <= found);
        }
        match ty.kind {
            TypeKind::Struct(composite) | TypeKind::Union(composite) => {
                for member in composite.members() {
                    btf.name_at(member.name_off).unwrap();
                    btf.ty(member.ty).unwrap();
                }
                assert_eq!(btf.resolve_size(id).unwrap(), composite.size);
                btf.align_of(id).unwrap();
            }
            TypeKind::Enum { values, .. } | TypeKind::Enum64 { values, .. } => {
                for value in values {
                    assert!(!btf.name_at(value.name_off).unwrap().is_empty());
                }
            }
            _ => {}
        }
    }
    assert_eq!(btf.find("no such type", Kind::Struct), None);
}

#[test]
fn task_struct_has_the_members_that_everybody_knows() {
    let Some(btf) = kernel("task_struct_has_the_members_that_everybody_knows") else {
        return;
    };
    let id = btf.find("task_struct", Kind::Struct).unwrap();
    assert!(
        btf.essential_candidates("task_struct")
            .any(|candidate| candidate == id)
    );
    let TypeKind::Struct(task) = btf.ty(id).unwrap().kind else {
        panic!()
    };
    let member = |name: &str| {
        let is = |offset| btf.name_at(offset).unwrap() == name;
        task.members()
            .iter()
            .find(|member| is(member.name_off))
            .unwrap()
    };
    let pid = btf.skip_mods_and_typedefs(member("pid").ty).unwrap();
    let TypeKind::Int {
        size: 4, encoding, ..
    } = btf.ty(pid).unwrap().kind
    else {
        panic!()
    };
    assert!(encoding.is_signed());
    let TypeKind::Array { nelems, .. } = btf.ty(member("comm").ty).unwrap().kind else {
        panic!()
    };
    assert_eq!(nelems, 16);
    assert!(matches!(
        btf.ty(member("mm").ty).unwrap().kind,
        TypeKind::Ptr(_)
    ));
    assert_eq!(btf.pointer_size() as usize, size_of::<usize>());
}

#[test]
fn every_type_decodes_zeroes() {
    let Some(btf) = kernel("every_type_decodes_zeroes") else {
        return;
    };
    let zeroes = vec![0; 1 << 16];
    let mut decoded = 0;
    for id in btf.ids() {
        let Ok(size) = btf.resolve_size(id) else {
            continue;
        };
        let Some(bytes) = zeroes.get(..size as usize) else {
            continue;
        };
        value::decode(&btf, id, bytes).unwrap();
        decoded += 1;
    }
    assert!(decoded > 1000);
}

#[test]
fn foreign_byte_order_reads_the_same() {
    let Some(btf) = kernel("foreign_byte_order_reads_the_same") else {
        return;
    };
    for endian in [Endian::Little, Endian::Big] {
        let other = Btf::parse(btf.to_bytes(endian)).unwrap();
        assert_eq!(other.endian(), endian);
        assert!(other.raw_bytes() == btf.raw_bytes());
    }
    let copy = BtfBuilder::from_btf(&btf).unwrap().finish().unwrap();
    assert!(copy.raw_bytes() == btf.raw_bytes());
}

#[test]
fn every_struct_is_found_by_its_name() {
    let Some(btf) = kernel("every_struct_is_found_by_its_name") else {
        return;
    };
    let names: Vec<String> = btf
        .ids()
        .filter(|id| btf.ty(*id).unwrap().kind.id() == Some(Kind::Struct))
        .map(|id| btf.name(id).unwrap().to_owned())
        .filter(|name| !name.is_empty())
        .collect();
    assert!(names.iter().any(|name| name == "task_struct"));
    for name in names {
        let id = btf.find(&name, Kind::Struct);
        assert_eq!(id.map(|id| btf.name(id).unwrap()), Some(&*name));
    }
}

#[test]
fn core_relocation_finds_the_kernels_offset() {
    let Some(btf) = kernel("core_relocation_finds_the_kernels_offset") else {
        return;
    };
    let mut local = BtfBuilder::new().pointer_size(8);
    let int = local.add_int("int", 4, IntEncoding::SIGNED).unwrap();
    let members = [NewMember {
        name: "tgid",
        ty: int,
        ..NewMember::default()
    }];
    let type_id = local.add_struct("task_struct___mine", 4, &members).unwrap();
    let access_str_off = local.add_str("0:0").unwrap();
    let kind = RelocationKind::FieldByteOffset as u32;
    let relo = CoreRelo {
        insn_off: 0,
        type_id,
        access_str_off,
        kind,
    };
    let target = Arc::new(btf);
    let mut resolver = Resolver::new(Arc::new(local.finish().unwrap()), Arc::clone(&target));
    let found = resolver.resolve(&relo).unwrap();
    let id = target.find("task_struct", Kind::Struct).unwrap();
    let TypeKind::Struct(task) = target.ty(id).unwrap().kind else {
        panic!()
    };
    let is = |offset| target.name_at(offset).unwrap() == "tgid";
    let member = task
        .members()
        .iter()
        .find(|member| is(member.name_off))
        .unwrap();
    let Outcome::Value { orig: 0, new, .. } = found.outcome else {
        panic!("{found:?}")
    };
    assert_eq!(new, u64::from(member.bit_offset / 8));
    assert_eq!(target.ty(TypeId::VOID).unwrap().kind.id(), Some(Kind::Void));
}

#[test]
fn all_types_are_printed_as_a_header_and_their_values_as_text() {
    let Some(btf) = kernel("all_types_are_printed_as_a_header_and_their_values_as_text") else {
        return;
    };
    let header = Header::new(&btf).to_text().unwrap();
    assert!(header.contains("\nstruct task_struct {\n"));
    assert_eq!(header.matches('{').count(), header.matches('}').count());
    let mut printer = ValueText::new(&btf).emit_zeroes(true);
    for id in btf.ids() {
        let is_struct = btf.ty(id).unwrap().kind.composite().is_some();
        let size = btf.resolve_size(id).unwrap_or(0);
        if is_struct && size < 1 << 12 {
            let text = printer.to_text(id, &vec![0xa5; size as usize]).unwrap();
            assert!(text.ends_with('}') && !text.contains("<truncated>"), "{id}");
        }
    }
}
