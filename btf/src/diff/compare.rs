//! Two types of one name.

use std::collections::HashMap;
use std::hash::Hash;

use super::change::{Change, Side};
use super::fields::{Field, fields};
use super::subject::Subject;
use super::text::{Steps, text};
use crate::btf::Btf;
use crate::error::Result;
use crate::id::TypeId;
use crate::types::{IntEncoding, TypeKind};

/// Compares types of two BTFs.
#[derive(Debug)]
pub(super) struct Comparer<'c> {
    a: &'c Btf,
    b: &'c Btf,
    steps: Steps,
}

impl<'c> Comparer<'c> {
    pub(super) fn new(a: &'c Btf, b: &'c Btf) -> Self {
        let words = a.words().len().saturating_add(b.words().len());
        Self {
            a,
            b,
            steps: Steps::for_words(words),
        }
    }

    /// Those of two groups that have no equal in the other.
    pub(super) fn without_equal<'s>(
        &mut self,
        a: &'s [Subject],
        b: &'s [Subject],
    ) -> Result<(Vec<&'s Subject>, Vec<&'s Subject>)> {
        let mut unmatched: HashMap<String, Vec<&Subject>> = HashMap::new();
        for subject in b {
            let print = print(self.b, subject.id, &mut self.steps)?;
            unmatched.entry(print).or_default().push(subject);
        }
        for group in unmatched.values_mut() {
            group.reverse();
        }
        let mut left_a = Vec::new();
        for subject in a {
            let print = print(self.a, subject.id, &mut self.steps)?;
            if unmatched.get_mut(&print).and_then(Vec::pop).is_none() {
                left_a.push(subject);
            }
        }
        let mut left_b: Vec<_> = unmatched.into_values().flatten().collect();
        left_b.sort_by_key(|subject| subject.id.0);
        Ok((left_a, left_b))
    }

    /// All that differs between a type of `a` and one of `b`.
    pub(super) fn changes(&mut self, a: TypeId, b: TypeId) -> Result<Vec<Change>> {
        let mut changes = Vec::new();
        let (first, second) = (self.a.ty(a)?.kind, self.b.ty(b)?.kind);
        if first.name() != second.name() {
            changes.push(Change::Kind(first.name(), second.name()));
        }
        let sizes = (size(&first), size(&second));
        if let (Some(a), Some(b)) = sizes
            && a != b
        {
            changes.push(Change::Size(a, b));
        }
        let linkages = (linkage(&first), linkage(&second));
        if linkages.0 != linkages.1 {
            changes.push(Change::Linkage(linkages.0, linkages.1));
        }
        let types = (
            self_text(self.a, a, &mut self.steps)?,
            self_text(self.b, b, &mut self.steps)?,
        );
        match types {
            (Some(a), Some(b)) if a != b => changes.push(Change::Type(a, b)),
            _ => {}
        }
        if is_fields(&first) && is_fields(&second) {
            let of_a = fields(self.a, inner(self.a, a)?, &mut self.steps)?;
            let of_b = fields(self.b, inner(self.b, b)?, &mut self.steps)?;
            compare_lists(
                &of_a,
                &of_b,
                |field| &field.path,
                compare_fields,
                &mut changes,
            );
        }
        if let (Some(_), Some(_)) = (first.enumerators(), second.enumerators()) {
            let (of_a, of_b) = (values(self.a, &first)?, values(self.b, &second)?);
            let compare = |a: &(&str, i128), b: &(&str, i128), changes: &mut Vec<Change>| {
                if a.1 != b.1 {
                    changes.push(Change::Value(a.0.to_owned(), a.1, b.1));
                }
            };
            compare_lists(&of_a, &of_b, |value| value.0, compare, &mut changes);
        }
        Ok(changes)
    }
}

/// Compares what two lists have under each name.
fn compare_lists<'l, T, K: Ord + Hash + Copy + ToString>(
    a: &'l [T],
    b: &'l [T],
    key: impl Fn(&'l T) -> K,
    compare: impl Fn(&'l T, &'l T, &mut Vec<Change>),
    changes: &mut Vec<Change>,
) {
    let before = changes.len();
    // Unnamed ones have one name; those are matched in order.
    let mut by_key: HashMap<K, Vec<&T>> = HashMap::new();
    for item in b.iter().rev() {
        by_key.entry(key(item)).or_default().push(item);
    }
    for item in a {
        match by_key.get_mut(&key(item)).and_then(Vec::pop) {
            Some(other) => compare(item, other, changes),
            None => changes.push(Change::Only(Side::A, key(item).to_string())),
        }
    }
    for item in b {
        // Those left are the last of each name, and come out in the order of the list.
        if let Some(left) = by_key.get_mut(&key(item))
            && left.first().is_some_and(|first| std::ptr::eq(*first, item))
        {
            left.drain(..)
                .for_each(|item| changes.push(Change::Only(Side::B, key(item).to_string())));
        }
    }
    let keys = |list: &'l [T]| list.iter().map(&key).collect::<Vec<_>>();
    if changes.len() == before && keys(a) != keys(b) {
        changes.push(Change::Order);
    }
}

