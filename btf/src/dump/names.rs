//! Names that occur more than once.
//!
//! C has two spaces of names: those of struct, union and enum, and those of typedefs and
//! enumerators. The second `x` of a space is `x___2`, in order of printing.

use std::collections::HashMap;

use crate::error::Result;
use crate::id::TypeId;
use crate::types::{Type, TypeKind};

use super::c::CDump;

/// Which names were printed.
#[derive(Debug)]
pub(super) struct Names<'a> {
    /// By id, the number of a type's name; 0 if it was not printed yet.
    numbers: Vec<u32>,
    tags: HashMap<&'a str, u32>,
    identifiers: HashMap<&'a str, u32>,
}

/// A name and which one of its kind it is, from 1 on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name<'a> {
    pub(super) text: &'a str,
    pub(super) number: u32,
}

impl Names<'_> {
    pub(super) fn new(count: usize) -> Self {
        Self {
            numbers: vec![0; count],
            // About as many as there are in a kernel, to grow them seldom.
            tags: HashMap::with_capacity(count / 8),
            identifiers: HashMap::with_capacity(count / 3),
        }
    }

    fn number_of(&mut self, id: TypeId, next: impl FnOnce(&mut Self) -> u32) -> u32 {
        match self.numbers.get(id.0 as usize) {
            Some(0) => {
                let number = next(self);
                if let Some(slot) = self.numbers.get_mut(id.0 as usize) {
                    *slot = number;
                }
                number
            }
            Some(number) => *number,
            None => 1,
        }
    }
}

impl<'a> CDump<'a> {
    /// The name of a type as it is printed everywhere.
    pub(super) fn name(&mut self, ty: &Type<'a>) -> Result<Name<'a>> {
        let text = self.btf.name_at(ty.name_off)?;
        let number = self.names.number_of(ty.id, |names| match ty.kind {
            // These define nothing, so that they can stand beside what does.
            TypeKind::Fwd { .. } => 1,
            TypeKind::Enum { values, .. } if values.is_empty() => 1,
            TypeKind::Typedef(_) => another(&mut names.identifiers, text),
            _ => another(&mut names.tags, text),
        });
        Ok(Name { text, number })
    }

    pub(super) fn push_name(&mut self, ty: &Type<'a>) -> Result<()> {
        let name = self.name(ty)?;
        self.push(name);
        Ok(())
    }

    /// Prints the name of an enumerator, which is defined each time that it is printed.
    pub(super) fn push_enumerator(&mut self, name_off: u32) -> Result<()> {
        let text = self.btf.name_at(name_off)?;
        let number = another(&mut self.names.identifiers, text);
        self.push(Name { text, number });
        Ok(())
    }

    fn push(&mut self, name: Name<'_>) {
        self.out.push_str(name.text);
        if name.number > 1 {
            self.out.push_str("___");
            self.number(name.number);
        }
    }
}

/// Counts the name once more.
fn another<'a>(names: &mut HashMap<&'a str, u32>, name: &'a str) -> u32 {
    let count = names.entry(name).or_insert(0);
    *count = count.saturating_add(1);
    *count
}

impl std::fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.number {
            0 | 1 => f.write_str(self.text),
            number => write!(f, "{}___{number}", self.text),
        }
    }
}
