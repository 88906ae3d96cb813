//! DWARF that no compiler here makes, put together entry by entry.

use std::collections::HashMap;

use gimli::constants as c;

use super::{Encoded, Functions, Options, SkipReason, encode};
use crate::types::TypeKind;
use crate::{Btf, Kind, TypeId};

/// An entry with its attributes and those inside it.
#[derive(Clone, Default)]
struct Die {
    tag: u16,
    label: &'static str,
    attrs: Vec<(u16, u16, Value)>,
    children: Vec<Self>,
}

#[derive(Clone)]
enum Value {
    Bytes(Vec<u8>),
    /// The entry with this label.
    Ref(&'static str),
}

fn die(tag: gimli::DwTag) -> Die {
    Die {
        tag: tag.0,
        ..Die::default()
    }
}

impl Die {
    fn label(mut self, label: &'static str) -> Self {
        self.label = label;
        self
    }

    fn with(mut self, at: u16, form: gimli::DwForm, value: Value) -> Self {
        self.attrs.push((at, form.0, value));
        self
    }

    fn name(self, name: &str) -> Self {
        self.string(c::DW_AT_name.0, name)
    }

    fn string(self, at: u16, text: &str) -> Self {
        let bytes = [text.as_bytes(), &[0]].concat();
        self.with(at, c::DW_FORM_string, Value::Bytes(bytes))
    }

    fn number(self, at: gimli::DwAt, value: u64) -> Self {
        let bytes = value.to_le_bytes().to_vec();
        self.with(at.0, c::DW_FORM_data8, Value::Bytes(bytes))
    }

    fn flag(self, at: gimli::DwAt) -> Self {
        self.with(at.0, c::DW_FORM_flag_present, Value::Bytes(Vec::new()))
    }

    fn ty(self, label: &'static str) -> Self {
        self.refer(c::DW_AT_type.0, label)
    }

    fn refer(self, at: u16, label: &'static str) -> Self {
        self.with(at, c::DW_FORM_ref4, Value::Ref(label))
    }

    fn child(mut self, child: Self) -> Self {
        self.children.push(child);
        self
    }

    fn children(mut self, children: impl IntoIterator<Item = Self>) -> Self {
        self.children.extend(children);
        self
    }
}

fn int() -> Die {
    die(c::DW_TAG_base_type)
        .label("int")
        .name("int")
        .number(c::DW_AT_byte_size, 4)
        .number(c::DW_AT_encoding, c::DW_ATE_signed.0.into())
}

fn uleb(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        out.push(if value == 0 { byte } else { byte | 0x80 });
        if value == 0 {
            return;
        }
    }
}

