use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::encode::encode_in_chunks;
use super::{Dialect, Functions, Languages, Options, SkipReason, Variables, encode};
use crate::diff::{Change, diff};
use crate::types::TypeKind;
use crate::{Btf, Endian, Error, Kind, TypeId};

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../../tests/dwarf/", $name)).as_slice()
    };
}

const GCC5: &[u8] = fixture!("gcc5.o");
const LINKED: &[u8] = fixture!("linked.so");
const TAGS: &[u8] = fixture!("tags.bpf.o");

fn everything() -> Options {
    Options::new()
        .functions(Functions::All)
        .variables(Variables::All)
        .threads(1)
}

fn btf_of(data: &[u8]) -> Btf {
    encode(data, &everything()).unwrap().btf
}

/// All types, one below the other, in the order of their ids.
fn listing(btf: &Btf) -> String {
    let mut text = String::new();
    for id in btf.own_ids() {
        let ty = btf.ty(id).unwrap();
        let (kind, name) = (ty.kind.name(), btf.name(id).unwrap());
        write!(text, "{} {kind} {name}", id.0).unwrap();
        let mut lines = Vec::new();
        let name_at = |offset| btf.name_at(offset).unwrap();
        match ty.kind {
            TypeKind::Int { size, encoding, .. } => {
                write!(text, " size={size} encoding={}", encoding.0)
            }
            TypeKind::Float { size } => write!(text, " size={size}"),
            TypeKind::Array {
                elem,
                index,
                nelems,
            } => write!(text, " {nelems} of {} by {}", elem.0, index.0),
            TypeKind::Struct(composite) | TypeKind::Union(composite) => {
                lines.extend(composite.members().iter().map(|member| {
                    let name = name_at(member.name_off);
                    let (ty, at, bits) = (member.ty.0, member.bit_offset, member.bitfield_size);
                    format!("{name} {ty} @{at}:{bits}")
                }));
                write!(text, " size={}", composite.size)
            }
            TypeKind::Enum { size, signed, .. } | TypeKind::Enum64 { size, signed, .. } => {
                let values = ty.kind.enumerators().unwrap().iter();
                lines.extend(values.map(|v| format!("{} {}", name_at(v.name_off), v.value)));
                write!(text, " size={size} signed={signed}")
            }
            TypeKind::Fwd { union } => write!(text, " union={union}"),
            TypeKind::FuncProto { ret, params } => {
                lines.extend(
                    params
                        .iter()
                        .map(|p| format!("{} {}", name_at(p.name_off), p.ty.0)),
                );
                write!(text, " {}", ret.0)
            }
            TypeKind::Func { proto, linkage } => write!(text, " {} linkage={}", proto.0, linkage.0),
            TypeKind::Var { ty, linkage } => write!(text, " {} linkage={}", ty.0, linkage.0),
            TypeKind::DeclTag { ty, component } => write!(text, " {} of {component}", ty.0),
            TypeKind::Datasec { size, secinfos } => {
                let infos = secinfos.iter();
                lines.extend(infos.map(|i| format!("{} @{} size={}", i.ty.0, i.offset, i.size)));
                write!(text, " size={size}")
            }
            TypeKind::Typedef(ty) => write!(text, " {}", ty.0),
            ref other => write!(
                text,
                "{}",
                other
                    .modified()
                    .map_or(pointee(other), |ty| format!(" {}", ty.0))
            ),
        }
        .unwrap();
        text.push('\n');
        for line in lines {
            writeln!(text, "    {line}").unwrap();
        }
    }
    text
}

fn pointee(kind: &TypeKind<'_>) -> String {
    match kind {
        TypeKind::Ptr(ty) => format!(" {}", ty.0),
        _ => String::new(),
    }
}

#[test]
fn object_of_gcc_gives_exactly_these_types() {
    assert_eq!(
        listing(&btf_of(GCC5)),
        include_str!("../../tests/dwarf/shapes.txt")
    );
}

#[test]
fn program_of_two_units_gives_exactly_these_types() {
    assert_eq!(
        listing(&btf_of(LINKED)),
        include_str!("../../tests/dwarf/linked.txt")
    );
}

/// Differences that follow from the compiler's names of types alone are none here.
fn same(a: &[u8], b: &[u8]) {
    let (a, b) = (btf_of(a), btf_of(b));
    let diff = diff(&a, &b).unwrap();
    assert!(diff.is_empty(), "{diff}");
}

