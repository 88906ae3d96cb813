//! The reading itself: ELF tables through the `object` crate, then what BPF adds.

use std::borrow::Cow;

use object::Endianness;
use object::elf::{self, FileHeader64};
use object::read::elf::{FileHeader as _, Rel as _, SectionHeader as _, SectionTable, Sym as _};
use object::read::{ReadRef as _, SectionIndex};
use purebpf_insn::{Endian, Insn};

use crate::budget::Budget;
use crate::section::{Header, SHT_PROGBITS, SHT_SYMTAB};
use crate::{
    Binding, Bytes, Error, Function, Object, Relocation, Relocations, Section, SectionKind, Symbol,
    SymbolKind, SymbolPlace,
};

type Elf = FileHeader64<Endianness>;
type Table<'a> = SectionTable<'a, Elf, &'a [u8]>;

const SHN_LORESERVE: u16 = 0xff00;
const REL_SIZE: u64 = 16;
const LICENSE_MAX: usize = 63;

pub(crate) fn object(file: &Bytes) -> Result<Object, Error> {
    let (header, endian) = header(file)?;
    let table = header
        .sections(endian, &**file)
        .map_err(|e| in_table("section headers", header.e_shoff(endian), e))?;
    let sections = sections(file, &table, endian)?;
    let symbols = symbols(file, &table, endian, &sections)?;
    let relocations = relocations(file, &table, endian, &sections)?;
    let byte_order = match endian {
        Endianness::Little => Endian::Little,
        Endianness::Big => Endian::Big,
    };
    let functions = functions(file, &sections, &symbols, byte_order)?;
    let license = license(&sections);
    let version = version(&sections, byte_order)?;
    Ok(Object {
        endian: byte_order,
        sections,
        symbols,
        relocations,
        functions,
        license,
        version,
    })
}

fn in_table(section: &str, offset: impl Into<u64>, error: object::read::Error) -> Error {
    // `object` names the broken rule, but not where.
    let what = match error.to_string().as_str() {
        s if s.contains("string") => "a name is outside the string table",
        s if s.contains("entry size") => "entry size is wrong",
        s if s.contains("symbol") => "symbol table reaches outside the file",
        s if s.contains("relocation") => "relocations reach outside the file",
        _ => "it reaches outside the file",
    };
    Error::Section {
        section: section.to_owned(),
        offset: offset.into(),
        what,
    }
}

fn header(file: &[u8]) -> Result<(&Elf, Endianness), Error> {
    if file.get(..4) != Some(&elf::ELFMAG) {
        return Err(Error::NotElf {
            begin: file.iter().take(4).copied().collect(),
        });
    }
    let not_bpf = |field, found: u64, expected| Error::NotBpf {
        field,
        found,
        expected,
    };
    let class = file.get(4).copied().unwrap_or(0);
    if class != elf::ELFCLASS64.0 {
        return Err(not_bpf("class", class.into(), "2 (64-bit)"));
    }
    let version = file.get(6).copied().unwrap_or(0);
    if version != elf::EV_CURRENT.0 {
        return Err(not_bpf("version", version.into(), "1"));
    }
    let header: &Elf = file.read_at(0).map_err(|()| Error::Section {
        section: "ELF header".to_owned(),
        offset: 0,
        what: "it is truncated",
    })?;
    let endian = match header.e_ident().data {
        elf::ELFDATA2LSB => Endianness::Little,
        elf::ELFDATA2MSB => Endianness::Big,
        other => {
            return Err(not_bpf(
                "byte order",
                other.0.into(),
                "1 (little) or 2 (big)",
            ));
        }
    };
    let ty = header.e_type(endian).0;
    if ty != elf::ET_REL.0 {
        return Err(not_bpf("type", ty.into(), "1 (relocatable)"));
    }
    let machine = header.e_machine(endian).0;
    if machine != elf::EM_BPF.0 && machine != 0 {
        return Err(not_bpf("machine", machine.into(), "247 (BPF)"));
    }
    Ok((header, endian))
}

