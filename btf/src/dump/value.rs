//! Bytes of a type as text in the manner of a C initialiser: `(struct pair){ .a = (int)1, }`.

use crate::btf::Btf;
use crate::entries::SecInfos;
use crate::error::{Error, Result};
use crate::id::TypeId;
use crate::query::MAX_DEPTH;
use crate::raw::Endian;
use crate::types::{Composite, Linkage, Type, TypeKind};

use super::c::CDump;

/// Lines that even few bytes may give, as a union of many members does; each byte may give one more.
const MIN_LINES: usize = 1 << 16;
/// The same for bytes of text, most of which are names of types.
const MIN_TEXT: usize = 16 << 20;
const TEXT_PER_BYTE: usize = 64;
/// By how much the last name of a type may be over that.
const TEXT_OVER: usize = 1 << 16;
/// Steps that looking for zeroes and for enumerators may take, whatever the bytes; each adds some.
const MIN_STEPS: usize = 1 << 20;
const STEPS_PER_BYTE: usize = 64;

/// Prints values of types as text, in the form of libbpf.
///
/// ```text
/// (struct pair){
///         .a = (int)1,
///         .name = (char[4])['a','b',],
/// }
/// ```
///
/// Members that are zero are left out, but for those of arrays, where there are no casts either. A
/// flexible array at the end takes the bytes that are there behind the type. Where bytes end early,
/// the text says `<truncated>`.
///
/// Unlike libbpf's,
/// - a struct is zero if all its members are, not only the first; of a bit-field only its own bits
///   count, and zeroes of an array that follows a `char` array are printed;
/// - only arrays of `char` are text, not those of other types of one byte, and nothing behind their
///   NUL is printed;
/// - strings inside structs are followed by a comma and a new line;
/// - enumerators are found wherever the value lies, with the sign of a bit-field extended, and a
///   negative number that is none is followed by a comma;
/// - a null pointer is `0x0`; floating point numbers other than of 4 and 8 bytes are hexadecimal;
/// - a member that cannot be read whole does not end the text of those around it;
/// - the value of a variable is not indented a second time.
#[derive(Debug)]
#[doc(alias = "btf_dump_type_data_opts")]
pub struct ValueText<'a> {
    btf: &'a Btf,
    dump: CDump<'a>,
    style: TextStyle<'a>,
}

/// What was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct TextStyle<'a> {
    pub(super) indent: &'a str,
    pub(super) level: usize,
    pub(super) compact: bool,
    pub(super) names: bool,
    pub(super) zeroes: bool,
    pub(super) strings: bool,
    pub(super) flags: bool,
    pub(super) endian: Endian,
}

impl<'a> ValueText<'a> {
    /// Prints values of the types of a BTF, a member a line, indented by tabs.
    #[must_use]
    pub fn new(btf: &'a Btf) -> Self {
        Self {
            btf,
            dump: CDump::new(btf),
            style: TextStyle {
                indent: "\t",
                level: 0,
                compact: false,
                names: true,
                zeroes: false,
                strings: false,
                flags: false,
                endian: Endian::HOST,
            },
        }
    }

    /// Sets what a line is indented by for each level, and how many levels the whole is.
    #[must_use]
    pub fn indent(mut self, text: &'a str, level: u8) -> Self {
        self.style.indent = text;
        self.style.level = level.into();
        self
    }

    /// Sets whether all stands on one line.
    #[must_use]
    pub fn compact(mut self, compact: bool) -> Self {
        self.style.compact = compact;
        self
    }

    /// Sets whether names of members and types are left out.
    #[must_use]
    pub fn skip_names(mut self, skip: bool) -> Self {
        self.style.names = !skip;
        self
    }

    /// Sets whether members that are zero are printed as well.
    #[must_use]
    pub fn emit_zeroes(mut self, emit: bool) -> Self {
        self.style.zeroes = emit;
        self
    }

    /// Sets whether arrays of `char` that end with a NUL are printed as `"text"`.
    #[must_use]
    pub fn emit_strings(mut self, emit: bool) -> Self {
        self.style.strings = emit;
        self
    }

    /// Sets whether a number that is no enumerator, but some that have one bit each, is printed as
    /// `A|B`.
    #[must_use]
    pub fn enum_flags(mut self, flags: bool) -> Self {
        self.style.flags = flags;
        self
    }

    /// Sets the byte order of the values; otherwise it is the host's.
    #[must_use]
    pub fn endian(mut self, endian: Endian) -> Self {
        self.style.endian = endian;
        self
    }

