//! A type with a name, as of a member or parameter: C's declarators.
//!
//! BTF tells a type from the outside in (array of pointer to const int), C begins with the
//! innermost and has the rest around the name: what comes before the name is printed as the chain
//! of types is walked backwards, what comes behind it is kept until the name is there.

use crate::entries::Params;
use crate::error::{Error, Result};
use crate::id::TypeId;
use crate::types::{Type, TypeKind};

use super::printer::{Printer, Tail, TailKind};

impl<'a> Printer<'a> {
    /// Prints the declaration of `name`, which may be empty, as this type.
    pub(super) fn declare(
        &mut self,
        id: TypeId,
        name: &str,
        indent: u32,
        depth: u32,
    ) -> Result<()> {
        let depth = self.descend(id, depth)?;
        let chain = self.chain.len();
        let tails = self.tails.len();
        self.collect(id, depth)?;
        // A pointer that comes first stands alone in its parentheses.
        let mut after_ptr = true;
        while let Some(ty) = self.pop(chain) {
            let was_ptr = after_ptr;
            after_ptr = false;
            match ty.kind {
                TypeKind::Ptr(_) => {
                    self.out.push_str(if was_ptr { "*" } else { " *" });
                    after_ptr = true;
                }
                TypeKind::Volatile(_) => self.out.push_str(" volatile"),
                TypeKind::Const(_) => self.out.push_str(" const"),
                TypeKind::Restrict(_) => self.out.push_str(" restrict"),
                TypeKind::TypeTag(_) => {
                    self.part_from_word(chain);
                    self.qualifiers(chain);
                    let tag = self.btf.name_at(ty.name_off)?;
                    // With the flag it is any attribute, not only a type tag.
                    let (open, close) = match ty.kind_flag {
                        true => (" __attribute__((", "))"),
                        false => (" __attribute__((btf_type_tag(\"", "\")))"),
                    };
                    for part in [open, tag, close] {
                        self.out.push_str(part);
                    }
                }
                TypeKind::Array { nelems, .. } => {
                    self.drop_mods(chain);
                    let kind = TailKind::Array(nelems);
                    let parenthesis = match self.chain.get(chain..).and_then(<[_]>::last) {
                        None => {
                            after_ptr = was_ptr;
                            false
                        }
                        Some(next) => {
                            if !was_ptr && !name.is_empty() {
                                self.out.push(' ');
                            }
                            after_ptr = true;
                            !matches!(next.kind, TypeKind::Array { .. })
                        }
                    };
                    if parenthesis {
                        self.out.push('(');
                    }
                    self.tails.push(Tail { parenthesis, kind });
                }
                TypeKind::FuncProto { params, .. } => {
                    self.drop_mods(chain);
                    let kind = TailKind::Params(ty.id, params);
                    let parenthesis = self.chain.len() > chain;
                    if parenthesis {
                        self.out.push_str(" (");
                    }
                    after_ptr = parenthesis || was_ptr;
                    self.tails.push(Tail { parenthesis, kind });
                }
                _ => self.innermost(&ty, chain, indent, depth)?,
            }
        }
        if !name.is_empty() && !after_ptr {
            self.out.push(' ');
        }
        self.out.push_str(name);
        while let Some(tail) = self.tails.get(tails..).and_then(<[_]>::last).copied() {
            self.tails.pop();
            self.tail(tail, indent, depth)?;
        }
        Ok(())
    }

    /// Appends the types from here to the innermost to the chain.
    fn collect(&mut self, id: TypeId, depth: u32) -> Result<()> {
        let mut next = Some(id);
        let mut depth = depth;
        while let Some(at) = next {
            depth = self.descend(id, depth)?;
            let ty = self.btf.ty(at)?;
            next = match ty.kind {
                TypeKind::Ptr(to)
                | TypeKind::Volatile(to)
                | TypeKind::Const(to)
                | TypeKind::Restrict(to)
                | TypeKind::TypeTag(to)
                | TypeKind::Array { elem: to, .. }
                | TypeKind::FuncProto { ret: to, .. } => Some(to),
                _ => None,
            };
            if !(self.style.strip_mods && ty.kind.modified().is_some()) {
                self.chain.push(ty);
            }
        }
        Ok(())
    }