fn sections(file: &Bytes, table: &Table<'_>, endian: Endianness) -> Result<Vec<Section>, Error> {
    let mut sections = Vec::with_capacity(table.len());
    let mut budget = Budget::of(file.len() as u64);
    for (SectionIndex(index), header) in table.enumerate() {
        let offset = header.sh_offset(endian);
        let fail = |what, name: Option<&str>| Error::Section {
            section: name.map_or_else(|| format!("#{index}"), str::to_owned),
            offset,
            what,
        };
        let name = table
            .section_name(endian, header)
            .map_err(|_| fail("its name is outside the string table", None))?;
        let name = std::str::from_utf8(name).map_err(|_| fail("its name is not UTF-8", None))?;
        let size = header.sh_size(endian);
        let ty = header.sh_type(endian).0;
        let flags = header.sh_flags(endian).0;
        let kind = match index {
            0 => SectionKind::Ignored,
            _ => SectionKind::of(&Header {
                name,
                ty,
                flags,
                size,
            }),
        };
        let overlap = || fail("it overlaps too many others", Some(name));
        budget.spend(name.len()).ok_or_else(overlap)?;
        let outside = || fail("it reaches outside the file", Some(name));
        let data = match header.file_range(endian) {
            // Nothing may be anywhere, as libelf has it.
            Some((start, len)) if kind != SectionKind::Ignored && len != 0 => {
                let start = usize::try_from(start).map_err(|_| outside())?;
                let end = usize::try_from(len)
                    .ok()
                    .and_then(|len| start.checked_add(len))
                    .ok_or_else(outside)?;
                file.slice(start..end).ok_or_else(outside)?
            }
            _ => Bytes::default(),
        };
        budget.spend(data.len()).ok_or_else(overlap)?;
        if kind != SectionKind::Ignored && !size.is_multiple_of(record_size(ty)) {
            return Err(fail("it is not made of whole records", Some(name)));
        }
        if matches!(kind, SectionKind::Btf | SectionKind::BtfExt) && ty != SHT_PROGBITS {
            return Err(fail("it is not of type PROGBITS", Some(name)));
        }
        sections.push(Section {
            index,
            name: name.to_owned(),
            kind,
            offset,
            size,
            data,
        });
    }
    Ok(sections)
}

/// Bytes of a record of a section that is a table by its type; 1 for all others.
const fn record_size(ty: u32) -> u64 {
    match elf::SectionType(ty) {
        elf::SHT_SYMTAB | elf::SHT_DYNSYM | elf::SHT_RELA => 24,
        elf::SHT_REL | elf::SHT_DYNAMIC => 16,
        _ => 1,
    }
}

fn symbols(
    file: &Bytes,
    table: &Table<'_>,
    endian: Endianness,
    sections: &[Section],
) -> Result<Vec<Symbol>, Error> {
    let mut tables = table
        .enumerate()
        .filter(|(_, h)| h.sh_type(endian).0 == SHT_SYMTAB);
    let (index, header) = tables.next().ok_or(Error::NoSymbols)?;
    let offset = header.sh_offset(endian);
    let named = |what| Error::Section {
        section: sections
            .get(index.0)
            .map_or_else(|| ".symtab".to_owned(), |s| s.name.clone()),
        offset,
        what,
    };
    if let Some((_, second)) = tables.next() {
        let offset = second.sh_offset(endian);
        return Err(Error::Section {
            section: ".symtab".to_owned(),
            offset,
            what: "it is a second symbol table",
        });
    }
    let table = header
        .symbols(endian, &**file, table, index)
        .map_err(|e| in_table(".symtab", offset, e))?
        .ok_or_else(|| named("it is not a symbol table"))?;
    if table.string_section().0 == 0 {
        return Err(named("it has no string table"));
    }
    let mut symbols = Vec::with_capacity(table.len());
    let mut budget = Budget::of(file.len() as u64);
    for symbol in table.iter() {
        let name = table
            .symbol_name(endian, symbol)
            .map_err(|_| named("the name of a symbol is outside the string table"))?;
        budget
            .spend(name.len())
            .ok_or_else(|| named("the names of its symbols overlap too much"))?;
        symbols.push(Symbol {
            name: String::from_utf8_lossy(name).into_owned(),
            place: match symbol.st_shndx(endian).0 {
                0 => SymbolPlace::Undefined,
                reserved if reserved >= SHN_LORESERVE => SymbolPlace::Reserved(reserved),
                index => SymbolPlace::Section(index.into()),
            },
            kind: match symbol.st_type() {
                elf::STT_NOTYPE => SymbolKind::None,
                elf::STT_OBJECT => SymbolKind::Object,
                elf::STT_FUNC => SymbolKind::Function,
                elf::STT_SECTION => SymbolKind::Section,
                other => SymbolKind::Other(other.0),
            },
            binding: match symbol.st_bind() {
                elf::STB_LOCAL => Binding::Local,
                elf::STB_GLOBAL => Binding::Global,
                elf::STB_WEAK => Binding::Weak,
                other => Binding::Other(other.0),
            },
            hidden: matches!(symbol.st_visibility(), elf::STV_HIDDEN | elf::STV_INTERNAL),
            value: symbol.st_value(endian),
            size: symbol.st_size(endian),
        });
    }
    Ok(symbols)
}