#[test]
fn version_of_dwarf_does_not_matter() {
    same(fixture!("gcc3.o"), GCC5);
    same(fixture!("gcc4.o"), GCC5);
    same(fixture!("clang3.o"), fixture!("clang4.o"));
    // It has no `restrict`.
    let (a, b) = (btf_of(fixture!("gcc2.o")), btf_of(GCC5));
    let diff = diff(&a, &b).unwrap();
    let [changed] = diff.changed.as_slice() else {
        panic!("{diff}");
    };
    assert_eq!(changed.a.name, "hidden");
    assert!(diff.only_a.is_empty() && diff.only_b.is_empty(), "{diff}");
}

#[test]
fn byte_order_of_the_file_does_not_matter() {
    let encoded = encode(fixture!("s390x.o"), &everything()).unwrap();
    assert_eq!(encoded.endian, Endian::Big);
    let diff = diff(&btf_of(fixture!("clang4.o")), &encoded.btf).unwrap();
    let mut changed: Vec<_> = diff.changed.iter().map(|c| c.a.name.as_str()).collect();
    changed.sort_unstable();
    // Characters have no sign there, and DWARF 2 has no `restrict`.
    assert_eq!(changed, ["char", "hidden"], "{diff}");
    assert!(diff.only_a.len() + diff.only_b.len() <= 1, "{diff}");
}

#[test]
fn size_of_pointers_is_that_of_the_file() {
    let btf = btf_of(fixture!("arm.o"));
    assert_eq!(btf.pointer_size(), 4);
    let word = btf.find("word", Kind::Typedef).unwrap();
    assert_eq!(btf.resolve_size(word).unwrap(), 4);
    let variable = btf.find("counter", Kind::Var).unwrap();
    assert_eq!(btf.resolve_size(variable).unwrap(), 4);
}

#[test]
fn definitions_may_be_in_type_units() {
    same(fixture!("types4.o"), GCC5);
    same(fixture!("types5.o"), GCC5);
}

#[test]
fn debug_sections_may_be_compressed() {
    same(fixture!("compressed.so"), LINKED);
}

#[test]
fn units_may_refer_to_each_other() {
    let data = fixture!("lto.so");
    let whole = encode(data, &everything()).unwrap();
    assert_eq!((whole.report.dangling, whole.report.skipped.len()), (0, 0));
    let diff = diff(&whole.btf, &btf_of(LINKED)).unwrap();
    // The compiler changed both functions of this name.
    let missing: Vec<_> = diff.only_b.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(missing, ["hidden"], "{diff}");
    assert!(diff.changed.is_empty() && diff.only_a.is_empty(), "{diff}");
    let unit_by_unit = encode_in_chunks(data, &everything(), 1).unwrap();
    assert_eq!(unit_by_unit.btf.raw_bytes(), whole.btf.raw_bytes());
    assert_eq!(unit_by_unit.report, whole.report);
}

#[test]
fn chunks_come_together_again() {
    let whole = encode(LINKED, &everything()).unwrap();
    for threads in [1, 2] {
        let options = everything().threads(threads);
        let parts = encode_in_chunks(LINKED, &options, 1).unwrap();
        let diff = diff(&whole.btf, &parts.btf).unwrap();
        assert!(diff.is_empty(), "{diff}");
        assert_eq!(parts.btf.len(), whole.btf.len());
        assert_eq!(parts.report, whole.report);
    }
}

/// What clang makes of a source itself is what comes of its DWARF.
#[test]
fn bpf_object_gives_what_clang_gives() {
    use object::{Object as _, ObjectSection as _};
    let file = object::File::parse(TAGS).unwrap();
    let section = file.section_by_name(".BTF").unwrap();
    let clang = Btf::parse(section.data().unwrap().to_vec()).unwrap();
    let diff = diff(&clang, &btf_of(TAGS)).unwrap();
    // Clang leaves out typedefs that no type refers to, and sizes of sections that it cannot know.
    let added: Vec<_> = diff.only_b.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(added, ["noted", "typedef of noted"], "{diff}");
    let changed: Vec<_> = diff.changed.iter().flat_map(|c| &c.changes).collect();
    assert!(matches!(changed.as_slice(), [Change::Size(0, _)]), "{diff}");
    assert!(diff.only_a.is_empty(), "{diff}");
}

