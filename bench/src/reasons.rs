//! What is refused before the kernel is asked, by whom, and whether for the same reason.

use std::collections::BTreeMap;

use crate::report::Failure;

/// What means the same: a part of libbpf's message, and parts of ours. Where libbpf says nothing, the
/// number is all there is of its message.
#[rustfmt::skip]
const SAME: &[(&str, &[&str])] = &[
    // The file.
    ("is not a proper ELF object", &["not an ELF file", "ELF class", "ELF byte order", "ELF version", "ELF header"]),
    ("is not a valid eBPF object file", &["ELF machine", "ELF type"]),
    ("failed to get section names strings", &["reaches outside the file", "outside the string table", "no symbol table", "not made of whole records"]),
    ("failed to get section name string", &["is outside the string table", "is not UTF-8", "reaches outside the file"]),
    ("failed to get section(", &["reaches outside the file", "not made of whole records", "second symbol table"]),
    ("couldn't find symbol table", &["no symbol table", "not made of whole records"]),
    ("multiple symbol tables", &["second symbol table", "not of type PROGBITS"]),
    ("errno 4001", &["not of type PROGBITS", "entry size is not", "its target section does not exist", "a member is set"]),
    ("errno 22", &["entry size is not", "is not a variable", "a value is not in one of its slots", "has no values to begin with"]),
    ("errno 2", &["has no symbol", "but the file has it not", "the name of a symbol is outside"]),
    ("invalid license section", &["but the file has it not"]),
    // Types.
    ("Error loading ELF section .BTF: ", &["section `.BTF` is malformed", "but no BTF"]),
    ("Error loading ELF section .BTF.ext: ", &["section `.BTF.ext` is malformed"]),
    ("BTF is required, but is missing", &["but no BTF"]),
    ("failed to find BTF for extern", &["but no BTF", "that it is defined here", "does not describe it", "it is in no section"]),
    // Programs.
    ("crosses section boundary", &["it reaches outside its section"]),
    ("corrupted program", &["not made of whole instructions"]),
    ("is static and not supported", &["a program must not be static"]),
    ("missing BPF prog type", &["its section `"]),
    ("isn't referenced anywhere", &["no struct_ops map that is created refers to it"]),
    ("no BTF-based attach target", &["does not say what to attach to"]),
    ("attach program FD is not set", &["was not given to the loader"]),
    ("failed to find kernel BTF type ID", &["the kernel's BTF has no"]),
    // Relocations.
    ("invalid offset 0x", &["a relocation is not at an instruction"]),
    ("not found for relo", &["a relocation names a symbol that does not exist"]),
    ("pointing to invalid section", &["a relocation names a symbol of no section"]),
    ("failed to get symbol name", &["the name of a symbol is outside", "a name is outside"]),
    ("invalid relo against", &["expected a call or a 64-bit load", "a global without a value", "no symbol of the object stands for it"]),
    ("incorrect bpf_call opcode", &["a call that is not one of a subprogram"]),
    ("bad call relo against", &["a call uses it, but it is not in", "no symbol of the object stands for it"]),
    ("bad subprog addr relo", &["it is not at an instruction"]),
    ("unexpected relo for insn", &["its relocation does not fit a call"]),
    ("bad map relo against", &["its section is none that a program can refer to", "no map is defined where it is"]),
    ("map relo failed to find map", &["no map is defined where it is", "two maps have this name"]),
    ("extern relo failed to find extern", &["no symbol of the object stands for it"]),
    ("no .text section found", &["it calls no function", "it calls outside `"]),
    ("missing .BTF.ext function info.", &["it has no function information"]),
    ("missing .BTF.ext line info.", &["it has no line information"]),
    // CO-RE.
    ("failed to perform CO-RE relocations: -EINVAL", &["CO-RE relocation"]),
    ("failed to perform CO-RE relocations: -ESRCH", &["CO-RE relocation"]),
    // Maps.
    ("invalid def size", &["its definition is larger than its variable"]),
    ("unexpected def kind", &["its definition is not a struct"]),
    ("unknown field", &["its definition has an unknown field"]),
    ("BTF data is corrupted", &["its definition reaches outside"]),
    ("unsupported map linkage", &["its definition is static"]),
    ("map type isn't specified", &["its definition gives no type"]),
    ("conflicting value size", &["its value size is"]),
    ("conflicting key size", &["its key size is"]),
    ("expected ARRAY, got", &["is not an integer made by __uint"]),
    ("expected PTR, got", &["is not an integer made by __uint"]),
    ("expected ENUM or ENUM64, got", &["is not an integer made by __uint"]),
    ("spec is not PTR", &["is not a type made by __type"]),
    ("can't determine value size", &["size of `value`"]),
    ("can't determine key size", &["size of `key`"]),
    ("should be map-in-map or prog-array", &["cannot have `values`"]),
    ("member should be last", &["is not the last one"]),
    ("invalid pinning value", &["pinning is"]),
    (".maps relo #", &["values need keys of", "is not a map of", "is not a program of the object", "is in no map definition", "does not exist"]),
    ("DATASEC '.maps' not found", &["but no BTF"]),
    ("inner spec is not a zero-sized array", &["is not one made by __array"]),
    ("value spec is not a zero-sized array", &["is not one made by __array"]),
    ("legacy map definitions", &["defines maps as before BTF", "but the file has it not"]),
    // Externs.
    ("failed to find extern definition", &["no symbol of the object stands for it"]),
    ("failed to resolve size of extern", &["its type"]),
    ("implies integer, char, or boolean type", &["does not fit its type"]),
    ("implies bool, tristate, or char type", &["but its type is not"]),
    ("type is unsupported", &["none that a configuration value can have"]),
    ("unrecognized extern section", &["is not for externs"]),
    ("not found in kernel", &["the kernel does not have it"]),
    ("(strong): not resolved", &["the kernel does not have it"]),
    ("incompatible types", &["the kernel has it with another type"]),
    ("incompatible with", &["the kernel has it with another prototype"]),
    // struct_ops.
    ("is not found in kernel BTF", &["the kernel has no struct_ops"]),
    ("is not a struct", &["it is not a struct"]),
    ("anonymous type is not supported", &["its struct has no name", "it is not a struct"]),
    ("is beyond the end of DATASEC", &["it reaches outside its section"]),
    ("struct_ops reloc: cannot find map", &["a relocation is in no variable"]),
    ("cannot find prog at shdr_idx", &["a member is set to what is no program"]),
    ("unsupported non-static function", &["a member is set to what is no program"]),
    ("struct_ops reloc: symbol", &["a relocation names a symbol that does not exist"]),
    ("Cannot resolve var type_id", &["it is not a struct"]),
    ("cannot find member at moff", &["it has no member that is a function"]),
    ("cannot relocate non func ptr", &["it has no member that is a function"]),
    ("Cannot find member", &["the kernel has no member"]),
    ("is not a struct_ops program", &["is a pointer to what is no program"]),
    ("invalid reuse of prog", &["want program"]),
];

