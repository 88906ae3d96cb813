use super::*;
use crate::btf::Btf;
use crate::builder::{BtfBuilder, NewParam};
use crate::error::{Error, Result};
use crate::id::TypeId;
use crate::testing::{at, bits, builder, value};
use crate::types::{IntEncoding, Linkage};

fn param(name: &str, ty: TypeId) -> NewParam<'_> {
    NewParam { name, ty }
}

fn try_all(btf: &Btf) -> Result<String> {
    let mut out = String::new();
    CDump::new(btf).dump_all(&mut out)?;
    Ok(out)
}

fn all(btf: &BtfBuilder) -> String {
    try_all(&btf.finish().unwrap()).unwrap()
}

fn decl(btf: &BtfBuilder, id: TypeId, options: &DeclOptions<'_>) -> String {
    let mut out = String::new();
    let btf = btf.finish().unwrap();
    CDump::new(&btf).type_decl(id, options, &mut out).unwrap();
    out
}

#[test]
fn bitfields_and_the_holes_between_them() {
    let (mut btf, int, _) = builder();
    let long = btf.add_int("long", 8, IntEncoding::SIGNED).unwrap();
    let members = [
        bits("a", int, 0, 3),
        bits("b", int, 3, 5),
        bits("c", int, 12, 4),
        bits("d", int, 32, 1),
        at("e", long, 8),
        bits("f", int, 128, 32),
    ];
    btf.add_struct("s", 24, &members).unwrap();
    assert_eq!(
        all(&btf),
        "struct s {\n\tint a: 3;\n\tint b: 5;\n\tchar: 4;\n\tint c: 4;\n\tint: 16;\n\
         \tint d: 1;\n\tlong e;\n\tint f: 32;\n};\n\n"
    );
}

#[test]
fn holes_are_filled_with_the_largest_type_that_fits() {
    let (mut btf, int, char_) = builder();
    let holes = [
        ("next", at("b", int, 4), 8, "\tchar a;\n\tint b;\n"),
        (
            "far",
            at("b", int, 16),
            24,
            "\tchar a;\n\tlong: 64;\n\tint b;\n\tlong: 0;\n",
        ),
        (
            "byte",
            at("b", char_, 8),
            9,
            "\tchar a;\n\tlong: 0;\n\tchar b;\n",
        ),
        (
            "odd",
            at("b", char_, 7),
            8,
            "\tchar a;\n\tint: 0;\n\tint: 24;\n\tchar b;\n",
        ),
        (
            "tail",
            at("b", char_, 1),
            12,
            "\tchar a;\n\tchar b;\n\tlong: 0;\n\tint: 32;\n",
        ),
    ];
    let mut expected = String::new();
    for (name, member, size, body) in holes {
        btf.add_struct(name, size, &[at("a", char_, 0), member])
            .unwrap();
        expected.push_str(&format!("struct {name} {{\n{body}}};\n\n"));
    }
    assert_eq!(all(&btf), expected);
}

#[test]
fn structs_are_packed_where_members_are_out_of_line() {
    let (mut btf, int, char_) = builder();
    btf.add_struct("offset", 5, &[at("a", char_, 0), at("b", int, 1)])
        .unwrap();
    btf.add_struct("size", 5, &[at("a", int, 0), at("b", char_, 4)])
        .unwrap();
    btf.add_union("u", 5, &[at("a", int, 0)]).unwrap();
    let packed = " __attribute__((packed));\n\n";
    assert_eq!(
        all(&btf),
        format!(
            "struct offset {{\n\tchar a;\n\tint b;\n}}{packed}\
             struct size {{\n\tint a;\n\tchar b;\n}}{packed}\
             union u {{\n\tint a;\n}};\n\n"
        )
    );
}

