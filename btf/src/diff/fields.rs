//! The members of a struct, those of anonymous structs in it included.

use super::text::{Steps, text};
use crate::btf::Btf;
use crate::error::Result;
use crate::id::TypeId;
use crate::types::TypeKind;

/// Anonymous structs inside each other.
const MAX_DEPTH: u32 = 32;

/// A member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// Its name behind those of the anonymous structs that it is in.
    pub(super) path: String,
    /// Bits from the start of the outermost struct, or bytes in a section.
    pub(super) offset: u32,
    /// Bits of a bit-field, or bytes in a section.
    pub(super) size: u32,
    pub(super) ty: String,
}

/// The members of a struct, a union, or a section.
pub(super) fn fields(btf: &Btf, id: TypeId, steps: &mut Steps) -> Result<Vec<Field>> {
    let mut walk = Walk {
        btf,
        steps,
        fields: Vec::new(),
    };
    walk.composite(id, "", 0, MAX_DEPTH)?;
    Ok(walk.fields)
}

struct Walk<'w> {
    btf: &'w Btf,
    steps: &'w mut Steps,
    fields: Vec<Field>,
}

impl Walk<'_> {
    fn composite(&mut self, id: TypeId, prefix: &str, start: u32, depth: u32) -> Result<()> {
        let Some(depth) = depth.checked_sub(1) else {
            return Ok(());
        };
        let kind = self.btf.ty(id)?.kind;
        for member in kind.composite().iter().flat_map(|c| c.members()) {
            self.steps.spend(id, 1 + prefix.len() / 64)?;
            let name = self.btf.name_at(member.name_off)?;
            let path = format!("{prefix}{name}");
            let offset = start.saturating_add(member.bit_offset);
            let (inner, dimensions) = self.anonymous(member.ty)?;
            let ty = match inner {
                None => text(self.btf, member.ty, self.steps)?,
                // What is in it is compared on its own.
                Some(inner) => {
                    let kind = self.btf.ty(inner)?.kind;
                    let size = kind.composite().map_or(0, |composite| composite.size);
                    format!("{} of {size} bytes{dimensions}", kind.name())
                }
            };
            if !name.is_empty() || inner.is_none() {
                self.fields.push(Field {
                    path: path.clone(),
                    offset,
                    size: member.bitfield_size.into(),
                    ty,
                });
            }
            if let Some(inner) = inner {
                let prefix = match (name.is_empty(), dimensions.is_empty()) {
                    (true, _) => path,
                    (false, true) => format!("{path}."),
                    (false, false) => format!("{path}[]."),
                };
                self.composite(inner, &prefix, offset, depth)?;
            }
        }
        if let TypeKind::Datasec { secinfos, .. } = kind {
            for info in secinfos {
                self.fields.push(Field {
                    path: self.btf.name(info.ty)?.to_owned(),
                    offset: info.offset,
                    size: info.size,
                    ty: String::new(),
                });
            }
        }
        Ok(())
    }

    /// The struct without a name that a member is of, or is an array of; and the dimensions.
    fn anonymous(&mut self, id: TypeId) -> Result<(Option<TypeId>, String)> {
        let mut dimensions = String::new();
        let mut at = id;
        for _ in 0..MAX_DEPTH {
            self.steps.spend(id, 1)?;
            let ty = self.btf.ty(at)?;
            at = match ty.kind {
                TypeKind::Array { elem, nelems, .. } => {
                    dimensions.push_str(&format!("[{nelems}]"));
                    elem
                }
                TypeKind::Struct(_) | TypeKind::Union(_) if ty.is_anonymous() => {
                    return Ok((Some(at), dimensions));
                }
                _ => break,
            };
        }
        Ok((None, String::new()))
    }
}
