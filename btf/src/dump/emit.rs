//! Definitions, and the forward declarations between them.

use crate::error::Result;
use crate::id::TypeId;
use crate::name;
use crate::types::{Type, TypeKind};

use super::printer::{Printer, State};

/// Integers that only some compilers have built in, and what they are elsewhere.
const ALIASES: [(&str, &str); 4] = [
    ("__Poly8_t", "unsigned char"),
    ("__Poly16_t", "unsigned short"),
    ("__Poly64_t", "unsigned long long"),
    ("__Poly128_t", "unsigned __int128"),
];

impl<'a> Printer<'a> {
    /// Prints the definition of a type of the queue (`container` is void), or what must stand before
    /// the definition of a container so that the type can be named in it.
    pub(super) fn emit(&mut self, id: TypeId, container: TypeId, depth: u32) -> Result<()> {
        let state = self.state(id);
        if state.has(State::EMITTED) {
            return Ok(());
        }
        let ty = self.btf.ty(id)?;
        if state.has(State::EMITTING) {
            return self.emit_within_itself(&ty, container);
        }
        let depth = self.descend(id, depth)?;
        match ty.kind {
            TypeKind::Int { .. } => {
                self.alias(&ty)?;
                self.set(id, State::EMITTED);
            }
            TypeKind::Enum { .. } | TypeKind::Enum64 { .. } => {
                if container.is_void() {
                    self.enum_def(&ty, 0)?;
                    self.end();
                }
                self.set(id, State::EMITTED);
            }
            TypeKind::Fwd { .. } => {
                self.tag(&ty)?;
                self.end();
                self.set(id, State::EMITTED);
            }
            TypeKind::Ptr(to)
            | TypeKind::Volatile(to)
            | TypeKind::Const(to)
            | TypeKind::Restrict(to)
            | TypeKind::TypeTag(to)
            | TypeKind::Array { elem: to, .. } => {
                self.emit(to, container, depth)?;
                // Nothing is left to be done for this one either, then.
                if self.state(to).has(State::EMITTED) {
                    self.set(id, State::EMITTED);
                }
            }
            TypeKind::FuncProto { ret, params } => {
                self.emit(ret, container, depth)?;
                for param in params {
                    self.emit(param.ty, container, depth)?;
                }
            }
            TypeKind::Typedef(to) => {
                self.set(id, State::EMITTING);
                self.emit(to, id, depth)?;
                self.typedef_once(&ty, depth)?;
                self.set(id, State::EMITTED);
            }
            TypeKind::Struct(_) | TypeKind::Union(_) => {
                self.emit_composite(&ty, container, depth)?;
            }
            TypeKind::Void
            | TypeKind::Float { .. }
            | TypeKind::Func { .. }
            | TypeKind::Var { .. }
            | TypeKind::Datasec { .. }
            | TypeKind::DeclTag { .. }
            | TypeKind::Unknown { .. } => {}
        }
        Ok(())
    }

    /// The type is named inside of its own definition; of typedefs no such loop can be put in order.
    fn emit_within_itself(&mut self, ty: &Type<'a>, container: TypeId) -> Result<()> {
        // Inside its own braces a struct is known.
        let is_known = ty.id == container || ty.is_anonymous();
        if ty.kind.composite().is_some() && !is_known {
            self.forward_once(ty)?;
        }
        Ok(())
    }

    fn emit_composite(&mut self, ty: &Type<'a>, container: TypeId, depth: u32) -> Result<()> {
        let defined_here = container.is_void();
        self.set(ty.id, State::EMITTING);
        if defined_here || ty.is_anonymous() {
            let container = if ty.is_anonymous() { container } else { ty.id };
            for member in ty.kind.composite().into_iter().flat_map(|it| it.members) {
                self.emit(member.ty, container, depth)?;
            }
        } else if ty.id != container {
            self.forward_once(ty)?;
        }
        self.unset(ty.id, State::EMITTING);
        if defined_here {
            self.composite_def(ty, true, 0, depth)?;
            self.end();
            self.set(ty.id, State::EMITTED);
        }
        Ok(())
    }

    fn forward_once(&mut self, ty: &Type<'a>) -> Result<()> {
        if !self.state(ty.id).has(State::DECLARED) {
            self.tag(ty)?;
            self.end();
            self.set(ty.id, State::DECLARED);
        }
        Ok(())
    }

    fn typedef_once(&mut self, ty: &Type<'a>, depth: u32) -> Result<()> {
        if self.state(ty.id).has(State::DECLARED) {
            return Ok(());
        }
        self.set(ty.id, State::DECLARED);
        // Compilers have this one built in, and each of them another.
        if name::is(self.btf.strings_from(ty.name_off), b"__builtin_va_list") {
            return Ok(());
        }
        let name = self.name(ty)?;
        self.out.push_str("typedef ");
        match (ty.kind, name.number) {
            // Old compilers wrote void there.
            (TypeKind::Typedef(TypeId::VOID), 1) if name.text == "__gnuc_va_list" => {
                self.out.push_str("__builtin_va_list __gnuc_va_list");
            }
            (TypeKind::Typedef(to), 1) => self.declare(to, name.text, 0, depth)?,
            (TypeKind::Typedef(to), _) => self.declare(to, &name.to_string(), 0, depth)?,
            _ => {}
        }
        self.end();
        Ok(())
    }

    fn alias(&mut self, ty: &Type<'a>) -> Result<()> {
        let name = self.name(ty)?;
        let alias = ALIASES.iter().find(|(alias, _)| *alias == name.text);
        if let (Some((_, meaning)), 1) = (alias, name.number) {
            for part in ["typedef ", meaning, " ", name.text] {
                self.out.push_str(part);
            }
            self.end();
        }
        Ok(())
    }

    fn end(&mut self) {
        self.out.push_str(";\n\n");
    }

    /// The name of a struct, union, enum or forward declaration, with its keyword.
    pub(super) fn tag(&mut self, ty: &Type<'a>) -> Result<()> {
        self.keyword(ty);
        self.tag_name(ty)
    }

    pub(super) fn keyword(&mut self, ty: &Type<'a>) {
        self.out.push_str(match ty.kind {
            TypeKind::Struct(_) | TypeKind::Fwd { union: false } => "struct",
            TypeKind::Union(_) | TypeKind::Fwd { union: true } => "union",
            _ => "enum",
        });
    }

    pub(super) fn tag_name(&mut self, ty: &Type<'a>) -> Result<()> {
        if !ty.is_anonymous() {
            self.out.push(' ');
            self.push_name(ty)?;
        }
        Ok(())
    }
}
