//! Which candidates are tried, what if they disagree, and what makes no sense.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::Btf;
use crate::builder::NewParam;
use crate::core::{KnownTargets, Targets, types_compatible, types_match};
use crate::error::{BoxedError, Error};

#[test]
fn candidates_that_agree_are_one() {
    let mut local = types();
    let ours = local.add_struct("s", 4, &[at("x", local.int, 0)]);
    let mut target = types();
    for flavour in ["s", "s___2", "s___3"] {
        target.add_struct(flavour, 8, &[at("x", target.int, 4)]);
    }
    let found = resolve(&mut local.btf, &target.btf, ours, "0:0", K::FieldByteOffset).unwrap();
    assert_eq!((found.outcome, found.tried.len()), (plain(0, 4), 3));
}

#[test]
fn candidates_that_disagree_are_ambiguous_until_narrowed() {
    let mut local = types();
    let members = [at("x", local.int, 0), at("only", local.int, 4)];
    let ours = local.add_struct("s", 8, &members);
    let mut target = types();
    target.add_struct("s", 8, &[at("x", target.int, 4)]);
    let two = [at("x", target.int, 0), at("only", target.int, 12)];
    target.add_struct("s", 16, &two);
    let x = relo(&mut local.btf, ours, "0:0", K::FieldByteOffset);
    let only = relo(&mut local.btf, ours, "0:1", K::FieldByteOffset);
    let error = resolve_all(&local.btf, &target.btf, &[x])
        .remove(0)
        .unwrap_err();
    let Error::Ambiguous {
        first_value,
        second_value,
        ..
    } = &error
    else {
        panic!("{error}")
    };
    assert_eq!((&**first_value, &**second_value), ("4", "0"));
    // Once a relocation excluded a candidate, it is not asked again.
    let found = resolve_all(&local.btf, &target.btf, &[only, x]);
    let outcomes: Vec<_> = found
        .into_iter()
        .map(|found| found.unwrap().outcome)
        .collect();
    assert_eq!(outcomes, [plain(4, 12), plain(0, 0)]);
}

#[test]
fn type_sizes_of_candidates_must_agree() {
    let mut local = types();
    let ours = local.add_struct("s", 8, &[]);
    let mut target = types();
    target.add_struct("s", 8, &[]);
    target.add_struct("s", 16, &[]);
    let (local, target) = (&mut local.btf, &target.btf);
    let error = resolve(local, target, ours, "0", K::TypeSize).unwrap_err();
    assert!(matches!(error, Error::Ambiguous { .. }), "{error}");
    assert_eq!(
        outcome(local, target, ours, "0", K::TypeExists),
        plain(1, 1)
    );
}

/// Counts how often it is asked for modules.
struct Lazy {
    known: KnownTargets,
    asked: AtomicUsize,
}

impl Targets for Lazy {
    fn main(&self) -> &Arc<Btf> {
        &self.known.main
    }

    fn modules(&self) -> Result<&[Arc<Btf>], BoxedError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.known.modules()
    }
}

#[test]
fn modules_are_asked_only_if_the_kernel_has_no_candidate() {
    let mut local = types();
    let in_kernel = local.add_struct("kernel", 4, &[at("x", local.int, 0)]);
    let in_module = local.add_struct("module", 4, &[at("x", local.int, 0)]);
    let mut main = types();
    main.add_struct("kernel", 8, &[at("x", main.int, 4)]);
    let main = Arc::new(main.btf.finish().unwrap());
    let module = |offset| {
        let mut btf = BtfBuilder::new_split(Arc::clone(&main));
        if let Some(offset) = offset {
            btf.add_struct("module", 16, &[at("x", TypeId(1), offset)])
                .unwrap();
        }
        Arc::new(btf.finish().unwrap())
    };
    let modules = vec![module(None), module(Some(8)), module(Some(8))];
    let known = KnownTargets {
        main: Arc::clone(&main),
        modules,
    };
    let lazy = Lazy {
        known,
        asked: AtomicUsize::new(0),
    };
    let first = relo(&mut local.btf, in_kernel, "0:0", K::FieldByteOffset);
    let second = relo(&mut local.btf, in_module, "0:0", K::FieldByteOffset);
    let mut resolver = Resolver::new(Arc::new(local.btf.finish().unwrap()), &lazy);
    assert_eq!(resolver.resolve(&first).unwrap().outcome, plain(0, 4));
    assert_eq!(lazy.asked.load(Ordering::Relaxed), 0);
    let found = resolver.resolve(&second).unwrap();
    assert_eq!(found.outcome, plain(0, 8));
    let modules: Vec<_> = found
        .tried
        .iter()
        .map(|tried| tried.target.module)
        .collect();
    assert_eq!(modules, [Some(1), Some(2)]);
}

