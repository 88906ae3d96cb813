//! Names that occur more than once.
//!
//! C has two spaces of names: those of struct, union and enum, and those of typedefs and
//! enumerators. The second `x` of a space is `x___2`, in order of printing.

use std::collections::HashMap;

use crate::id::TypeId;
use crate::types::{Type, TypeKind};

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

impl<'a> Names<'a> {
    pub(super) fn new(count: usize) -> Self {
        Self {
            numbers: vec![0; count],
            // About as many as there are in a kernel, to grow them seldom.
            tags: HashMap::with_capacity(count / 8),
            identifiers: HashMap::with_capacity(count / 3),
        }
    }

    /// The name of a type as it is printed everywhere.
    pub(super) fn of_type(&mut self, ty: &Type<'a>, text: &'a str) -> Name<'a> {
        let number = self.number_of(ty.id, |names| match ty.kind {
            // These define nothing, so that they can stand beside what does.
            TypeKind::Fwd { .. } => 1,
            TypeKind::Enum { values, .. } if values.is_empty() => 1,
            TypeKind::Typedef(_) => another(&mut names.identifiers, text),
            _ => another(&mut names.tags, text),
        });
        Name { text, number }
    }

    /// The name of an enumerator, which is defined each time that it is printed.
    pub(super) fn of_enumerator(&mut self, text: &'a str) -> Name<'a> {
        let number = another(&mut self.identifiers, text);
        Name { text, number }
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
