//! Objects put together by hand.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

/// An ELF object, put together section by section; names of sections and symbols share a table.
pub struct Elf {
    names: Vec<u8>,
    content: Vec<u8>,
    headers: Vec<u8>,
    symbols: Vec<u8>,
}

pub fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

pub fn longs(longs: &[u64]) -> Vec<u8> {
    longs.iter().flat_map(|long| long.to_le_bytes()).collect()
}

impl Elf {
    pub fn new() -> Self {
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
    pub fn section(&mut self, name: &str, ty: u32, flags: u64, link: [u32; 2], data: &[u8]) -> u32 {
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
    pub fn symbol(&mut self, name: &str, kind: u8, section: u32, size: u64) -> u64 {
        let index = self.symbols.len() / 24;
        let name = self.name(name);
        self.symbols.extend(words(&[name]));
        self.symbols.extend([1 << 4 | kind, 0]);
        self.symbols.extend((section as u16).to_le_bytes());
        self.symbols.extend(longs(&[0, size]));
        index as u64
    }

    /// The file; the table of symbols is the section behind all others, that of names the last.
    pub fn finish(mut self) -> Vec<u8> {
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

pub const PROGBITS: u32 = 1;
pub const SYMTAB: u32 = 2;
pub const STRTAB: u32 = 3;
pub const REL: u32 = 9;
/// Allocated and executable, allocated and writable.
pub const CODE: u64 = 6;
pub const DATA: u64 = 3;
pub const OBJECT: u8 = 1;
pub const FUNCTION: u8 = 2;

/// `r0 = 0; exit`
pub const RETURN: [u8; 16] = [0xb7, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0];
