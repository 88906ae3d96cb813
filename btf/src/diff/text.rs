//! A type as C writes it.

use crate::btf::Btf;
use crate::error::{Error, Result};
use crate::id::TypeId;
use crate::types::TypeKind;

/// Prototypes and anonymous structs inside each other.
const MAX_DEPTH: u32 = 32;

/// Steps that are left for all comparisons together.
#[derive(Debug)]
pub(super) struct Steps {
    left: u64,
    limit: u32,
}

impl Steps {
    /// As many as two BTFs of this many words may take.
    pub(super) fn for_words(words: usize) -> Self {
        let limit = (words as u64).saturating_mul(16).saturating_add(1 << 14);
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        Self {
            left: limit.into(),
            limit,
        }
    }

    pub(super) fn spend(&mut self, id: TypeId, steps: usize) -> Result<()> {
        self.left = self
            .left
            .checked_sub(steps as u64)
            .ok_or(Error::TooComplex {
                id,
                limit: self.limit,
            })?;
        Ok(())
    }
}

/// A type as C writes it without a name, as in a cast. Structs without a name are written out, with
/// the bits from their start to each member.
pub(super) fn text(btf: &Btf, id: TypeId, steps: &mut Steps) -> Result<String> {
    Writer { btf, steps }.ty(id, MAX_DEPTH)
}

struct Writer<'w> {
    btf: &'w Btf,
    steps: &'w mut Steps,
}

impl Writer<'_> {
    fn ty(&mut self, id: TypeId, depth: u32) -> Result<String> {
        let Some(depth) = depth.checked_sub(1) else {
            return Ok("...".to_owned());
        };
        // What stands around the name that a declaration would have, from the inside out.
        let mut around = String::new();
        let mut words = String::new();
        let mut at = id;
        loop {
            self.steps
                .spend(id, 1 + (around.len() + words.len()) / 64)?;
            let ty = self.btf.ty(at)?;
            let name = self.btf.name(at)?;
            let mut word = |word: &str, next| {
                words.push_str(word);
                words.push(' ');
                next
            };
            at = match ty.kind {
                TypeKind::Const(next) => word("const", next),
                TypeKind::Volatile(next) => word("volatile", next),
                TypeKind::Restrict(next) => word("restrict", next),
                TypeKind::TypeTag(next) => word(&format!("__tag({name})"), next),
                TypeKind::Ptr(next) => {
                    around = format!("*{words}{around}");
                    words.clear();
                    next
                }
                TypeKind::Array { elem, nelems, .. } => {
                    around = format!("{}[{nelems}]", grouped(around));
                    elem
                }
                TypeKind::FuncProto { ret, params } => {
                    let mut list = Vec::with_capacity(params.len());
                    for param in params {
                        list.push(match param.ty {
                            TypeId::VOID if param.name_off == 0 => "...".to_owned(),
                            ty => {
                                let ty = self.ty(ty, depth)?;
                                let name = self.btf.name_at(param.name_off)?;
                                format!("{ty} {name}").trim_end().to_owned()
                            }
                        });
                    }
                    around = format!("{}({})", grouped(around), list.join(", "));
                    ret
                }
                _ => break,
            };
        }
        let named = self.named(at, depth)?;
        Ok(format!("{words}{named} {around}").trim_end().to_owned())
    }

    /// A type that is no pointer, array, prototype or modifier.
    fn named(&mut self, id: TypeId, depth: u32) -> Result<String> {
        let ty = self.btf.ty(id)?;
        let name = self.btf.name(id)?;
        let keyword = match ty.kind {
            TypeKind::Void => return Ok("void".to_owned()),
            TypeKind::Struct(_) | TypeKind::Fwd { union: false } => "struct",
            TypeKind::Union(_) | TypeKind::Fwd { union: true } => "union",
            TypeKind::Enum { .. } | TypeKind::Enum64 { .. } => "enum",
            _ => return Ok(name.to_owned()),
        };
        if !ty.is_anonymous() {
            return Ok(format!("{keyword} {name}"));
        }
        let mut parts = Vec::new();
        for member in ty.kind.composite().iter().flat_map(|c| c.members()) {
            let ty = self.ty(member.ty, depth)?;
            let name = self.btf.name_at(member.name_off)?;
            let bits = match member.bitfield_size {
                0 => String::new(),
                bits => format!(":{bits}"),
            };
            parts.push(format!("{ty} {name}{bits} @{}", member.bit_offset));
        }
        for value in ty
            .kind
            .enumerators()
            .iter()
            .flat_map(|values| values.iter())
        {
            self.steps.spend(id, 1)?;
            let name = self.btf.name_at(value.name_off)?;
            parts.push(format!("{name} = {}", value.value));
        }
        Ok(format!("{keyword} {{ {} }}", parts.join("; ")))
    }
}

/// A pointer needs parentheses before what binds closer.
fn grouped(around: String) -> String {
    match around.starts_with('*') {
        true => format!("({around})"),
        false => around,
    }
}