#[test]
fn types_without_a_name_stand_where_they_are_used() {
    let (mut btf, int, _) = builder();
    let point = btf
        .add_struct("", 8, &[at("x", int, 0), at("y", int, 4)])
        .unwrap();
    let kind = btf.add_enum("", 4, &[value("ONE", 1)]).unwrap();
    let either = btf
        .add_union("", 8, &[at("point", point, 0), at("kind", kind, 0)])
        .unwrap();
    let empty = btf.add_struct("", 0, &[]).unwrap();
    btf.add_struct("s", 8, &[at("", either, 0), at("end", empty, 8)])
        .unwrap();
    btf.add_enum("", 4, &[value("ALONE", 7)]).unwrap();
    assert_eq!(
        all(&btf),
        "struct s {\n\tunion {\n\t\tstruct {\n\t\t\tint x;\n\t\t\tint y;\n\t\t} point;\n\
         \t\tenum {\n\t\t\tONE = 1,\n\t\t} kind;\n\t};\n\tstruct {} end;\n};\n\n\
         enum {\n\tALONE = 7,\n};\n\n"
    );
}

#[test]
fn unnamed_members_of_named_types_get_braces_on_demand() {
    let (mut btf, int, _) = builder();
    let inner = btf.add_struct("inner", 4, &[at("x", int, 0)]).unwrap();
    let alias = btf.add_typedef("alias", inner).unwrap();
    let outer = btf
        .add_struct("outer", 8, &[at("", inner, 0), at("", alias, 4)])
        .unwrap();
    let btf = btf.finish().unwrap();
    let text = |expand| {
        let mut out = String::new();
        let mut dump = CDump::new(&btf).expand_unnamed(expand);
        dump.dump_type(outer, &mut out).unwrap();
        out.split_off(out.find("struct outer").unwrap())
    };
    assert_eq!(
        text(false),
        "struct outer {\n\tstruct inner;\n\talias;\n};\n\n"
    );
    let braces = "\tstruct {\n\t\tint x;\n\t};\n";
    assert_eq!(
        text(true),
        format!("struct outer {{\n{braces}{braces}}};\n\n")
    );
}

#[test]
fn declarators_wind_around_the_name() {
    let (mut btf, int, char_) = builder();
    let int_ptr = btf.add_ptr(int).unwrap();
    let row = btf.add_array(int_ptr, int, 3).unwrap();
    let rows = btf.add_array(row, int, 2).unwrap();
    let flexible = btf.add_array(int, int, 0).unwrap();
    let to_row = btf.add_ptr(row).unwrap();
    let const_char = btf.add_const(char_).unwrap();
    let text = btf.add_ptr(const_char).unwrap();
    let const_text = btf.add_const(text).unwrap();
    let volatile = btf.add_volatile(const_char).unwrap();
    let restrict = btf.add_restrict(text).unwrap();
    let const_row = btf.add_const(row).unwrap();
    let nothing = btf.add_func_proto(TypeId::VOID, &[]).unwrap();
    let void_only = btf.add_func_proto(int, &[param("", TypeId::VOID)]).unwrap();
    let printf = btf
        .add_func_proto(int, &[param("format", text), param("", TypeId::VOID)])
        .unwrap();
    let to_printf = btf.add_ptr(printf).unwrap();
    let table = btf.add_array(to_printf, int, 4).unwrap();
    let to_nothing = btf.add_ptr(nothing).unwrap();
    let signal = btf
        .add_func_proto(to_nothing, &[param("handler", to_nothing), param("", int)])
        .unwrap();
    let const_to_printf = btf.add_const(to_printf).unwrap();
    let tagged = btf.add_type_tag("user", char_).unwrap();
    let to_tagged = btf.add_ptr(tagged).unwrap();
    for (id, named, bare) in [
        (TypeId::VOID, "void x", "void"),
        (rows, "int *x[2][3]", "int *[2][3]"),
        (flexible, "int x[0]", "int[0]"),
        (to_row, "int *(*x)[3]", "int *(*)[3]"),
        (const_row, "int *x[3]", "int *[3]"),
        (const_text, "const char * const x", "const char * const"),
        (volatile, "const volatile char x", "const volatile char"),
        (restrict, "const char * restrict x", "const char * restrict"),
        (nothing, "void x(void)", "void(void)"),
        (void_only, "int x(void)", "int(void)"),
        (
            printf,
            "int x(const char *format, ...)",
            "int(const char *format, ...)",
        ),
        (
            table,
            "int (*x[4])(const char *format, ...)",
            "int (*[4])(const char *format, ...)",
        ),
        (
            signal,
            "void (*x(void (*handler)(void), int))(void)",
            "void (*(void (*handler)(void), int))(void)",
        ),
        (
            const_to_printf,
            "int (* const x)(const char *format, ...)",
            "int (* const)(const char *format, ...)",
        ),
        (
            to_tagged,
            "char __attribute__((btf_type_tag(\"user\"))) *x",
            "char __attribute__((btf_type_tag(\"user\"))) *",
        ),
    ] {
        assert_eq!(decl(&btf, id, &DeclOptions::named("x")), named);
        assert_eq!(decl(&btf, id, &DeclOptions::default()), bare);
    }
    let strip = DeclOptions::named("x").strip_mods(true);
    assert_eq!(decl(&btf, const_text, &strip), "char *x");
    assert_eq!(decl(&btf, to_tagged, &strip), "char *x");
}

