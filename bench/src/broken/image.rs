//! A little-endian ELF64 object as bytes, and where its tables and those of its BTF are.

/// One section header.
pub struct Section {
    /// Where the header is.
    pub header: usize,
    pub name: String,
    pub ty: u32,
    pub offset: usize,
    pub size: usize,
}

/// One type of BTF.
pub struct Type {
    /// Where it is in the file.
    pub at: usize,
    pub kind: u8,
    pub vlen: usize,
}

pub struct Image {
    pub bytes: Vec<u8>,
    pub sections: Vec<Section>,
}

impl Image {
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        let mut image = Self {
            bytes,
            sections: Vec::new(),
        };
        let table = image.u64(40)? as usize;
        let count = usize::from(image.u16(60)?);
        let names = usize::from(image.u16(62)?);
        let names = image.u64(table + names * 64 + 24)? as usize;
        for index in 0..count {
            let header = table + index * 64;
            let section = Section {
                header,
                name: image.text(names + image.u32(header)? as usize),
                ty: image.u32(header + 4)?,
                offset: image.u64(header + 24)? as usize,
                size: image.u64(header + 32)? as usize,
            };
            image.sections.push(section);
        }
        Some(image)
    }

    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }

    pub fn text(&self, at: usize) -> String {
        let bytes = self.bytes.get(at..).unwrap_or_default();
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(0);
        String::from_utf8_lossy(&bytes[..end]).into_owned()
    }

    fn get<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.bytes.get(at..at + N)?.try_into().ok()
    }

    pub fn u16(&self, at: usize) -> Option<u16> {
        self.get(at).map(u16::from_le_bytes)
    }

    pub fn u32(&self, at: usize) -> Option<u32> {
        self.get(at).map(u32::from_le_bytes)
    }

    pub fn u64(&self, at: usize) -> Option<u64> {
        self.get(at).map(u64::from_le_bytes)
    }

    /// Whether anything is other than before.
    pub fn set(&mut self, at: usize, new: &[u8]) -> bool {
        match self.bytes.get_mut(at..at + new.len()) {
            Some(old) if old != new => {
                old.copy_from_slice(new);
                true
            }
            _ => false,
        }
    }

    /// Where the entries of a section are.
    pub fn entries(&self, section: &Section, size: usize) -> Vec<usize> {
        let end = (section.offset + section.size).min(self.bytes.len());
        (section.offset..end).step_by(size).collect()
    }

    /// The types of `.BTF`; type 1 is the first.
    pub fn types(&self) -> Vec<Type> {
        let mut types = Vec::new();
        let read = |types: &mut Vec<Type>| {
            let btf = self.section(".BTF")?;
            let mut at =
                btf.offset + (self.u32(btf.offset + 4)? + self.u32(btf.offset + 8)?) as usize;
            let end = at + self.u32(btf.offset + 12)? as usize;
            while at < end {
                let info = self.u32(at + 4)?;
                let (kind, vlen) = ((info >> 24 & 0x1f) as u8, (info & 0xffff) as usize);
                types.push(Type { at, kind, vlen });
                at += 12 + extra(kind, vlen);
            }
            Some(())
        };
        read(&mut types);
        types
    }

    /// Where the strings of `.BTF` are.
    pub fn strings(&self) -> Option<(usize, usize)> {
        let btf = self.section(".BTF")?;
        let start = btf.offset + (self.u32(btf.offset + 4)? + self.u32(btf.offset + 16)?) as usize;
        Some((start, self.u32(btf.offset + 20)? as usize))
    }
}

/// Bytes after the first three words of a type.
fn extra(kind: u8, vlen: usize) -> usize {
    match kind {
        // Integers, variables, declaration tags.
        1 | 14 | 17 => 4,
        // Arrays.
        3 => 12,
        // Structs, unions, data sections, 64-bit enums.
        4 | 5 | 15 | 19 => 12 * vlen,
        // Enums, function prototypes.
        6 | 13 => 8 * vlen,
        _ => 0,
    }
}