#[derive(Default)]
struct Writer {
    info: Vec<u8>,
    abbrev: Vec<u8>,
    count: u64,
    labels: HashMap<&'static str, u32>,
    refs: Vec<(usize, &'static str)>,
}

impl Writer {
    fn write(&mut self, die: &Die) {
        if !die.label.is_empty() {
            self.labels.insert(die.label, self.info.len() as u32);
        }
        self.count += 1;
        uleb(&mut self.info, self.count);
        uleb(&mut self.abbrev, self.count);
        uleb(&mut self.abbrev, die.tag.into());
        self.abbrev.push((!die.children.is_empty()).into());
        for (at, form, value) in &die.attrs {
            uleb(&mut self.abbrev, (*at).into());
            uleb(&mut self.abbrev, (*form).into());
            match value {
                Value::Bytes(bytes) => self.info.extend_from_slice(bytes),
                Value::Ref(label) => {
                    self.refs.push((self.info.len(), label));
                    self.info.extend_from_slice(&[0; 4]);
                }
            }
        }
        self.abbrev.extend_from_slice(&[0, 0]);
        for child in &die.children {
            self.write(child);
        }
        if !die.children.is_empty() {
            self.info.push(0);
        }
    }
}

/// A linked ELF file for x86-64 with these sections.
fn elf(sections: &[(&str, &[u8])]) -> Vec<u8> {
    let mut names = vec![0];
    let mut data = Vec::new();
    let mut headers = vec![[0u8; 64]];
    let end = ("\0.shstrtab", &[][..]);
    for (name, content) in sections.iter().chain([&end]) {
        let name_at = names.len() as u32;
        names.extend_from_slice(name.trim_start_matches('\0').as_bytes());
        names.push(0);
        let content = if name.starts_with('\0') {
            &names
        } else {
            *content
        };
        let mut header = [0; 64];
        header[..4].copy_from_slice(&name_at.to_le_bytes());
        header[4] = if name.starts_with('\0') { 3 } else { 1 };
        header[24..32].copy_from_slice(&(64 + data.len() as u64).to_le_bytes());
        header[32..40].copy_from_slice(&(content.len() as u64).to_le_bytes());
        headers.push(header);
        data.extend_from_slice(content);
    }
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(64, 0);
    (file[16], file[18], file[20]) = (3, 62, 1);
    file[40..48].copy_from_slice(&(64 + data.len() as u64).to_le_bytes());
    (file[52], file[58]) = (64, 64);
    file[60..62].copy_from_slice(&(headers.len() as u16).to_le_bytes());
    file[62..64].copy_from_slice(&(headers.len() as u16 - 1).to_le_bytes());
    file.extend(data);
    file.extend(headers.concat());
    file
}

/// A file with one unit of C that has these entries, and a section of strings.
fn file_with_strings(entries: Vec<Die>, strings: &[u8]) -> Vec<u8> {
    let unit = die(c::DW_TAG_compile_unit)
        .name("built.c")
        .children(entries);
    let mut writer = Writer::default();
    // The header: length, version 4, abbreviations at 0, addresses of 8 bytes.
    writer
        .info
        .extend_from_slice(&[0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 8]);
    writer.write(&unit);
    writer.abbrev.push(0);
    for (at, label) in &writer.refs {
        // No entry is at the end of the unit.
        let target = writer.labels.get(label).copied();
        let target = target.unwrap_or(writer.info.len() as u32 - 1);
        writer.info[*at..at + 4].copy_from_slice(&target.to_le_bytes());
    }
    let len = writer.info.len() as u32 - 4;
    writer.info[..4].copy_from_slice(&len.to_le_bytes());
    elf(&[
        (".debug_info", &writer.info),
        (".debug_abbrev", &writer.abbrev),
        (".debug_str", strings),
    ])
}

fn encoded(entries: Vec<Die>) -> Encoded {
    let options = Options::new().functions(Functions::All).threads(1);
    encode(&file_with_strings(entries, &[]), &options).unwrap()
}

/// Why the only unit was skipped.
fn broken(entries: Vec<Die>, strings: &[u8]) -> String {
    let encoded = encode(&file_with_strings(entries, strings), &Options::new()).unwrap();
    let [skipped] = encoded.report.skipped.as_slice() else {
        panic!("{:?}", encoded.report);
    };
    assert_eq!(skipped.name, "built.c");
    match &skipped.reason {
        SkipReason::Broken(problem) => problem.clone(),
        other => panic!("{other}"),
    }
}

/// The types that a chain of pointers, attributes and modifiers goes through.
fn chain(btf: &Btf, id: TypeId) -> Vec<String> {
    let mut text = Vec::new();
    let mut at = id;
    loop {
        let kind = btf.ty(at).unwrap().kind;
        text.push(
            format!("{} {}", kind.name(), btf.name(at).unwrap())
                .trim()
                .to_owned(),
        );
        at = match kind {
            TypeKind::Ptr(to) | TypeKind::Typedef(to) | TypeKind::Var { ty: to, .. } => to,
            _ => match kind.modified() {
                Some(to) => to,
                None => return text,
            },
        };
    }
}

#[test]
fn annotations_of_gcc_are_chains() {
    const ANNOTATION: u16 = 0x2139;
    let tag = |label, name: &str, text: &str| {
        let value = c::DW_AT_const_value.0;
        die(gimli::DwTag(0x6001))
            .label(label)
            .name(name)
            .string(value, text)
    };
    let entries = vec![
        int(),
        tag("inner", "btf_type_tag", "inner").refer(ANNOTATION, "outer"),
        tag("outer", "btf_type_tag", "outer"),
        tag("note", "btf_decl_tag", "note"),
        tag("endless", "btf_decl_tag", "endless").refer(ANNOTATION, "endless"),
        die(c::DW_TAG_pointer_type)
            .label("ptr")
            .ty("int")
            .refer(ANNOTATION, "inner"),
        die(c::DW_TAG_typedef).name("tagged").ty("ptr"),
        die(c::DW_TAG_structure_type)
            .name("s")
            .number(c::DW_AT_byte_size, 8)
            .refer(ANNOTATION, "endless")
            .child(
                die(c::DW_TAG_member)
                    .name("m")
                    .ty("ptr")
                    .number(c::DW_AT_data_member_location, 0)
                    .refer(ANNOTATION, "note"),
            ),
    ];
    let btf = encoded(entries).btf;
    let tagged = btf.find("tagged", Kind::Typedef).unwrap();
    assert_eq!(
        chain(&btf, tagged),
        [
            "typedef tagged",
            "ptr",
            "type_tag inner",
            "type_tag outer",
            "int int"
        ]
    );
    let tags = btf
        .own_ids()
        .filter_map(|id| match btf.ty(id).unwrap().kind {
            TypeKind::DeclTag { ty, component } => {
                Some((btf.name(id).unwrap(), btf.name(ty).unwrap(), component))
            }
            _ => None,
        });
    let tags: Vec<_> = tags.collect();
    assert_eq!(tags, [("endless", "s", -1), ("note", "s", 0)]);
}

#[test]
fn what_btf_cannot_say_of_a_type_is_left_out() {
    let typedef = |name: &str, label| die(c::DW_TAG_typedef).name(name).ty(label);
    let entries = vec![
        int(),
        die(c::DW_TAG_atomic_type).label("atomic").ty("int"),
        typedef("a", "atomic"),
        die(c::DW_TAG_unspecified_type)
            .label("nothing")
            .name("decltype(nullptr)"),
        typedef("n", "nothing"),
        die(c::DW_TAG_rvalue_reference_type)
            .label("rvalue")
            .ty("int"),
        typedef("r", "rvalue"),
        die(c::DW_TAG_base_type)
            .label("complex")
            .name("_Complex double")
            .number(c::DW_AT_byte_size, 16)
            .number(c::DW_AT_encoding, c::DW_ATE_complex_float.0.into()),
        typedef("c", "complex"),
        die(c::DW_TAG_base_type)
            .name("DW_ATE_unsigned_24")
            .number(c::DW_AT_byte_size, 3)
            .number(c::DW_AT_encoding, c::DW_ATE_unsigned.0.into()),
    ];
    let btf = encoded(entries).btf;
    let of = |name| chain(&btf, btf.find(name, Kind::Typedef).unwrap());
    assert_eq!(of("a"), ["typedef a", "int int"]);
    assert_eq!(of("n"), ["typedef n", "void"]);
    assert_eq!(of("r"), ["typedef r", "ptr", "int int"]);
    assert_eq!(of("c"), ["typedef c", "struct _Complex double"]);
    let fake = btf.find("__SANITIZED_FAKE_INT__", Kind::Int).unwrap();
    assert_eq!(btf.resolve_size(fake).unwrap(), 4);
}

#[test]
fn struct_that_does_not_fit_has_no_members() {
    let member = |name: &str, bit: u64| {
        die(c::DW_TAG_member)
            .name(name)
            .ty("int")
            .number(c::DW_AT_data_bit_offset, bit)
    };
    let composite = |tag, name: &str| die(tag).name(name).number(c::DW_AT_byte_size, 1 << 30);
    let structure = |name| composite(c::DW_TAG_structure_type, name);
    let bits = |size| member("bits", 3).number(c::DW_AT_bit_size, size);
    let entries = vec![
        int(),
        structure("fits").children([bits(5), member("far", 0xff_fff8)]),
        structure("far").children([bits(5), member("far", 0x100_0000)]),
        structure("wide").child(bits(256)),
        structure("inside").child(member("odd", 3)),
        composite(c::DW_TAG_union_type, "moved").child(member("there", 8)),
    ];
    let encoded = encoded(entries);
    assert_eq!(encoded.report.opaque, 4);
    let btf = encoded.btf;
    let members = |name, kind| {
        let ty = btf.ty(btf.find(name, kind).unwrap()).unwrap();
        let composite = ty.kind.composite().unwrap();
        assert_eq!(composite.size, 1 << 30, "{name}");
        composite.members().len()
    };
    assert_eq!(members("fits", Kind::Struct), 2);
    for name in ["far", "wide", "inside"] {
        assert_eq!(members(name, Kind::Struct), 0, "{name}");
    }
    assert_eq!(members("moved", Kind::Union), 0);
}

#[test]
fn references_to_nothing_are_void_and_counted() {
    let alias = |label, to| die(c::DW_TAG_atomic_type).label(label).ty(to);
    let entries = vec![
        die(c::DW_TAG_typedef).name("lost").ty("nowhere"),
        alias("a", "b"),
        alias("b", "a"),
        die(c::DW_TAG_typedef).name("endless").ty("a"),
        die(c::DW_TAG_typedef)
            .label("itself")
            .name("itself")
            .ty("itself"),
    ];
    let encoded = encoded(entries);
    assert_eq!(encoded.report.dangling, 2);
    let btf = &encoded.btf;
    for name in ["lost", "endless"] {
        let id = btf.find(name, Kind::Typedef).unwrap();
        assert_eq!(
            chain(btf, id),
            [format!("typedef {name}"), "void".to_owned()]
        );
    }
    let itself = btf.find("itself", Kind::Typedef).unwrap();
    assert!(matches!(btf.ty(itself).unwrap().kind, TypeKind::Typedef(to) if to == itself));
}

#[test]
fn functions_without_symbols_count_if_they_are_seen_elsewhere() {
    let function = |name: &str| {
        die(c::DW_TAG_subprogram).name(name).with(
            c::DW_AT_low_pc.0,
            c::DW_FORM_addr,
            Value::Bytes(vec![0, 16, 0, 0, 0, 0, 0, 0]),
        )
    };
    let param = |name: &str| die(c::DW_TAG_formal_parameter).name(name).ty("int");
    let entries = vec![
        int(),
        function("seen").flag(c::DW_AT_external).child(param("x")),
        function("hidden").child(param("x")),
        function("nameless")
            .flag(c::DW_AT_external)
            .child(die(c::DW_TAG_formal_parameter).ty("int")),
        die(c::DW_TAG_subprogram)
            .name("declared")
            .flag(c::DW_AT_external)
            .flag(c::DW_AT_declaration),
    ];
    let encoded = encoded(entries);
    let btf = &encoded.btf;
    let functions = btf
        .own_ids()
        .filter(|id| matches!(btf.ty(*id).unwrap().kind, TypeKind::Func { .. }));
    let names: Vec<_> = functions.map(|id| btf.name(id).unwrap()).collect();
    assert_eq!(names, ["seen"]);
}

#[test]
fn definition_elsewhere_has_its_name_and_parameters_from_there() {
    let entries = vec![
        int(),
        die(c::DW_TAG_subprogram)
            .label("abstract")
            .name("inlined")
            .ty("int")
            .flag(c::DW_AT_external)
            .children([
                die(c::DW_TAG_formal_parameter)
                    .label("x")
                    .name("x")
                    .ty("int"),
                die(c::DW_TAG_formal_parameter)
                    .label("y")
                    .name("y")
                    .ty("int"),
            ]),
        die(c::DW_TAG_subprogram)
            .refer(c::DW_AT_abstract_origin.0, "abstract")
            .with(c::DW_AT_low_pc.0, c::DW_FORM_addr, Value::Bytes(vec![1; 8]))
            .children([
                die(c::DW_TAG_formal_parameter).refer(c::DW_AT_abstract_origin.0, "y"),
                die(c::DW_TAG_formal_parameter).refer(c::DW_AT_abstract_origin.0, "x"),
            ]),
    ];
    let data = file_with_strings(entries, &[]);
    let all = encode(&data, &Options::new().functions(Functions::All)).unwrap();
    let btf = &all.btf;
    let TypeKind::Func { proto, .. } = btf
        .ty(btf.find("inlined", Kind::Func).unwrap())
        .unwrap()
        .kind
    else {
        panic!();
    };
    let TypeKind::FuncProto { ret, params } = btf.ty(proto).unwrap().kind else {
        panic!();
    };
    let names = params
        .iter()
        .map(|param| btf.name_at(param.name_off).unwrap());
    assert_eq!(names.collect::<Vec<_>>(), ["y", "x"]);
    assert_eq!(btf.name(ret).unwrap(), "int");
    // They are in another order than in the source.
    let consistent = encode(&data, &Options::new()).unwrap();
    assert_eq!(consistent.report.functions.reordered, 1);
    assert_eq!(consistent.btf.find("inlined", Kind::Func), None);
}

#[test]
fn entries_too_deep_skip_the_unit() {
    let mut deep = int();
    for _ in 0..1030 {
        deep = die(c::DW_TAG_lexical_block).child(deep);
    }
    let problem = broken(vec![deep], &[]);
    assert!(problem.contains("1024"), "{problem}");
}

#[test]
fn attributes_without_bytes_do_not_multiply() {
    let mut entry = int();
    for _ in 0..5000 {
        entry = entry.flag(c::DW_AT_artificial);
    }
    let problem = broken(vec![entry], &[]);
    assert!(problem.contains("more attributes than bytes"), "{problem}");
}

#[test]
fn names_in_one_long_string_do_not_multiply() {
    let mut strings = vec![b'x'; 12_000];
    strings.push(0);
    let entries = (0..2000u32).map(|at| {
        let at = Value::Bytes(at.to_le_bytes().to_vec());
        die(c::DW_TAG_structure_type)
            .with(c::DW_AT_name.0, c::DW_FORM_strp, at)
            .number(c::DW_AT_byte_size, 1)
    });
    let problem = broken(entries.collect(), &strings);
    assert!(problem.contains("overlap"), "{problem}");
}

#[test]
fn old_bit_fields_count_from_the_top_of_their_unit() {
    // DWARF 2 counts from the most significant bit of a storage unit, which may be that of the type.
    let field = |name: &str, from_top: u64, bits: u64| {
        die(c::DW_TAG_member)
            .name(name)
            .ty("alias")
            .number(c::DW_AT_data_member_location, 4)
            .number(c::DW_AT_bit_offset, from_top)
            .number(c::DW_AT_bit_size, bits)
    };
    let entries = vec![
        int(),
        die(c::DW_TAG_typedef)
            .label("alias")
            .name("alias")
            .ty("int"),
        die(c::DW_TAG_structure_type)
            .name("s")
            .number(c::DW_AT_byte_size, 8)
            .children([
                field("low", 29, 3),
                field("middle", 19, 10),
                field("byte", 1, 7).number(c::DW_AT_byte_size, 1),
            ]),
    ];
    let btf = encoded(entries).btf;
    let ty = btf.ty(btf.find("s", Kind::Struct).unwrap()).unwrap();
    let members = ty.kind.composite().unwrap().members();
    let places: Vec<_> = members
        .iter()
        .map(|m| (m.bit_offset, m.bitfield_size))
        .collect();
    assert_eq!(places, [(32, 3), (35, 10), (32, 7)]);
}

#[test]
fn parameters_are_looked_for_where_they_are_on_entry() {
    const REG_RDI: u8 = 0x55;
    const REG_RSI: u8 = 0x54;
    let displaced = |location: &[u8]| {
        let expression = [&[location.len() as u8], location].concat();
        let param = die(c::DW_TAG_formal_parameter).name("x").ty("int").with(
            c::DW_AT_location.0,
            c::DW_FORM_exprloc,
            Value::Bytes(expression),
        );
        let function = die(c::DW_TAG_subprogram)
            .name("f")
            .flag(c::DW_AT_external)
            .with(c::DW_AT_low_pc.0, c::DW_FORM_addr, Value::Bytes(vec![1; 8]))
            .child(param);
        let data = file_with_strings(vec![int(), function], &[]);
        encode(&data, &Options::new())
            .unwrap()
            .report
            .functions
            .displaced
            == 1
    };
    let entry_value = c::DW_OP_entry_value.0;
    let stack_value = c::DW_OP_stack_value.0;
    assert!(!displaced(&[REG_RDI]));
    assert!(displaced(&[REG_RSI]));
    assert!(!displaced(&[entry_value, 1, REG_RDI, stack_value]));
    assert!(displaced(&[entry_value, 1, REG_RSI, stack_value]));
    assert!(displaced(&[entry_value, 1, REG_RSI]));
    // What is computed of a register is not what came in it.
    assert!(!displaced(&[
        entry_value,
        1,
        REG_RSI,
        c::DW_OP_lit1.0,
        c::DW_OP_plus.0,
        stack_value
    ]));
}