#[test]
fn qualifier_of_a_tagged_type_is_a_word_of_its_own() {
    let (mut btf, int, _) = builder();
    let tagged = btf.add_type_tag("a", int).unwrap();
    let tagged_const = btf.add_const(tagged).unwrap();
    let to_int = btf.add_ptr(tagged_const).unwrap();
    let tagged_ptr = btf.add_type_tag("b", to_int).unwrap();
    let both = btf.add_const(tagged_ptr).unwrap();
    let attribute = |text| format!("__attribute__((btf_type_tag(\"{text}\")))");
    assert_eq!(
        decl(&btf, both, &DeclOptions::named("x")),
        format!("int const  {} *const  {} x", attribute("a"), attribute("b"))
    );
}

#[test]
fn declaration_of_a_type_without_name_defines_it() {
    let (mut btf, int, _) = builder();
    let point = btf.add_struct("", 4, &[at("x", int, 0)]).unwrap();
    let to_point = btf.add_ptr(point).unwrap();
    assert_eq!(
        decl(&btf, to_point, &DeclOptions::named("p").indent(1)),
        "struct {\n\t\tint x;\n\t} *p"
    );
}

#[test]
fn second_of_a_name_is_numbered_and_keeps_its_number() {
    let (mut btf, int, _) = builder();
    let first = btf.add_struct("s", 4, &[at("a", int, 0)]).unwrap();
    let second = btf.add_struct("s", 4, &[at("b", int, 0)]).unwrap();
    let fwd = btf.add_fwd("s", true).unwrap();
    btf.add_enum("e", 4, &[value("A", 1)]).unwrap();
    btf.add_enum("e", 4, &[value("A", 2)]).unwrap();
    btf.add_typedef("A", second).unwrap();
    let pointers = [first, second, fwd].map(|id| btf.add_ptr(id).unwrap());
    btf.add_struct(
        "t",
        24,
        &[
            at("x", pointers[0], 0),
            at("y", pointers[1], 8),
            at("z", pointers[2], 16),
        ],
    )
    .unwrap();
    assert_eq!(
        all(&btf),
        "struct s {\n\tint a;\n};\n\nstruct s___2 {\n\tint b;\n};\n\nunion s;\n\n\
         enum e {\n\tA = 1,\n};\n\nenum e___2 {\n\tA___2 = 2,\n};\n\n\
         typedef struct s___2 A___3;\n\n\
         struct t {\n\tstruct s *x;\n\tstruct s___2 *y;\n\tunion s *z;\n};\n\n"
    );
}

#[test]
fn pointers_need_only_a_declaration_and_members_a_definition() {
    let (mut btf, int, _) = builder();
    // outer { struct later *next; struct inner in; }, with both behind it.
    let to_later = btf.add_ptr(TypeId(6)).unwrap();
    let outer = btf
        .add_struct(
            "outer",
            16,
            &[at("next", to_later, 0), at("in", TypeId(5), 8)],
        )
        .unwrap();
    let inner = btf.add_struct("inner", 4, &[at("x", int, 0)]).unwrap();
    let later = btf
        .add_struct("later", 16, &[at("whole", outer, 0)])
        .unwrap();
    assert_eq!([inner, later], [TypeId(5), TypeId(6)]);
    assert_eq!(
        all(&btf),
        "struct inner {\n\tint x;\n};\n\nstruct later;\n\n\
         struct outer {\n\tstruct later *next;\n\tstruct inner in;\n};\n\n\
         struct later {\n\tstruct outer whole;\n};\n\n"
    );
}