#[test]
fn dialect_decides_on_arrays_and_linkage() {
    let options = everything().dialect(Dialect::Kernel);
    let btf = encode(TAGS, &options).unwrap().btf;
    let arrays: Vec<_> = btf
        .own_ids()
        .filter_map(|id| match btf.ty(id).unwrap().kind {
            TypeKind::Array { index, nelems, .. } => Some((btf.name(index).unwrap(), nelems)),
            _ => None,
        })
        .collect();
    assert_eq!(arrays, [("int", 6)]);
    let run = btf.find("run", Kind::Func).unwrap();
    assert!(matches!(btf.ty(run).unwrap().kind, TypeKind::Func { linkage, .. } if linkage.0 == 0));
}

#[test]
fn attributes_are_left_out_on_request() {
    let mut options = everything();
    (options.no_decl_tags, options.no_type_tags) = (true, true);
    let btf = encode(TAGS, &options).unwrap().btf;
    let count = |kind| {
        let kinds = btf.own_ids().map(|id| btf.ty(id).unwrap().kind.id());
        kinds.filter(|found| *found == Some(kind)).count()
    };
    assert_eq!((count(Kind::DeclTag), count(Kind::TypeTag)), (0, 0));
}

#[test]
fn old_kernels_get_neither_floats_nor_wide_enums() {
    let mut options = everything();
    (options.no_floats, options.no_enum64) = (true, true);
    let btf = encode(GCC5, &options).unwrap().btf;
    let ratio = btf.find("float", Kind::Int).unwrap();
    assert_eq!(btf.resolve_size(ratio).unwrap(), 4);
    let big = btf.find("big", Kind::Enum).unwrap();
    let TypeKind::Enum { size, values, .. } = btf.ty(big).unwrap().kind else {
        panic!();
    };
    assert_eq!((size, values.get(0).unwrap().value), (8, 0x5678_9abc));
}

#[test]
fn functions_that_cannot_be_relied_on_are_left_out() {
    let names = |options: &Options| {
        let encoded = encode(LINKED, options).unwrap();
        let btf = &encoded.btf;
        let functions = btf
            .own_ids()
            .filter(|id| matches!(btf.ty(*id).unwrap().kind, TypeKind::Func { .. }));
        let names = functions.map(|id| btf.name(id).unwrap().to_owned());
        (names.collect::<Vec<_>>(), encoded.report.functions)
    };
    let (all, _) = names(&everything());
    assert_eq!(all, ["hidden", "use_declared", "visible", "with_packed"]);
    let (consistent, report) = names(&Options::new());
    // `hidden` is two functions; the compiler saw that `visible` does not need one of its own.
    assert!(!consistent.contains(&"hidden".to_owned()), "{consistent:?}");
    assert_eq!(report.encoded, consistent.len());
    assert_eq!(report.ambiguous, 1);
    let (none, _) = names(&Options::new().functions(Functions::None));
    assert!(none.is_empty());
}

#[test]
fn functions_of_objects_know_their_parameters_places() {
    let encoded = encode(GCC5, &Options::new()).unwrap();
    let functions = encoded.report.functions;
    assert_eq!(
        functions.encoded + functions.displaced + functions.optimized,
        3,
        "{functions:?}"
    );
}

#[test]
fn per_cpu_variables_are_the_default() {
    let encoded = encode(GCC5, &Options::new()).unwrap();
    assert_eq!(encoded.report.variables, 1);
    let section = encoded.btf.find(".data..percpu", Kind::Datasec).unwrap();
    let TypeKind::Datasec { secinfos, .. } = encoded.btf.ty(section).unwrap().kind else {
        panic!();
    };
    let variable = secinfos.get(0).unwrap();
    assert_eq!(encoded.btf.name(variable.ty).unwrap(), "percpu_like");
    assert_eq!((variable.offset, variable.size), (0, 4));
    let none = encode(GCC5, &Options::new().variables(Variables::None)).unwrap();
    assert_eq!(none.btf.find("percpu_like", Kind::Var), None);
}

#[test]
fn split_btf_has_only_what_its_base_has_not() {
    let base = Arc::new(btf_of(GCC5));
    let encoded = encode(LINKED, &everything().base(Arc::clone(&base))).unwrap();
    let btf = &encoded.btf;
    assert_eq!(btf.start_id(), TypeId(base.len()));
    let own: Vec<_> = btf.own_ids().map(|id| btf.name(id).unwrap()).collect();
    assert!(
        !own.contains(&"node") && own.contains(&"use_declared"),
        "{own:?}"
    );
}

#[test]
fn number_of_threads_does_not_matter() {
    let one = encode(LINKED, &everything().threads(1)).unwrap();
    for threads in [0, 2, 7] {
        let other = encode(LINKED, &everything().threads(threads)).unwrap();
        assert_eq!(one.btf.raw_bytes(), other.btf.raw_bytes());
        assert_eq!(one.report, other.report);
    }
}

