//! An access string taken apart: which members and elements it passes, and where it ends up.
//!
//! `0:1:2` starts at element 0 behind a pointer to the root type, takes member 1, and of that
//! member or element 2. The string counts every step, the accessors only those that mean something
//! in another BTF: members by name, and elements by index. Anonymous members leave no accessor.

use std::fmt::Write as _;

use super::kind::{Class, RelocationKind};
use crate::btf::Btf;
use crate::error::{Error, Result};
use crate::ext::CoreRelo;
use crate::id::TypeId;
use crate::types::TypeKind;

/// Most steps of an access string (`BPF_CORE_SPEC_MAX_LEN`).
pub(super) const MAX_LEN: usize = 64;

/// A relocation's access, in the local or in a target BTF.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Spec {
    /// What is asked.
    pub kind: RelocationKind,
    /// The type that the access starts from.
    pub root: TypeId,
    /// The steps that mean something in another BTF; none for relocations of types.
    pub accessors: Vec<Accessor>,
    /// All steps; none for relocations of types.
    pub indices: Vec<u32>,
    /// Bits between the start of the root type and the field.
    pub bit_offset: u64,
}

/// One step of an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Accessor {
    /// The struct, union or enum that a named step is in, or the type of the array element.
    pub ty: TypeId,
    /// Which member, enumerator or element.
    pub index: u32,
    /// Where the name of the member or enumerator starts; nothing for an element.
    pub name_off: Option<u32>,
}

impl Spec {
    pub(super) const fn empty(kind: RelocationKind, root: TypeId) -> Self {
        Self {
            kind,
            root,
            accessors: Vec::new(),
            indices: Vec::new(),
            bit_offset: 0,
        }
    }

    /// Takes a relocation of an object apart.
    ///
    /// # Errors
    /// [`Error::RelocationKind`], [`Error::AccessString`] if the string does not fit the type, or
    /// what is wrong with the type.
    #[doc(alias = "bpf_core_parse_spec")]
    pub fn parse(btf: &Btf, relo: &CoreRelo) -> Result<Self> {
        let kind = RelocationKind::from_number(relo.kind)?;
        let text = btf.name_at(relo.access_str_off)?;
        let id = relo.type_id;
        // All that is refused here says which string it was.
        Parser { btf, id, text }.parse(kind)
    }

    /// Adds a step that is an element of an array or of what a pointer points to.
    pub(super) fn element(&mut self, btf: &Btf, ty: TypeId, index: u32) -> Result<()> {
        let bits = u64::from(index)
            .checked_mul(u64::from(btf.resolve_size(ty)?))
            .and_then(|bytes| bytes.checked_mul(8));
        self.accessors.push(Accessor {
            ty,
            index,
            name_off: None,
        });
        self.advance(ty, bits)
    }

    /// Moves on by so many bits; like libbpf, offsets are numbers of 32 bits.
    pub(super) fn advance(&mut self, ty: TypeId, bits: Option<u64>) -> Result<()> {
        let offset = bits.and_then(|bits| self.bit_offset.checked_add(bits));
        self.bit_offset = offset
            .filter(|offset| *offset <= u64::from(u32::MAX))
            .ok_or(Error::SizeOverflow { id: ty })?;
        Ok(())
    }

    /// The text that libbpf prints for it, such as
    /// `<byte_off> [7] struct task_struct.pid (0:12 @ offset 1256)`; `btf` is where it belongs.
    #[must_use]
    #[doc(alias = "bpf_core_format_spec")]
    pub fn text(&self, btf: &Btf) -> String {
        let mut text = format!("<{}> {}", self.kind, describe(btf, self.root));
        // Writing to a string does not fail.
        let _: std::fmt::Result = self.write_steps(btf, &mut text);
        text
    }

    fn write_steps(&self, btf: &Btf, text: &mut String) -> std::fmt::Result {
        let name = |offset| btf.name_at(offset).unwrap_or("?");
        match self.kind.class() {
            Class::Type => Ok(()),
            Class::Enumval => {
                let Some(step) = self.accessors.first() else {
                    return Ok(());
                };
                let values = btf.ty(step.ty).ok().and_then(|ty| ty.kind.enumerators());
                let value = values.and_then(|values| values.get(step.index as usize));
                let value = value.map_or(0, |value| value.value);
                write!(text, "::{} = {value}", step.name_off.map_or("?", name))
            }
            Class::Field => {
                for (step, accessor) in self.accessors.iter().enumerate() {
                    match accessor.name_off {
                        Some(offset) => write!(text, ".{}", name(offset))?,
                        None if step > 0 || accessor.index > 0 => {
                            write!(text, "[{}]", accessor.index)?;
                        }
                        None => {}
                    }
                }
                text.push_str(" (");
                for (step, index) in self.indices.iter().enumerate() {
                    write!(text, "{}{index}", if step == 0 { "" } else { ":" })?;
                }
                write!(text, " @ offset {}", self.bit_offset / 8)?;
                match self.bit_offset % 8 {
                    0 => text.push(')'),
                    bits => write!(text, ".{bits})")?,
                }
                Ok(())
            }
        }
    }
}

