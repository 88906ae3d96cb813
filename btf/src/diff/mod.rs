//! What differs between two BTFs: of two kernels, of two builds, of two encoders.
//!
//! In come two BTFs; out goes a [`Diff`]: the types by kind and name that only one has, and those
//! that both have and that are not the same, with what it is that changed. Ids do not matter, nor
//! does the order of types. Types without a name are compared as parts of those that use them;
//! those that nothing uses are not compared, but for enums, which are known by their values.
//!
//! ```text
//! subject.rs   what is compared: kind and name, and where it is
//! text.rs      a type as C writes it
//! fields.rs    the members of a struct, those of anonymous structs in it included
//! compare.rs   two types of one name; change.rs what can differ
//! ```

mod change;
mod compare;
mod fields;
mod subject;
mod text;

use std::collections::BTreeMap;
use std::fmt;

use crate::btf::Btf;
use crate::error::Result;

pub use change::{Change, Side};
pub use subject::{Category, Subject};

use compare::Comparer;
use subject::subjects;

/// What differs between two BTFs, `a` and `b`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diff {
    /// What only `a` has, by category and name.
    pub only_a: Vec<Subject>,
    /// What only `b` has, by category and name.
    pub only_b: Vec<Subject>,
    /// What both have, but not the same, by category and name.
    pub changed: Vec<Changed>,
    /// How many there are of each category.
    pub counts: BTreeMap<Category, Count>,
}

/// A type that both have, but not the same.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Changed {
    /// The type in `a`.
    pub a: Subject,
    /// The type in `b`.
    pub b: Subject,
    /// All that changed, in the order of the members.
    pub changes: Vec<Change>,
}

/// How many types of a category there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Count {
    /// The same in both.
    pub same: usize,
    /// In both, but not the same.
    pub changed: usize,
    /// In `a` only.
    pub only_a: usize,
    /// In `b` only.
    pub only_b: usize,
}

impl Diff {
    /// Whether there is no difference.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.only_a.is_empty() && self.only_b.is_empty() && self.changed.is_empty()
    }
}

/// Compares the own types of two BTFs.
///
/// ```
/// use purebpf_btf::diff::{Change, diff};
/// use purebpf_btf::{BtfBuilder, IntEncoding};
///
/// # fn main() -> Result<(), purebpf_btf::Error> {
/// let [a, b] = [4, 8].map(|size| {
///     let mut btf = BtfBuilder::new();
///     btf.add_int("id", size, IntEncoding::UNSIGNED)?;
///     btf.finish()
/// });
/// let diff = diff(&a?, &b?)?;
/// assert_eq!(diff.changed[0].changes[0], Change::Size(4, 8));
/// # Ok(())
/// # }
/// ```
///
/// Where one has several types of one kind and name, those that are the same are matched first,
/// the others in the order of their ids.
///
/// # Errors
/// [`Error::TooComplex`](crate::Error::TooComplex) if types without names are nested beyond reason,
/// [`Error::NotUtf8`](crate::Error::NotUtf8) for a name that is no text.
pub fn diff(a: &Btf, b: &Btf) -> Result<Diff> {
    let mut comparer = Comparer::new(a, b);
    let (of_a, of_b) = (subjects(a)?, subjects(b)?);
    let mut diff = Diff::default();
    let mut rest_a = of_a.as_slice();
    let mut rest_b = of_b.as_slice();
    loop {
        // The groups that come first in the order of both.
        let key = match (rest_a.first(), rest_b.first()) {
            (Some(a), Some(b)) => a.key().min(b.key()),
            (Some(one), None) | (None, Some(one)) => one.key(),
            (None, None) => return Ok(diff),
        };
        let group_a = take_group(&mut rest_a, key);
        let group_b = take_group(&mut rest_b, key);
        diff.group(&mut comparer, group_a, group_b)?;
    }
}

fn take_group<'s>(rest: &mut &'s [Subject], key: (Category, &str)) -> &'s [Subject] {
    let len = rest.partition_point(|subject| subject.key() <= key);
    let (group, behind) = rest.split_at_checked(len).unwrap_or((*rest, &[]));
    *rest = behind;
    group
}

impl Diff {
    /// Compares types of one kind and name.
    fn group(&mut self, comparer: &mut Comparer<'_>, a: &[Subject], b: &[Subject]) -> Result<()> {
        let Some(category) = a.first().or(b.first()).map(|subject| subject.category) else {
            return Ok(());
        };
        let (left_a, left_b) = match (a, b) {
            ([_], [_]) => (a.iter().collect(), b.iter().collect()),
            _ => comparer.without_equal(a, b)?,
        };
        let count = self.counts.entry(category).or_default();
        count.same += a.len() - left_a.len();
        let pairs = left_a.len().min(left_b.len());
        for (a, b) in left_a.iter().zip(&left_b) {
            let changes = comparer.changes(a.id, b.id)?;
            if changes.is_empty() {
                count.same += 1;
                continue;
            }
            count.changed += 1;
            let (a, b) = ((*a).clone(), (*b).clone());
            self.changed.push(Changed { a, b, changes });
        }
        let only_a = left_a.iter().skip(pairs).map(|subject| (*subject).clone());
        let only_b = left_b.iter().skip(pairs).map(|subject| (*subject).clone());
        count.only_a += left_a.len() - pairs;
        count.only_b += left_b.len() - pairs;
        self.only_a.extend(only_a);
        self.only_b.extend(only_b);
        Ok(())
    }
}

/// All differences, a line each; then how many there are.
impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for subject in &self.only_a {
            writeln!(f, "- {subject}")?;
        }
        for subject in &self.only_b {
            writeln!(f, "+ {subject}")?;
        }
        for Changed { a, changes, .. } in &self.changed {
            writeln!(f, "! {a}")?;
            for change in changes {
                writeln!(f, "    {change}")?;
            }
        }
        for (category, count) in &self.counts {
            let Count {
                same,
                changed,
                only_a,
                only_b,
            } = count;
            writeln!(
                f,
                "{category}: {same} the same, {changed} changed, {only_a} only in the first, \
                 {only_b} only in the second"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
