//! What is compared: types by kind and name.

use std::fmt;

use crate::btf::Btf;
use crate::error::Result;
use crate::id::TypeId;
use crate::types::{Type, TypeKind};

/// Kinds that share their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Category {
    /// Integers and floating point numbers.
    Number,
    /// Structs and their declarations.
    Struct,
    /// Unions and their declarations.
    Union,
    /// Enums of any width.
    Enum,
    /// Typedefs.
    Typedef,
    /// Functions.
    Function,
    /// Variables.
    Variable,
    /// Sections with their variables.
    Section,
    /// Attributes of declarations.
    Tag,
}

impl fmt::Display for Category {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Number => "number",
            Self::Struct => "struct",
            Self::Union => "union",
            Self::Enum => "enum",
            Self::Typedef => "typedef",
            Self::Function => "function",
            Self::Variable => "variable",
            Self::Section => "section",
            Self::Tag => "tag",
        })
    }
}

/// A type of one of two BTFs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Subject {
    /// What it is.
    pub category: Category,
    /// Its name. An enum without one goes by its first value, a tag by its text and what it tags.
    pub name: String,
    /// Its id there.
    pub id: TypeId,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.category, self.name)
    }
}

impl Subject {
    pub(super) fn key(&self) -> (Category, &str) {
        (self.category, &self.name)
    }
}

/// All own types that are compared, by category and name.
pub(super) fn subjects(btf: &Btf) -> Result<Vec<Subject>> {
    let mut subjects = Vec::new();
    for id in btf.own_ids() {
        let ty = btf.ty(id)?;
        let Some(category) = category(&ty) else {
            continue;
        };
        let name = match ty.kind {
            TypeKind::DeclTag { ty: of, component } => {
                let (tag, of) = (btf.name(id)?, btf.name(of)?);
                match component {
                    -1 => format!("{tag} of {of}"),
                    component => format!("{tag} of {of}, component {component}"),
                }
            }
            _ if !ty.is_anonymous() => btf.name(id)?.to_owned(),
            _ => match ty.kind.enumerators().and_then(|values| values.get(0)) {
                Some(first) => format!("{{ {}, ... }}", btf.name_at(first.name_off)?),
                None => continue,
            },
        };
        subjects.push(Subject { category, name, id });
    }
    subjects.sort_by(|a, b| a.key().cmp(&b.key()));
    Ok(subjects)
}

fn category(ty: &Type<'_>) -> Option<Category> {
    Some(match ty.kind {
        TypeKind::Int { .. } | TypeKind::Float { .. } => Category::Number,
        TypeKind::Struct(_) | TypeKind::Fwd { union: false } => Category::Struct,
        TypeKind::Union(_) | TypeKind::Fwd { union: true } => Category::Union,
        TypeKind::Enum { .. } | TypeKind::Enum64 { .. } => Category::Enum,
        TypeKind::Typedef(_) => Category::Typedef,
        TypeKind::Func { .. } => Category::Function,
        TypeKind::Var { .. } => Category::Variable,
        TypeKind::Datasec { .. } => Category::Section,
        TypeKind::DeclTag { .. } => Category::Tag,
        _ => return None,
    })
}