#[test]
fn pointer_to_an_array_needs_the_definition_of_its_elements() {
    let (mut btf, int, _) = builder();
    let array = btf.add_array(TypeId(6), int, 2).unwrap();
    let to_array = btf.add_ptr(array).unwrap();
    btf.add_struct("user", 8, &[at("p", to_array, 0)]).unwrap();
    let elem = btf.add_struct("elem", 4, &[at("x", int, 0)]).unwrap();
    assert_eq!(elem, TypeId(6));
    assert_eq!(
        all(&btf),
        "struct elem {\n\tint x;\n};\n\nstruct user {\n\tstruct elem (*p)[2];\n};\n\n"
    );
}

#[test]
fn typedefs_chain_and_are_declared_early_in_a_loop() {
    let (mut btf, int, _) = builder();
    let number = btf.add_typedef("number", int).unwrap();
    btf.add_typedef("count", number).unwrap();
    // typedef struct node node_t; struct node { node_t *next; };
    let to_alias = btf.add_ptr(TypeId(7)).unwrap();
    let node = btf
        .add_struct("node", 8, &[at("next", to_alias, 0)])
        .unwrap();
    btf.add_typedef("node_t", node).unwrap();
    assert_eq!(
        all(&btf),
        "typedef int number;\n\ntypedef number count;\n\nstruct node;\n\n\
         typedef struct node node_t;\n\nstruct node {\n\tnode_t *next;\n};\n\n"
    );
}

#[test]
fn enums_tell_their_size_and_their_sign() {
    let mut btf = BtfBuilder::new().pointer_size(8);
    btf.add_enum("byte", 1, &[value("B", 1)]).unwrap();
    btf.add_enum("short_", 2, &[value("S", 2)]).unwrap();
    btf.add_enum("signed_", 4, &[value("MINUS", -1), value("PLUS", 1)])
        .unwrap();
    btf.add_enum("unsigned_", 4, &[value("TOP", u32::MAX.into())])
        .unwrap();
    btf.add_enum("word", 8, &[value("W", 3)]).unwrap();
    btf.add_enum64("small", 8, false, &[value("F", 4)]).unwrap();
    btf.add_enum64("large", 8, false, &[value("MAX", u64::MAX.into())])
        .unwrap();
    btf.add_enum64("least", 8, true, &[value("MIN", i64::MIN.into())])
        .unwrap();
    btf.add_enum("empty", 4, &[]).unwrap();
    assert_eq!(
        all(&btf),
        "enum byte {\n\tB = 1,\n} __attribute__((mode(byte)));\n\n\
         enum short_ {\n\tS = 2,\n};\n\n\
         enum signed_ {\n\tMINUS = -1,\n\tPLUS = 1,\n};\n\n\
         enum unsigned_ {\n\tTOP = 4294967295,\n};\n\n\
         enum word {\n\tW = 3,\n} __attribute__((mode(word)));\n\n\
         enum small {\n\tF = 4ULL,\n} __attribute__((mode(word)));\n\n\
         enum large {\n\tMAX = 18446744073709551615ULL,\n};\n\n\
         enum least {\n\tMIN = -9223372036854775808LL,\n};\n\n\
         enum empty;\n\n"
    );
}

#[test]
fn types_that_compilers_have_built_in_are_left_to_them() {
    let mut btf = BtfBuilder::new();
    let poly = btf.add_int("__Poly16_t", 2, IntEncoding::UNSIGNED).unwrap();
    let va_list = btf.add_typedef("__builtin_va_list", poly).unwrap();
    btf.add_typedef("va_list", va_list).unwrap();
    btf.add_typedef("__gnuc_va_list", TypeId::VOID).unwrap();
    assert_eq!(
        all(&btf),
        "typedef unsigned short __Poly16_t;\n\ntypedef __builtin_va_list va_list;\n\n\
         typedef __builtin_va_list __gnuc_va_list;\n\n"
    );
}

