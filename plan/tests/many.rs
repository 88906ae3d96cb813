//! Objects of many parts: the time that they take grows as they do, not with its square.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::time::{Duration, Instant};

use purebpf_btf::{BtfBuilder, Endian, IntEncoding, Linkage};
use purebpf_plan::{DescribedKernel, ObjectSpec, Plan};

const PARTS: u32 = 30_000;
/// How often each variable is used.
const LOADS: u32 = 8;
/// Twenty times what it takes; in the square of time it would take a minute.
const LIMIT: Duration = Duration::from_secs(20);

/// An ELF object, put together section by section; names of sections and symbols share a table.
struct Elf {
    names: Vec<u8>,
    content: Vec<u8>,
    headers: Vec<u8>,
    symbols: Vec<u8>,
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn longs(longs: &[u64]) -> Vec<u8> {
    longs.iter().flat_map(|long| long.to_le_bytes()).collect()
}

impl Elf {
    fn new() -> Self {
        Self {
            names: vec![0],
            content: Vec::new(),
            headers: vec![0; 64],
            symbols: vec![0; 24],
        }
    }

    fn name(&mut self, name: &str) -> u32 {
        let at = self.names.len() as u32;
        self.names.extend(name.bytes().chain([0]));
        at
    }

    /// Adds a section and returns its index.
    fn section(&mut self, name: &str, ty: u32, flags: u64, link: [u32; 2], data: &[u8]) -> u32 {
        let index = self.headers.len() / 64;
        let name = self.name(name);
        self.header(name, ty, flags, link, data);
        index as u32
    }

    fn header(&mut self, name: u32, ty: u32, flags: u64, link: [u32; 2], data: &[u8]) {
        let entry = match ty {
            SYMTAB => 24,
            REL => 16,
            _ => 0,
        };
        let offset = 64 + self.content.len() as u64;
        self.headers.extend(words(&[name, ty]));
        self.headers
            .extend(longs(&[flags, 0, offset, data.len() as u64]));
        self.headers.extend(words(&link));
        self.headers.extend(longs(&[8, entry]));
        self.content.extend(data);
        self.content
            .resize(self.content.len().next_multiple_of(8), 0);
    }

    /// Adds a global symbol at the start of a section and returns its index.
    fn symbol(&mut self, name: &str, kind: u8, section: u32, size: u64) -> u64 {
        let index = self.symbols.len() / 24;
        let name = self.name(name);
        self.symbols.extend(words(&[name]));
        self.symbols.extend([1 << 4 | kind, 0]);
        self.symbols.extend((section as u16).to_le_bytes());
        self.symbols.extend(longs(&[0, size]));
        index as u64
    }

    /// The file; the table of symbols is the section behind all others, that of names the last.
    fn finish(mut self) -> Vec<u8> {
        let names = (self.headers.len() / 64) as u32 + 1;
        let symbols = std::mem::take(&mut self.symbols);
        self.section(".symtab", SYMTAB, 0, [names, 1], &symbols);
        let text = std::mem::take(&mut self.names);
        self.header(0, STRTAB, 0, [0, 0], &text);
        let table = 64 + self.content.len() as u64;
        let mut file = b"\x7fELF\x02\x01\x01".to_vec();
        file.resize(16, 0);
        file.extend([1, 0, 247, 0, 1, 0, 0, 0]);
        file.extend(longs(&[0, 0, table]));
        file.extend([0; 4]);
        let halves = [64, 0, 0, 64, names as u16 + 1, names as u16];
        file.extend(halves.iter().flat_map(|half| half.to_le_bytes()));
        [file, self.content, self.headers].concat()
    }
}

const PROGBITS: u32 = 1;
const SYMTAB: u32 = 2;
const STRTAB: u32 = 3;
const REL: u32 = 9;
/// Allocated and executable, allocated and writable.
const CODE: u64 = 6;
const DATA: u64 = 3;
const OBJECT: u8 = 1;
const FUNCTION: u8 = 2;

/// `r0 = 0; exit`
const RETURN: [u8; 16] = [0xb7, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0];

fn plan(elf: Elf) -> Plan {
    let start = Instant::now();
    let spec = ObjectSpec::parse(elf.finish()).unwrap();
    let plan = spec.plan(&DescribedKernel::new(0x06_00_00)).unwrap();
    for program in &plan.programs {
        program.check().unwrap();
    }
    assert!(start.elapsed() < LIMIT, "{:?}", start.elapsed());
    plan
}

#[test]
fn many_program_sections_with_function_information_take_no_square_of_time() {
    let mut elf = Elf::new();
    let mut btf = BtfBuilder::new();
    let int = btf.add_int("int", 4, IntEncoding::SIGNED).unwrap();
    let proto = btf.add_func_proto(int, &[]).unwrap();
    let mut list = vec![8];
    for index in 0..PARTS {
        let section = format!("raw_tp/event{index}");
        let name = format!("program{index}");
        let code = elf.section(&section, PROGBITS, CODE, [0, 0], &RETURN);
        elf.symbol(&name, FUNCTION, code, 16);
        let function = btf.add_func(&name, Linkage::GLOBAL, proto).unwrap();
        list.extend([btf.add_str(&section).unwrap(), 1, 0, function.0]);
    }
    let len = list.len() as u32 * 4;
    let ext = words(&[&[0x0001_eb9f, 24, 0, len, len, 0], &list[..]].concat());
    let btf = btf.to_bytes(Endian::Little).unwrap();
    elf.section(".BTF", PROGBITS, 0, [0, 0], &btf);
    elf.section(".BTF.ext", PROGBITS, 0, [0, 0], &ext);
    let plan = plan(elf);
    assert_eq!(plan.programs.len(), PARTS as usize);
    let code = plan.programs.last().unwrap().check().unwrap();
    assert_eq!(code.func_info.as_ref().unwrap().count(), 1);
}

#[test]
fn many_data_sections_take_no_square_of_time() {
    let mut elf = Elf::new();
    let (mut insns, mut relocations) = (Vec::new(), Vec::new());
    for index in 0..PARTS {
        let name = format!(".data.x{index}");
        let data = elf.section(&name, PROGBITS, DATA, [0, 0], &[1; 8]);
        let symbol = elf.symbol(&format!("x{index}"), OBJECT, data, 8);
        for _ in 0..LOADS {
            relocations.extend(longs(&[insns.len() as u64, symbol << 32 | 1]));
            insns.extend([0x18, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        }
    }
    insns.extend(RETURN);
    let code = elf.section("raw_tp/event", PROGBITS, CODE, [0, 0], &insns);
    elf.symbol("program", FUNCTION, code, insns.len() as u64);
    // Two behind is the table of symbols.
    elf.section(
        ".relraw_tp/event",
        REL,
        0x40,
        [code + 2, code],
        &relocations,
    );
    let plan = plan(elf);
    assert_eq!(plan.maps.len(), PARTS as usize);
    let code = plan.programs[0].check().unwrap();
    assert_eq!(code.references.len(), (PARTS * LOADS) as usize);
}