    /// Appends bytes as a value of a type, without a new line at the end.
    ///
    /// # Errors
    /// [`Error::NoType`]; [`Error::NoSize`] for what has no value, such as a function;
    /// [`Error::SizeOverflow`]; [`Error::Depth`] for nesting of more than 32 levels;
    /// [`Error::NotUtf8`] for a name; [`Error::TextTooLong`] for names of types that are longer than
    /// the text may be (16 MiB, and 64 bytes for each byte). `out` is then what it was.
    #[doc(alias = "btf_dump__dump_type_data")]
    pub fn print(&mut self, id: TypeId, bytes: &[u8], out: &mut String) -> Result<()> {
        let start = out.len();
        let mut printer = Printer {
            btf: self.btf,
            dump: &mut self.dump,
            style: self.style,
            bytes,
            end: self.btf.resolve_size(id)? as usize,
            out,
            lines: bytes.len().saturating_add(MIN_LINES),
            end_of_text: bytes
                .len()
                .saturating_mul(TEXT_PER_BYTE)
                .saturating_add(MIN_TEXT)
                .saturating_add(start),
            steps: bytes
                .len()
                .saturating_mul(STEPS_PER_BYTE)
                .saturating_add(MIN_STEPS),
        };
        let result = printer.value("", Place::of(id), Nesting::default());
        if result.is_err() {
            out.truncate(start);
        }
        result.map(|_| ())
    }

    /// Bytes as a value of a type; see [`print`](Self::print).
    ///
    /// # Errors
    /// As [`print`](Self::print).
    pub fn to_text(&mut self, id: TypeId, bytes: &[u8]) -> Result<String> {
        let mut out = String::new();
        self.print(id, bytes, &mut out)?;
        Ok(out)
    }
}

/// Where a value lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) id: TypeId,
    /// Bytes from the start of all.
    pub(super) start: usize,
    /// Bits from there on; below 8.
    pub(super) bit: u32,
    /// Bits of a bit-field, or 0.
    pub(super) bits: u32,
}

impl Place {
    pub(super) const fn of(id: TypeId) -> Self {
        Self {
            id,
            start: 0,
            bit: 0,
            bits: 0,
        }
    }
}

/// What a value is part of.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Nesting {
    /// Structs and arrays around it.
    depth: u32,
    /// Sections around it, which nothing is indented for.
    sections: u32,
    in_array: bool,
    /// What it is the value of has been indented already.
    after_name: bool,
}

impl Nesting {
    pub(super) fn inside(self, id: TypeId, in_array: bool) -> Result<Self> {
        if self.depth >= MAX_DEPTH {
            return Err(Error::Depth {
                id,
                limit: MAX_DEPTH,
            });
        }
        Ok(Self {
            depth: self.depth + 1,
            in_array: self.in_array || in_array,
            after_name: false,
            ..self
        })
    }

    /// Behind the name of a section, which may say that it holds itself.
    fn in_section(self, id: TypeId) -> Result<Self> {
        if self.sections >= MAX_DEPTH {
            return Err(Error::Depth {
                id,
                limit: MAX_DEPTH,
            });
        }
        Ok(Self {
            sections: self.sections + 1,
            after_name: true,
            ..self
        })
    }
}

/// Whether more can follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    Whole,
    /// Bytes or lines are used up.
    Cut,
}

/// Prints one value.
pub(super) struct Printer<'p, 'a> {
    pub(super) btf: &'a Btf,
    dump: &'p mut CDump<'a>,
    pub(super) style: TextStyle<'p>,
    pub(super) bytes: &'p [u8],
    /// Where the whole type ends, and a flexible array may begin.
    pub(super) end: usize,
    pub(super) out: &'p mut String,
    /// Values that may still be printed.
    lines: usize,
    end_of_text: usize,
    pub(super) steps: usize,
}