    fn pop(&mut self, chain: usize) -> Option<Type<'a>> {
        if self.chain.len() <= chain {
            return None;
        }
        self.chain.pop()
    }

    /// Takes the last type off the chain if `is` says so.
    fn pop_if(&mut self, chain: usize, is: impl Fn(&TypeKind<'_>) -> bool) -> Option<Type<'a>> {
        let last = self.chain.get(chain..).and_then(<[_]>::last)?;
        if is(&last.kind) {
            self.pop(chain)
        } else {
            None
        }
    }

    /// Prints the innermost type, with its qualifiers before it.
    fn innermost(&mut self, ty: &Type<'a>, chain: usize, indent: u32, depth: u32) -> Result<()> {
        self.qualifiers(chain);
        let body = ty.is_anonymous() && !self.style.skip_bodies;
        match ty.kind {
            TypeKind::Void => self.out.push_str("void"),
            TypeKind::Int { .. } | TypeKind::Float { .. } => {
                let name = self.btf.name_at(ty.name_off)?;
                self.out.push_str(name);
            }
            TypeKind::Typedef(_) => self.push_name(ty)?,
            TypeKind::Struct(_) | TypeKind::Union(_) if body => {
                self.composite_def(ty, true, indent, depth)?;
            }
            TypeKind::Enum { .. } | TypeKind::Enum64 { .. } if body => {
                self.enum_def(ty, indent)?;
            }
            TypeKind::Struct(_)
            | TypeKind::Union(_)
            | TypeKind::Enum { .. }
            | TypeKind::Enum64 { .. }
            | TypeKind::Fwd { .. } => self.tag(ty)?,
            _ => {
                return Err(Error::WrongKind {
                    id: ty.id,
                    found: ty.kind.name(),
                    expected: "a type that C can declare",
                });
            }
        }
        Ok(())
    }

    /// Prints qualifiers that stand before what they qualify.
    fn qualifiers(&mut self, chain: usize) {
        let qualifier = |kind: &TypeKind<'_>| match kind {
            TypeKind::Volatile(_) => Some("volatile "),
            TypeKind::Const(_) => Some("const "),
            TypeKind::Restrict(_) => Some("restrict "),
            _ => None,
        };
        while let Some(ty) = self.pop_if(chain, |kind| qualifier(kind).is_some()) {
            self.out.push_str(qualifier(&ty.kind).unwrap_or_default());
        }
    }

    /// Keeps a qualifier that follows from growing together with the name of the type before it.
    fn part_from_word(&mut self, chain: usize) {
        let last = self.chain.get(chain..).and_then(<[_]>::last);
        let qualified = last.is_some_and(|ty| {
            matches!(
                ty.kind,
                TypeKind::Volatile(_) | TypeKind::Const(_) | TypeKind::Restrict(_)
            )
        });
        let word = |c: char| c.is_alphanumeric() || c == '_';
        if qualified && self.out.ends_with(word) {
            self.out.push(' ');
        }
    }

    /// Leaves out qualifiers of arrays and functions, which some compilers repeat there from the
    /// element or make of `noreturn`.
    fn drop_mods(&mut self, chain: usize) {
        while self
            .pop_if(chain, |kind| kind.modified().is_some())
            .is_some()
        {}
    }

    fn tail(&mut self, tail: Tail<'a>, indent: u32, depth: u32) -> Result<()> {
        if tail.parenthesis {
            self.out.push(')');
        }
        match tail.kind {
            TailKind::Array(nelems) => {
                self.out.push('[');
                self.number(nelems);
                self.out.push(']');
                Ok(())
            }
            TailKind::Params(id, params) => self.params(id, params, indent, depth),
        }
    }

    fn params(&mut self, id: TypeId, params: Params<'a>, indent: u32, depth: u32) -> Result<()> {
        self.out.push('(');
        let last = params.len().saturating_sub(1);
        for (index, param) in params.iter().enumerate() {
            self.spend(id, 1)?;
            match (param.ty, index) {
                // Some compilers say `(void)` in this way.
                (TypeId::VOID, 0) if last == 0 => self.out.push_str("void"),
                (TypeId::VOID, _) if index == last => self.out.push_str(", ..."),
                (ty, _) => {
                    if index > 0 {
                        self.out.push_str(", ");
                    }
                    let name = self.btf.name_at(param.name_off)?;
                    self.declare(ty, name, indent, depth)?;
                }
            }
        }
        if params.is_empty() {
            self.out.push_str("void");
        }
        self.out.push(')');
        Ok(())
    }
}