#[test]
fn progress_counts_all_units() {
    let calls = Arc::new(AtomicUsize::new(0));
    let last = Arc::new(Mutex::new(None));
    let (count, seen) = (Arc::clone(&calls), Arc::clone(&last));
    let options = Options::new().threads(1).progress(move |progress| {
        count.fetch_add(1, Ordering::Relaxed);
        *seen.lock().unwrap() = Some((progress.done, progress.total));
    });
    encode(LINKED, &options).unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 2);
    assert_eq!(*last.lock().unwrap(), Some((2, 2)));
}

#[test]
fn split_dwarf_is_named() {
    let error = encode(fixture!("split.o"), &Options::new()).unwrap_err();
    assert!(
        matches!(error, Error::Unsupported { what } if what.contains(".dwo")),
        "{error}"
    );
}

#[test]
fn files_without_dwarf_are_refused() {
    for data in [&b"no elf"[..], &[]] {
        let error = encode(data, &Options::new()).unwrap_err();
        assert!(matches!(error, Error::DebugInfo { .. }), "{error}");
    }
    // The header alone.
    let mut header = GCC5[..64].to_vec();
    header[40..48].fill(0);
    header[58..64].fill(0);
    let error = encode(&header, &Options::new()).unwrap_err();
    assert!(matches!(error, Error::NoDebugInfo { .. }), "{error}");
}

/// Where a section of a fixture is.
fn section(data: &[u8], name: &str) -> std::ops::Range<usize> {
    use object::{Object as _, ObjectSection as _};
    let file = object::File::parse(data).unwrap();
    let (start, len) = file.section_by_name(name).unwrap().file_range().unwrap();
    start as usize..(start + len) as usize
}

#[test]
fn broken_unit_is_skipped_and_named() {
    let mut data = LINKED.to_vec();
    let info = section(&data, ".debug_info");
    // The second unit loses its last entries, and what is left ends inside of one.
    let first = u32::from_le_bytes(data[info.start..][..4].try_into().unwrap()) as usize + 4;
    let second = info.start + first;
    data[second + 200..info.end].fill(0xff);
    let encoded = encode(&data, &everything()).unwrap();
    let [skipped] = encoded.report.skipped.as_slice() else {
        panic!("{:?}", encoded.report);
    };
    assert_eq!(
        (skipped.offset, skipped.name.as_str()),
        (first as u64, "other.c")
    );
    assert!(
        matches!(skipped.reason, SkipReason::Broken(_)),
        "{}",
        skipped.reason
    );
    assert_eq!(encoded.report.units, 2);
    let btf = encoded.btf;
    assert!(btf.find("node", Kind::Struct).is_some());
    assert!(btf.find("use_declared", Kind::Func).is_none());
}

#[test]
fn other_languages_are_skipped_unless_asked_for() {
    // The language of a unit is the byte behind its producer; Rust is 0x1c.
    let mut data = LINKED.to_vec();
    let info = section(&data, ".debug_info");
    let language = data[info.clone()]
        .iter()
        .position(|byte| *byte == 0x1d)
        .unwrap();
    data[info.start + language] = 0x1c;
    let encoded = encode(&data, &everything()).unwrap();
    let [skipped] = encoded.report.skipped.as_slice() else {
        panic!("{:?}", encoded.report);
    };
    assert_eq!(
        skipped.reason,
        SkipReason::Language("DW_LANG_Rust".to_owned())
    );
    assert_eq!(skipped.name, "shapes.c");
    let all = encode(&data, &everything().languages(Languages::All)).unwrap();
    assert!(all.report.skipped.is_empty());
    assert!(all.btf.find("node", Kind::Struct).is_some());
}

#[test]
fn no_prefix_or_flipped_byte_panics() {
    for data in [GCC5, LINKED, TAGS, fixture!("types5.o"), fixture!("gcc2.o")] {
        for len in (0..data.len()).step_by(97) {
            let _result = encode(&data[..len], &everything());
        }
        let mut data = data.to_vec();
        for at in (0..data.len()).step_by(13) {
            data[at] ^= 0x55;
            let _result = encode(&data, &everything());
            data[at] ^= 0x55;
        }
    }
}

#[test]
fn byte_order_of_the_file_is_told() {
    assert_eq!(
        encode(GCC5, &Options::new()).unwrap().endian,
        Endian::Little
    );
}