const RELOCATED: [&str; 5] = [
    ".rel.struct_ops",
    ".rel.struct_ops.link",
    ".rel?.struct_ops",
    ".rel?.struct_ops.link",
    ".rel.maps",
];

fn relocations(
    file: &Bytes,
    table: &Table<'_>,
    endian: Endianness,
    sections: &[Section],
) -> Result<Vec<Relocations>, Error> {
    let mut all = Vec::new();
    for section in sections
        .iter()
        .filter(|s| s.kind == SectionKind::Relocations)
    {
        let fail = |what| Error::Section {
            section: section.name.clone(),
            offset: section.offset,
            what,
        };
        let header = table
            .section(SectionIndex(section.index))
            .map_err(|_| fail("it is not in the section table"))?;
        if header.sh_entsize(endian) != REL_SIZE {
            return Err(fail("entry size is not 16"));
        }
        let target = usize::try_from(header.sh_info(endian))
            .ok()
            .and_then(|index| sections.get(index))
            .ok_or_else(|| fail("its target section does not exist"))?;
        if target.kind != SectionKind::Code && !RELOCATED.contains(&section.name.as_str()) {
            continue;
        }
        let (entries, _) = header
            .rel(endian, &**file)
            .map_err(|e| in_table(&section.name, section.offset, e))?
            .ok_or_else(|| fail("it is not of type REL"))?;
        let entries = entries
            .iter()
            .map(|rel| {
                let symbol = usize::try_from(rel.r_sym(endian))
                    .map_err(|_| fail("a symbol index is too large"))?;
                Ok(Relocation {
                    offset: rel.r_offset(endian),
                    symbol,
                })
            })
            .collect::<Result<_, _>>()?;
        all.push(Relocations {
            target: target.index,
            entries,
        });
    }
    Ok(all)
}

fn functions(
    file: &[u8],
    sections: &[Section],
    symbols: &[Symbol],
    endian: Endian,
) -> Result<Vec<Function>, Error> {
    let mut budget = Budget::of(file.len() as u64);
    let mut functions = Vec::new();
    for symbol in symbols.iter().filter(|s| s.kind == SymbolKind::Function) {
        let Some(section) = symbol.section().and_then(|index| sections.get(index)) else {
            continue;
        };
        if section.kind != SectionKind::Code {
            continue;
        }
        let fail = |what| Error::Function {
            function: symbol.name.clone(),
            section: section.name.clone(),
            offset: symbol.value,
            size: symbol.size,
            what,
        };
        if symbol.binding == Binding::Local && section.name != ".text" {
            return Err(fail("a program must not be static"));
        }
        let start = usize::try_from(symbol.value).ok();
        let size = usize::try_from(symbol.size).ok();
        let bytes = start
            .zip(size)
            .and_then(|(start, size)| section.data.get(start..start.checked_add(size)?))
            .ok_or_else(|| fail("it reaches outside its section"))?;
        if bytes.is_empty() || symbol.value % 8 != 0 {
            return Err(fail("it is not made of whole instructions"));
        }
        budget
            .spend(bytes.len())
            .ok_or_else(|| fail("too many functions share the same instructions"))?;
        let insns = Insn::read_all(bytes, endian)
            .map_err(|_| fail("it is not made of whole instructions"))?;
        functions.push(Function {
            name: symbol.name.clone(),
            section: section.index,
            insn_offset: start.unwrap_or(0) / Insn::SIZE,
            insns,
            binding: symbol.binding,
            hidden: symbol.hidden,
        });
    }
    functions.sort_by_key(|f| (f.section, f.insn_offset));
    Ok(functions)
}

fn license(sections: &[Section]) -> String {
    let Some(section) = sections.iter().rfind(|s| s.kind == SectionKind::License) else {
        return String::new();
    };
    let text = section.data.get(..LICENSE_MAX).unwrap_or(&section.data);
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    match String::from_utf8_lossy(text) {
        Cow::Borrowed(text) => text.to_owned(),
        Cow::Owned(text) => text,
    }
}

fn version(sections: &[Section], endian: Endian) -> Result<Option<u32>, Error> {
    let Some(section) = sections.iter().rfind(|s| s.kind == SectionKind::Version) else {
        return Ok(None);
    };
    match <[u8; 4]>::try_from(&*section.data) {
        Ok(bytes) => Ok(Some(endian.u32(bytes))),
        Err(_) => Err(Error::Section {
            section: section.name.clone(),
            offset: section.offset,
            what: "it is not 4 bytes",
        }),
    }
}

#[cfg(test)]
mod tests;