fn compare_fields(a: &Field, b: &Field, changes: &mut Vec<Change>) {
    let path = || a.path.clone();
    if a.offset != b.offset {
        changes.push(Change::MemberOffset(path(), a.offset, b.offset));
    }
    if a.size != b.size {
        changes.push(Change::MemberSize(path(), a.size, b.size));
    }
    if a.ty != b.ty {
        changes.push(Change::MemberType(path(), a.ty.clone(), b.ty.clone()));
    }
}

fn values<'b>(btf: &'b Btf, kind: &TypeKind<'b>) -> Result<Vec<(&'b str, i128)>> {
    let values = kind.enumerators();
    let values = values.iter().flat_map(|values| values.iter());
    values
        .map(|value| Ok((btf.name_at(value.name_off)?, value.value)))
        .collect()
}

fn size(kind: &TypeKind<'_>) -> Option<u32> {
    match kind {
        TypeKind::Int { size, .. }
        | TypeKind::Float { size }
        | TypeKind::Enum { size, .. }
        | TypeKind::Enum64 { size, .. }
        | TypeKind::Datasec { size, .. } => Some(*size),
        _ => kind.composite().map(|composite| composite.size),
    }
}

fn linkage(kind: &TypeKind<'_>) -> u32 {
    match kind {
        TypeKind::Func { linkage, .. } | TypeKind::Var { linkage, .. } => linkage.0,
        _ => 0,
    }
}

/// Whether there are members to be compared, perhaps of the struct that a typedef names.
fn is_fields(kind: &TypeKind<'_>) -> bool {
    kind.composite().is_some() || matches!(kind, TypeKind::Datasec { .. } | TypeKind::Typedef(_))
}

/// The struct without a name that a typedef names; otherwise the type itself.
fn inner(btf: &Btf, id: TypeId) -> Result<TypeId> {
    if let TypeKind::Typedef(of) = btf.ty(id)?.kind {
        let ty = btf.ty(of)?;
        if ty.is_anonymous() && ty.kind.composite().is_some() {
            return Ok(of);
        }
    }
    Ok(id)
}

/// What a type is besides its members, for kinds where that is something.
fn self_text(btf: &Btf, id: TypeId, steps: &mut Steps) -> Result<Option<String>> {
    Ok(Some(match btf.ty(id)?.kind {
        TypeKind::Int {
            bits,
            offset,
            encoding,
            ..
        } => {
            let sign = match encoding {
                IntEncoding::UNSIGNED => "unsigned".to_owned(),
                IntEncoding::SIGNED => "signed".to_owned(),
                IntEncoding::BOOL => "bool".to_owned(),
                IntEncoding(other) => format!("encoding {other}"),
            };
            match offset {
                0 => format!("{sign}, {bits} bits"),
                offset => format!("{sign}, {bits} bits at {offset}"),
            }
        }
        TypeKind::Enum { signed, .. } | TypeKind::Enum64 { signed, .. } => match signed {
            true => "signed".to_owned(),
            false => "unsigned".to_owned(),
        },
        TypeKind::Typedef(of) => match inner(btf, id)? {
            same if same == id => text(btf, of, steps)?,
            inner => {
                let kind = btf.ty(inner)?.kind;
                let size = kind.composite().map_or(0, |composite| composite.size);
                format!("{} of {size} bytes", kind.name())
            }
        },
        TypeKind::Var { ty, .. } | TypeKind::DeclTag { ty, .. } => text(btf, ty, steps)?,
        TypeKind::Func { proto, .. } => text(btf, proto, steps)?,
        _ => return Ok(None),
    }))
}

/// All of a type as a string that equal ones share.
fn print(btf: &Btf, id: TypeId, steps: &mut Steps) -> Result<String> {
    let kind = btf.ty(id)?.kind;
    let own = self_text(btf, id, steps)?;
    let mut print = format!(
        "{} {:?} {} {own:?}",
        kind.name(),
        size(&kind),
        linkage(&kind)
    );
    if is_fields(&kind) {
        let fields = fields(btf, inner(btf, id)?, steps)?;
        print.push_str(&format!("{fields:?}"));
    }
    print.push_str(&format!("{:?}", values(btf, &kind)?));
    Ok(print)
}