impl<'a> Printer<'_, 'a> {
    pub(super) fn value(&mut self, name: &str, place: Place, nesting: Nesting) -> Result<Shown> {
        let size = self.btf.resolve_size(place.id)? as usize;
        if !self.charge(0) {
            return Ok(self.cut(nesting));
        }
        let ty = self.btf.ty(self.btf.skip_mods_and_typedefs(place.id)?)?;
        let always = self.style.zeroes || nesting.depth == 0 || nesting.in_array;
        if !always && self.is_zero(place, 0)? {
            return Ok(Shown::Whole);
        }
        self.indent(nesting);
        if self.style.names {
            if !name.is_empty() {
                for part in [".", name, " = "] {
                    self.out.push_str(part);
                }
            }
            let has_own_cast = matches!(ty.kind, TypeKind::Var { .. } | TypeKind::Datasec { .. });
            if !nesting.in_array && !has_own_cast {
                self.out.push('(');
                self.cast(place.id)?;
                self.out.push(')');
            }
        }
        match ty.kind {
            TypeKind::Struct(composite) | TypeKind::Union(composite) => {
                self.composite(&ty, composite, place, nesting)
            }
            TypeKind::Array { elem, nelems, .. } => self.array(elem, nelems, place, nesting),
            TypeKind::Var { ty: of, linkage } => self.var(&ty, of, linkage, place, nesting),
            TypeKind::Datasec { secinfos, .. } => self.datasec(&ty, secinfos, nesting),
            _ => {
                let shown = self.scalar(&ty, size, place);
                self.close(nesting);
                Ok(shown)
            }
        }
    }

    /// Prints the name of a type; that of a prototype may be long.
    fn cast(&mut self, id: TypeId) -> Result<()> {
        let left = self.end_of_text.saturating_sub(self.out.len());
        self.dump.set_text_limit(left.saturating_add(TEXT_OVER));
        self.dump.cast(id, self.out)
    }

    /// Takes note of a line; there is none left if this fails.
    pub(super) fn charge(&mut self, text: usize) -> bool {
        let left = self.lines.checked_sub(1 + text / 16);
        let fits = left.is_some() && self.out.len() <= self.end_of_text;
        self.lines = if fits { left.unwrap_or(0) } else { 0 };
        fits
    }

    pub(super) fn cut(&mut self, nesting: Nesting) -> Shown {
        self.indent(nesting);
        self.out.push_str("<truncated>");
        self.close(nesting);
        Shown::Cut
    }

    /// What stands before a value on its line.
    pub(super) fn indent(&mut self, nesting: Nesting) {
        if self.style.compact || nesting.after_name {
            return;
        }
        for _ in 0..self.style.level.saturating_add(nesting.depth as usize) {
            self.out.push_str(self.style.indent);
        }
    }

    pub(super) fn new_line(&mut self) {
        if !self.style.compact {
            self.out.push('\n');
        }
    }

    /// What stands behind a value.
    pub(super) fn close(&mut self, nesting: Nesting) {
        if nesting.depth > 0 {
            self.out.push(',');
            self.new_line();
        }
    }

    pub(super) fn close_with(&mut self, bracket: char, nesting: Nesting) {
        self.indent(Nesting {
            after_name: false,
            ..nesting
        });
        self.out.push(bracket);
        self.close(nesting);
    }

    fn composite(
        &mut self,
        ty: &Type<'a>,
        composite: Composite<'a>,
        place: Place,
        nesting: Nesting,
    ) -> Result<Shown> {
        let inside = nesting.inside(ty.id, false)?;
        let is_union = matches!(ty.kind, TypeKind::Union(_));
        self.out.push('{');
        self.new_line();
        let mut shown = Shown::Whole;
        for member in composite.members {
            let name = self.btf.name_at(member.name_off)?;
            let part = self.member(place, member);
            if self.value(name, part, inside)? == Shown::Cut {
                shown = Shown::Cut;
                // Other members of a union may be shorter.
                if !is_union || self.lines == 0 {
                    break;
                }
            }
        }
        self.close_with('}', nesting);
        Ok(shown)
    }

    fn var(
        &mut self,
        ty: &Type<'a>,
        of: TypeId,
        linkage: Linkage,
        place: Place,
        nesting: Nesting,
    ) -> Result<Shown> {
        self.out.push_str(match linkage {
            Linkage::STATIC => "static ",
            Linkage::EXTERN => "extern ",
            _ => "",
        });
        self.cast(of)?;
        for part in [" ", self.btf.name_at(ty.name_off)?, " = "] {
            self.out.push_str(part);
        }
        let nesting = Nesting {
            after_name: true,
            ..nesting
        };
        self.value("", Place { id: of, ..place }, nesting)
    }

    fn datasec(
        &mut self,
        ty: &Type<'a>,
        secinfos: SecInfos<'a>,
        nesting: Nesting,
    ) -> Result<Shown> {
        for part in ["SEC(\"", self.btf.name_at(ty.name_off)?, "\") "] {
            self.out.push_str(part);
        }
        let inside = nesting.in_section(ty.id)?;
        let whole = self.bytes;
        for secinfo in secinfos {
            let place = Place {
                start: secinfo.offset as usize,
                ..Place::of(secinfo.ty)
            };
            // A flexible array takes what its own variable has behind the type; before an object is
            // loaded the sizes of variables are not known.
            let after = |size: u32| place.start.saturating_add(size as usize);
            self.end = after(self.btf.resolve_size(secinfo.ty)?);
            self.bytes = match secinfo.size {
                0 => whole.get(..self.end),
                size => whole.get(..after(size)),
            }
            .unwrap_or(whole);
            self.value("", place, inside)?;
            self.out.push(';');
        }
        Ok(Shown::Whole)
    }
}