/// Whether the messages of both sides mean the same, as far as the table knows.
fn is_same(theirs: &Failure, ours: &Failure) -> bool {
    let (theirs, ours) = (theirs.text(), ours.text());
    SAME.iter().any(|(their, our)| {
        let is_theirs = match their.starts_with("errno ") {
            true => theirs == *their,
            false => theirs.contains(their),
        };
        is_theirs && our.iter().any(|our| ours.contains(our))
    })
}

/// A message without what differs from file to file: numbers, names in quotes.
fn normal(message: &str) -> String {
    let mut text = String::new();
    let mut quote = None;
    for char in message.chars() {
        match (quote, char) {
            (Some(end), _) if char == end => {
                quote = None;
                text += "_";
                text.push(char);
            }
            (Some(_), _) => {}
            // Not an apostrophe.
            (None, '\'' | '`' | '"') if !text.ends_with(char::is_alphanumeric) => {
                quote = Some(char);
                text.push(char);
            }
            (None, '0'..='9' | 'a'..='f') if text.ends_with("#x") => {}
            (None, '0'..='9') if text.ends_with('#') => {}
            (None, '0'..='9') => text.push('#'),
            _ => text.push(char),
        }
    }
    text
}

/// What both say of the same thing, normalised, and whether that is the same reason.
type Pair = (String, String, bool);

/// Refusals of both sides.
#[derive(Default)]
pub struct Refusals {
    libbpf: usize,
    both: usize,
    same: usize,
    ours: usize,
    /// How often, and one example.
    pairs: BTreeMap<Pair, (usize, String)>,
}

impl Refusals {
    /// One object or program; a side that failed in the kernel, or not at all, did not refuse it.
    pub fn add(&mut self, what: &str, theirs: Option<&Failure>, ours: Option<&Failure>) {
        let refused = |side: Option<&Failure>| side.is_some_and(|failure| !failure.by_kernel);
        let is_same = match (refused(theirs), refused(ours), theirs, ours) {
            (true, true, Some(theirs), Some(ours)) => {
                let is_same = is_same(theirs, ours);
                self.libbpf += 1;
                self.both += 1;
                self.same += usize::from(is_same);
                is_same
            }
            (true, ..) => {
                self.libbpf += 1;
                false
            }
            (false, true, ..) => {
                self.ours += 1;
                false
            }
            _ => return,
        };
        let said = |side: Option<&Failure>| match side {
            Some(Failure {
                by_kernel: true, ..
            }) => "(the kernel refuses it)".to_owned(),
            Some(failure) => normal(&failure.text()),
            None => "(takes it)".to_owned(),
        };
        let pair = (said(theirs), said(ours), is_same);
        let entry = self.pairs.entry(pair).or_insert((0, what.to_owned()));
        entry.0 += 1;
    }

    /// Prints each pair of messages with its count and an example, the most frequent first.
    pub fn print(&self) {
        let mut pairs: Vec<_> = self.pairs.iter().collect();
        pairs.sort_by_key(|(_, (count, _))| std::cmp::Reverse(*count));
        for ((theirs, ours, is_same), (count, example)) in pairs {
            let verdict = match (is_same, ours.starts_with('('), theirs.starts_with('(')) {
                (true, ..) => "SAME",
                (_, true, _) => "ONLY LIBBPF",
                (_, _, true) => "ONLY PUREBPF",
                _ => "UNJUDGED",
            };
            println!(
                "{verdict} {count} times, as {example}\n    libbpf:  {theirs}\n    purebpf: {ours}"
            );
        }
        let percent = |part: usize| 100.0 * part as f64 / self.libbpf.max(1) as f64;
        println!("refused by libbpf            {}", self.libbpf);
        println!(
            "of these by purebpf          {} ({:.2} %), {} ({:.2} %) for the same reason",
            self.both,
            percent(self.both),
            self.same,
            percent(self.same)
        );
        println!("refused by purebpf alone     {}", self.ours);
    }
}
