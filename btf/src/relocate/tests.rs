use std::sync::Arc;

use super::*;
use crate::distill::Distilled;
use crate::testing::at;
use crate::types::{IntEncoding, Linkage};

/// A base with `task` of this size, preceded by so many types that ids differ.
fn base(shift: u32, size: u32) -> BtfBuilder {
    let mut btf = BtfBuilder::new();
    for number in 0..shift {
        btf.add_float(&format!("f{number}"), 4).unwrap();
    }
    let int = btf.add_int("int", 4, IntEncoding::SIGNED).unwrap();
    btf.add_struct("task", size, &[at("pid", int, 0)]).unwrap();
    btf.add_struct("unused", 4, &[at("x", int, 0)]).unwrap();
    let anonymous = btf.add_union("", 4, &[at("u", int, 0)]).unwrap();
    btf.add_ptr(anonymous).unwrap();
    btf.add_enum64("e", 8, false, &[]).unwrap();
    btf
}

fn finish(btf: &BtfBuilder) -> Arc<Btf> {
    Arc::new(btf.finish().unwrap())
}

fn find(btf: &Btf, name: &str) -> TypeId {
    btf.find_any(name).unwrap()
}

/// A module that uses all kinds of references to its base.
fn module(base: &Arc<Btf>) -> Btf {
    let mut btf = BtfBuilder::new_split(Arc::clone(base));
    let task = find(base, "task");
    let ptr = btf.add_ptr(task).unwrap();
    let anonymous = base
        .ids()
        .find(|id| matches!(base.ty(*id).unwrap().kind, TypeKind::Ptr(_)));
    btf.add_struct(
        "own",
        8,
        &[
            at("task", ptr, 0),
            at("e", find(base, "e"), 0),
            at("any", anonymous.unwrap(), 0),
        ],
    )
    .unwrap();
    btf.finish().unwrap()
}

#[test]
fn distilled_base_has_only_the_names_that_are_needed() {
    let base = finish(&base(3, 64));
    let Distilled { base, split } = module(&base).distill().unwrap();
    let names: Vec<_> = base.ids().map(|id| base.name(id).unwrap()).collect();
    assert_eq!(names, ["int", "task", "e"]);
    let task = base.ty(find(&base, "task")).unwrap().kind;
    let task = task.composite().unwrap();
    assert_eq!((task.size, task.members.len()), (64, 0));
    let kinds: Vec<_> = split
        .own_ids()
        .map(|id| split.ty(id).unwrap().kind.name())
        .collect();
    assert_eq!(kinds, ["ptr", "struct", "union", "ptr"]);
}

#[test]
fn types_are_found_in_another_base() {
    let Distilled { split, .. } = module(&finish(&base(0, 64))).distill().unwrap();
    // The struct grew, which does not matter behind a pointer.
    let other = finish(&base(7, 96));
    let relocated = split.relocate(Arc::clone(&other)).unwrap();
    let own = relocated.ty(find(&relocated, "own")).unwrap().kind;
    let members: Vec<_> = own.composite().unwrap().members.iter().collect();
    let TypeKind::Ptr(task) = relocated.ty(members[0].ty).unwrap().kind else {
        panic!("no pointer");
    };
    assert_eq!(task, find(&other, "task"));
    assert_eq!(relocated.resolve_size(task).unwrap(), 96);
    assert_eq!(members[1].ty, find(&other, "e"));
    assert_eq!(relocated.name_at(members[2].name_off).unwrap(), "any");
}

#[test]
fn embedded_struct_must_have_its_size() {
    let old = finish(&base(0, 64));
    let mut btf = BtfBuilder::new_split(Arc::clone(&old));
    let int = find(&old, "int");
    let array = btf.add_array(find(&old, "task"), int, 2).unwrap();
    btf.add_struct("own", 128, &[at("tasks", array, 0)])
        .unwrap();
    let Distilled { split, .. } = btf.finish().unwrap().distill().unwrap();
    assert!(split.relocate(finish(&base(1, 64))).is_ok());
    let error = split
        .relocate(finish(&base(1, 96)))
        .unwrap_err()
        .to_string();
    assert!(error.contains("struct `task`"), "{error}");
}

#[test]
fn size_tells_structs_of_one_name_apart() {
    let Distilled { split, .. } = module(&finish(&base(0, 64))).distill().unwrap();
    let mut two = base(0, 96);
    let wanted = two.add_struct("task", 64, &[]).unwrap();
    let relocated = split.relocate(finish(&two)).unwrap();
    assert!(matches!(
        relocated.ty(relocated.start_id()).unwrap().kind,
        TypeKind::Ptr(ty) if ty == wanted
    ));
    let mut three = two.clone();
    three.add_struct("task", 64, &[]).unwrap();
    let error = split.relocate(finish(&three)).unwrap_err().to_string();
    assert!(error.contains("more than once"), "{error}");
}

#[test]
fn what_cannot_be_distilled_or_found_is_named() {
    let old = finish(&base(0, 64));
    assert!(matches!(old.distill(), Err(Error::Unsupported { .. })));
    assert!(matches!(
        old.relocate(Arc::clone(&old)),
        Err(Error::Unsupported { .. })
    ));
    let error = module(&old).relocate(Arc::clone(&old)).unwrap_err();
    assert!(error.to_string().contains("distilled"), "{error}");

    let mut with_var = base(0, 64);
    let var = with_var.add_var("v", Linkage::GLOBAL, TypeId(1)).unwrap();
    let mut split = BtfBuilder::new_split(finish(&with_var));
    split.add_decl_tag("tag", var, -1).unwrap();
    let error = split.finish().unwrap().distill().unwrap_err().to_string();
    assert!(error.contains("var `v`"), "{error}");

    let Distilled { split, .. } = module(&old).distill().unwrap();
    let error = split.relocate(finish(&BtfBuilder::new())).unwrap_err();
    assert!(error.to_string().contains("int `int`"), "{error}");
}