/// A type as text: `[7] struct task_struct`.
pub(super) fn describe(btf: &Btf, id: TypeId) -> String {
    let kind = btf.ty(id).map_or("?", |ty| ty.kind.name());
    let name = match btf.name(id) {
        Ok("") => "<anon>",
        Ok(name) => name,
        Err(_) => "?",
    };
    format!("{id} {kind} {name}")
}

/// Whether an array is the last member of its struct and has no length of its own.
pub(super) fn is_flexible(btf: &Btf, last: Option<&Accessor>, nelems: u32) -> Result<bool> {
    let Some(Accessor {
        ty,
        index,
        name_off: Some(_),
    }) = last
    else {
        return Ok(false);
    };
    let members = btf
        .ty(*ty)?
        .kind
        .composite()
        .map_or(0, |composite| composite.members().len());
    Ok(nelems == 0 && *index as usize + 1 == members)
}

struct Parser<'a> {
    btf: &'a Btf,
    id: TypeId,
    text: &'a str,
}

impl Parser<'_> {
    fn fault(&self, problem: &'static str) -> Error {
        Error::AccessString {
            id: self.id,
            access: self.text.into(),
            problem,
        }
    }

    fn parse(&self, kind: RelocationKind) -> Result<Spec> {
        let mut spec = Spec::empty(kind, self.id);
        if kind.class() == Class::Type {
            return match self.text {
                "0" => Ok(spec),
                _ => Err(self.fault("must be 0 for a relocation of a type")),
            };
        }
        for part in self.text.split(':') {
            if spec.indices.len() == MAX_LEN {
                return Err(self.fault("has more than 64 steps"));
            }
            let digits = part.bytes().all(|byte| byte.is_ascii_digit());
            let index = part.parse::<i32>().ok().filter(|_| digits);
            let index = index.ok_or_else(|| self.fault("is not a list of numbers"))?;
            spec.indices.push(index.cast_unsigned());
        }
        let root = self.btf.skip_mods_and_typedefs(self.id)?;
        let indices = spec.indices.clone();
        let (first, rest) = indices
            .split_first()
            .ok_or_else(|| self.fault("is empty"))?;
        if kind.class() == Class::Enumval {
            let values = self.btf.ty(root)?.kind.enumerators();
            let values = values.ok_or_else(|| self.fault("starts from a type that is no enum"))?;
            let value = values.get(*first as usize).filter(|_| rest.is_empty());
            let value =
                value.ok_or_else(|| self.fault("is no index of one of the enum's values"))?;
            let name_off = Some(value.name_off);
            spec.accessors.push(Accessor {
                ty: root,
                index: *first,
                name_off,
            });
            return Ok(spec);
        }
        spec.element(self.btf, root, *first)?;
        let mut at = root;
        for index in rest {
            at = self.step(&mut spec, at, *index)?;
        }
        Ok(spec)
    }

    /// Takes one step from a type; the result is the type that it leads to.
    fn step(&self, spec: &mut Spec, from: TypeId, index: u32) -> Result<TypeId> {
        let from = self.btf.skip_mods_and_typedefs(from)?;
        match self.btf.ty(from)?.kind {
            TypeKind::Struct(composite) | TypeKind::Union(composite) => {
                let member = composite.members().get(index as usize);
                let member =
                    member.ok_or_else(|| self.fault("counts more members than there are"))?;
                spec.advance(from, Some(member.bit_offset.into()))?;
                if member.name_off != 0 {
                    let name_off = Some(member.name_off);
                    spec.accessors.push(Accessor {
                        ty: from,
                        index,
                        name_off,
                    });
                }
                Ok(member.ty)
            }
            TypeKind::Array { elem, nelems, .. } => {
                let elem = self.btf.skip_mods_and_typedefs(elem)?;
                let flexible = is_flexible(self.btf, spec.accessors.last(), nelems)?;
                if !flexible && index >= nelems {
                    return Err(self.fault("counts more elements than there are"));
                }
                spec.element(self.btf, elem, index)?;
                Ok(elem)
            }
            _ => Err(self.fault("passes a type that is no struct, union or array")),
        }
    }
}