#[test]
fn malformed_access_strings_are_refused() {
    let (mut local, ours, target, _) = tasks();
    let (local, target) = (&mut local.btf, &target.btf);
    let long = vec!["0"; 65].join(":");
    for (access, kind, problem) in [
        ("", K::FieldByteOffset, "list of numbers"),
        (":0", K::FieldByteOffset, "list of numbers"),
        ("0:", K::FieldByteOffset, "list of numbers"),
        ("0:-1", K::FieldByteOffset, "list of numbers"),
        ("0:+1", K::FieldByteOffset, "list of numbers"),
        ("0:x", K::FieldByteOffset, "list of numbers"),
        ("0:4294967296", K::FieldByteOffset, "list of numbers"),
        (&long, K::FieldByteOffset, "64 steps"),
        ("0:3", K::FieldByteOffset, "more members"),
        ("0:0:0", K::FieldByteOffset, "no struct, union or array"),
        ("0:0", K::TypeExists, "must be 0"),
        ("0", K::EnumvalValue, "no enum"),
    ] {
        let error = resolve(local, target, ours, access, kind).unwrap_err();
        assert!(matches!(error, Error::AccessString { .. }), "{error}");
        assert!(error.to_string().contains(problem), "{access}: {error}");
    }
    let error = resolve(local, target, ours, "2147483647", K::FieldByteOffset).unwrap_err();
    assert!(matches!(error, Error::SizeOverflow { .. }), "{error}");
}

#[test]
fn hostile_nesting_ends_in_an_error() {
    // Each anonymous struct holds the one before twice: 2^40 paths to search for a field.
    let mut target = types();
    let mut inner = target.add_struct("", 4, &[at("y", target.int, 0)]);
    for _ in 0..40 {
        inner = target.add_struct("", 8, &[at("", inner, 0), at("", inner, 4)]);
    }
    target.add_struct("s", 8, &[at("", inner, 0)]);
    let mut local = types();
    let ours = local.add_struct("s", 4, &[at("x", local.int, 0)]);
    let error = resolve(&mut local.btf, &target.btf, ours, "0:0", K::FieldExists).unwrap_err();
    let Error::Candidate { source, .. } = &error else {
        panic!("{error}")
    };
    assert!(matches!(**source, Error::TooComplex { .. }), "{source}");

    // A struct inside itself.
    let mut target = types();
    target.add_struct("s", 8, &[at("", TypeId(5), 0)]);
    let error = resolve(&mut local.btf, &target.btf, ours, "0:0", K::FieldExists).unwrap_err();
    let Error::Candidate { source, .. } = &error else {
        panic!("{error}")
    };
    assert!(matches!(**source, Error::Depth { .. }), "{source}");

    // Function types whose parameters are function types, twice each.
    let deep = |t: &mut Types| {
        let mut inner = t.int;
        for _ in 0..31 {
            let params = [NewParam {
                name: "",
                ty: inner,
            }; 2];
            inner = t.btf.add_func_proto(TypeId::VOID, &params).unwrap();
        }
        inner
    };
    let (mut local, mut target) = (types(), types());
    let (ours, theirs) = (deep(&mut local), deep(&mut target));
    let (local, target) = (local.btf.finish().unwrap(), target.btf.finish().unwrap());
    for compare in [types_compatible, types_match] {
        let error = compare(&local, ours, &target, theirs).unwrap_err();
        assert!(matches!(error, Error::TooComplex { .. }), "{error}");
    }
}