#[test]
fn each_type_is_printed_once_and_with_what_it_needs() {
    let (mut btf, int, _) = builder();
    let inner = btf.add_struct("inner", 4, &[at("x", int, 0)]).unwrap();
    let outer = btf.add_struct("outer", 4, &[at("in", inner, 0)]).unwrap();
    btf.add_func("f", Linkage::GLOBAL, TypeId(6)).unwrap();
    btf.add_func_proto(int, &[]).unwrap();
    let btf = btf.finish().unwrap();
    let mut dump = CDump::new(&btf);
    let mut out = String::from("// before\n");
    dump.dump_type(outer, &mut out).unwrap();
    let text =
        "// before\nstruct inner {\n\tint x;\n};\n\nstruct outer {\n\tstruct inner in;\n};\n\n";
    assert_eq!(out, text);
    dump.dump_type(inner, &mut out).unwrap();
    dump.dump_all(&mut out).unwrap();
    assert_eq!(out, text);
}

#[test]
fn own_types_bring_what_they_need_of_the_base() {
    let (mut base, int, _) = builder();
    let needed = base.add_struct("needed", 4, &[at("x", int, 0)]).unwrap();
    base.add_struct("other", 4, &[at("y", int, 0)]).unwrap();
    let mut btf = BtfBuilder::new_split(std::sync::Arc::new(base.finish().unwrap()));
    btf.add_typedef("own", needed).unwrap();
    let btf = btf.finish().unwrap();
    let mut out = String::new();
    CDump::new(&btf).dump_own(&mut out).unwrap();
    assert_eq!(
        out,
        "struct needed {\n\tint x;\n};\n\ntypedef struct needed own;\n\n"
    );
    assert!(try_all(&btf).unwrap().contains("other"));
}

#[test]
fn loops_end_in_an_error_and_leave_the_text_alone() {
    let (mut btf, int, _) = builder();
    let itself = btf.add_struct("s", 4, &[at("x", TypeId(3), 0)]).unwrap();
    let anonymous = btf.add_struct("", 8, &[at("p", TypeId(5), 0)]).unwrap();
    btf.add_ptr(anonymous).unwrap();
    let first = btf.add_const(TypeId(7)).unwrap();
    btf.add_volatile(first).unwrap();
    let alias = btf.add_typedef("t", TypeId(9)).unwrap();
    btf.add_ptr(alias).unwrap();
    let _ = int;
    let btf = btf.finish().unwrap();
    for (id, cycle) in [
        (itself, true),
        (anonymous, true),
        (first, false),
        (alias, false),
    ] {
        let mut out = String::from("text");
        let error = CDump::new(&btf).dump_type(id, &mut out).unwrap_err();
        match error {
            Error::Cycle { .. } => assert!(cycle, "{id}"),
            Error::Depth { .. } => assert!(!cycle, "{id}"),
            error => panic!("{id}: {error}"),
        }
        assert_eq!(out, "text");
    }
    let mut out = String::new();
    let error = CDump::new(&btf).type_decl(first, &DeclOptions::default(), &mut out);
    assert!(matches!(error, Err(Error::Depth { .. })));
}

#[test]
fn text_of_few_types_stays_bounded() {
    let (mut btf, int, _) = builder();
    let mut inner = int;
    for _ in 0..40 {
        inner = btf
            .add_struct("", 8, &[at("a", inner, 0), at("b", inner, 4)])
            .unwrap();
    }
    let fan = btf.add_struct("fan", 8, &[at("x", inner, 0)]).unwrap();
    let hole = btf
        .add_struct("hole", u32::MAX - 3, &[at("x", int, 0)])
        .unwrap();
    let mut proto = int;
    for _ in 0..40 {
        proto = btf
            .add_func_proto(proto, &[param("", proto), param("", proto)])
            .unwrap();
    }
    let calls = btf.add_typedef("calls", proto).unwrap();
    let btf = btf.finish().unwrap();
    for id in [fan, hole, calls] {
        let mut out = String::new();
        let error = CDump::new(&btf).dump_type(id, &mut out).unwrap_err();
        assert!(
            matches!(error, Error::TextTooLong { .. } | Error::TooComplex { .. }),
            "{id}: {error}"
        );
        assert_eq!(out, "", "{id}");
    }
    let mut out = String::new();
    let error = CDump::new(&btf)
        .max_text(99)
        .dump_type(hole, &mut out)
        .unwrap_err();
    assert!(matches!(error, Error::TextTooLong { limit: 99, .. }));
}

