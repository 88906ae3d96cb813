//! Which functions and variables stay.

use super::image::Image;
use super::options::{Functions, Options};
use super::report::FunctionReport;
use super::same::prototypes_agree;
use super::subjects::{FunctionSubject, VariableSubject};
use crate::btf::Btf;

/// The functions to encode, one of each name, by name.
pub(super) fn functions<'d>(
    types: &Btf,
    mut all: Vec<FunctionSubject<'d>>,
    image: &Image<'_>,
    options: &Options,
    report: &mut FunctionReport,
) -> Vec<FunctionSubject<'d>> {
    all.sort_by_key(|function| function.name);
    let mut selected: Vec<FunctionSubject<'d>> = Vec::new();
    for group in all.chunk_by(|a, b| a.name == b.name) {
        let Some(first) = group.first() else {
            continue;
        };
        let symbol = image.functions.get(first.name);
        // Best is the one that the symbol stands for, and can be called as it says.
        let is_there = |function: &&FunctionSubject<'_>| {
            symbol.is_some_and(|symbol| function.address == Some(symbol.address))
        };
        let best = group
            .iter()
            .filter(is_there)
            .min_by_key(|function| function.is_optimized)
            .unwrap_or(first);
        if options.functions == Functions::Consistent {
            let agrees =
                |other: &FunctionSubject<'_>| prototypes_agree(types, first.proto, other.proto);
            let counter = if symbol.is_some_and(|symbol| symbol.is_ambiguous) {
                Some(&mut report.ambiguous)
            } else if group.iter().any(|function| function.is_reordered) {
                Some(&mut report.reordered)
            } else if group.iter().any(|function| function.is_displaced) {
                Some(&mut report.displaced)
            } else if !group.iter().all(agrees) {
                Some(&mut report.inconsistent)
            } else if best.is_optimized {
                Some(&mut report.optimized)
            } else {
                None
            };
            if let Some(counter) = counter {
                *counter = counter.saturating_add(1);
                continue;
            }
        }
        selected.push(best.clone());
    }
    report.encoded = selected.len();
    selected
}

/// The variables to encode, by section and place; of those that overlap, the first.
pub(super) fn variables(mut all: Vec<VariableSubject<'_>>) -> Vec<VariableSubject<'_>> {
    all.sort_by_key(|variable| (variable.section, variable.offset, variable.name));
    let mut end = (0, 0);
    all.retain(|variable| {
        let start = (variable.section, u64::from(variable.offset));
        let is_free = start >= end;
        if is_free {
            end = (start.0, start.1.saturating_add(variable.size.into()));
        }
        is_free
    });
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::TypeId;
    use crate::types::Linkage;

    #[test]
    fn variables_that_overlap_are_one() {
        let variable = |section, offset, size, name: &'static str| VariableSubject {
            section,
            offset,
            size,
            name: name.as_bytes(),
            ty: TypeId(1),
            linkage: Linkage::GLOBAL,
            tags: Vec::new(),
        };
        let all = vec![
            variable(1, 0, 4, "other section"),
            variable(0, 8, 8, "behind"),
            variable(0, 0, 8, "first"),
            variable(0, 0, 8, "second unit"),
            variable(0, 4, 4, "inside"),
        ];
        let names: Vec<_> = variables(all).iter().map(|v| v.name).collect();
        let expected = ["first", "behind", "other section"].map(str::as_bytes);
        assert_eq!(names, expected);
    }
}
