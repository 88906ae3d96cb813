//! What is said of candidates that do not fit.

use super::*;
use crate::Btf;

/// The candidate and what of it does not fit, as text.
fn why(local: &mut BtfBuilder, target: &BtfBuilder, root: TypeId, access: &str, kind: K) -> String {
    let relo = relo(local, root, access, kind);
    let main: Arc<Btf> = Arc::new(target.finish().unwrap());
    let mut resolver = Resolver::new(Arc::new(local.finish().unwrap()), main);
    let found = resolver.resolve(&relo).unwrap();
    let (ty, why) = resolver.describe(&found.tried[0]);
    format!("{ty}: {}", why.unwrap_or_default())
}

#[test]
fn a_member_that_is_not_there_is_named() {
    let (mut local, ours, target, _) = tasks();
    let (local, target) = (&mut local.btf, &target.btf);
    assert_eq!(
        why(local, target, ours, "0:2", K::FieldByteOffset),
        "[5] struct task: it has no member `gone`"
    );
    assert_eq!(
        why(local, target, ours, "0:1", K::FieldByteOffset),
        "[5] struct task: "
    );
}

#[test]
fn a_member_of_another_type_is_shown_with_both() {
    let mut local = types();
    let root = local.add_struct("s", 4, &[at("x", local.int, 0)]);
    let mut target = types();
    let inner = target.add_struct("inner", 8, &[]);
    target.add_struct("s", 8, &[at("x", inner, 0)]);
    assert_eq!(
        why(&mut local.btf, &target.btf, root, "0:0", K::FieldByteOffset),
        "[6] struct s: member `x` of it is [5] struct inner, expected [1] int int"
    );
}

#[test]
fn an_array_that_is_too_short_or_none_says_so() {
    let mut local = types();
    let array = local.btf.add_array(local.int, local.int, 4).unwrap();
    let root = local.add_struct("s", 16, &[at("x", array, 0)]);
    let mut target = types();
    let array = target.btf.add_array(target.int, target.int, 2).unwrap();
    target.add_struct("s", 8, &[at("x", array, 0)]);
    assert_eq!(
        why(
            &mut local.btf,
            &target.btf,
            root,
            "0:0:3",
            K::FieldByteOffset
        ),
        "[6] struct s: an array has 2 elements, and element 3 is meant"
    );
}

#[test]
fn an_enumerator_that_is_not_there_is_named() {
    let mut local = types();
    let root = local.btf.add_enum("e", 4, &[value("GONE", 1)]).unwrap();
    let mut target = types();
    target.btf.add_enum("e", 4, &[value("KEPT", 1)]).unwrap();
    assert_eq!(
        why(&mut local.btf, &target.btf, root, "0", K::EnumvalValue),
        "[5] enum e: it has no value `GONE`"
    );
}

#[test]
fn a_type_that_does_not_match_differs() {
    let mut local = types();
    let root = local.add_struct("s", 4, &[at("x", local.int, 0)]);
    let mut target = types();
    target.add_struct("s", 4, &[at("y", target.int, 0)]);
    assert_eq!(
        why(&mut local.btf, &target.btf, root, "0", K::TypeMatches),
        "[5] struct s: the types differ"
    );
}