#[test]
fn reference_to_what_is_no_type_is_an_error() {
    let (mut btf, int, _) = builder();
    let proto = btf.add_func_proto(int, &[]).unwrap();
    let func = btf.add_func("f", Linkage::GLOBAL, proto).unwrap();
    let strange = btf.add_struct("s", 8, &[at("f", func, 0)]).unwrap();
    let btf = btf.finish().unwrap();
    let error = CDump::new(&btf)
        .dump_type(strange, &mut String::new())
        .unwrap_err();
    assert!(
        matches!(error, Error::WrongKind { found: "func", .. }),
        "{error}"
    );
}

#[test]
fn header_does_not_depend_on_the_order_of_types() {
    let names = ["zebra", "apple", "mango"];
    let text = |order: [usize; 3]| {
        let (mut btf, int, _) = builder();
        for index in order {
            let name = names[index];
            let id = btf.add_struct(name, 4, &[at("x", int, 0)]).unwrap();
            btf.add_typedef(&format!("{name}_t"), id).unwrap();
            // Two of the same name, told apart by their members.
            let member = format!("m{index}");
            btf.add_struct("same", 4, &[at(&member, int, 0)]).unwrap();
            btf.add_enum("", 4, &[value(&name.to_uppercase(), 1)])
                .unwrap();
            let void = btf
                .add_func_proto(TypeId::VOID, &[param("x", int)])
                .unwrap();
            let func = btf
                .add_func(&format!("do_{name}"), Linkage::GLOBAL, void)
                .unwrap();
            btf.add_decl_tag("bpf_kfunc", func, -1).unwrap();
        }
        Header::new(&btf.finish().unwrap()).to_text().unwrap()
    };
    let first = text([0, 1, 2]);
    for order in [[2, 1, 0], [1, 0, 2], [1, 2, 0]] {
        assert_eq!(text(order), first);
    }
    let place = |what: &str| first.find(what).expect(what);
    assert!(place("APPLE") < place("MANGO") && place("ZEBRA") < place("struct apple {"));
    assert!(place("struct zebra {") > place("struct same___3 {"));
    assert!(place("typedef struct apple apple_t") < place("struct mango {"));
    assert!(place("extern void do_apple(int x) __weak __ksym;\n") < place("do_mango"));
}

#[test]
fn header_guards_and_marks_fast_kfuncs() {
    let (mut btf, int, _) = builder();
    let proto = btf.add_func_proto(int, &[]).unwrap();
    for name in ["slow", "fast", "other"] {
        let func = btf.add_func(name, Linkage::GLOBAL, proto).unwrap();
        if name != "other" {
            btf.add_decl_tag("bpf_kfunc", func, -1).unwrap();
        }
        if name != "slow" {
            btf.add_decl_tag("bpf_fastcall", func, -1).unwrap();
        }
    }
    let root = btf.add_typedef("number", int).unwrap();
    let btf = btf.finish().unwrap();
    let text = Header::new(&btf).guard("MY_H").to_text().unwrap();
    assert!(text.starts_with("#ifndef MY_H\n#define MY_H\n\n#ifndef BPF_NO_PRESERVE"));
    assert!(text.ends_with("#pragma clang attribute pop\n#endif\n\n#endif /* MY_H */\n"));
    assert!(text.contains(
        "\n/* BPF kfuncs */\n#ifndef BPF_NO_KFUNC_PROTOTYPES\n\
         extern __bpf_fastcall int fast(void) __weak __ksym;\n\
         extern int slow(void) __weak __ksym;\n#endif\n\n"
    ));
    let text = Header::new(&btf).roots(&[root]).to_text().unwrap();
    assert!(text.contains("typedef int number;\n\n#ifndef") && !text.contains("kfunc"));
}
