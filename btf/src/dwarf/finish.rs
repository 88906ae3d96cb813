//! The BTF with its functions and variables.

use std::convert::Infallible;

use super::emit::{Settings, add_decl_tag};
use super::image::Image;
use super::options::{Dialect, Options};
use super::report::Report;
use super::select;
use super::subjects::{FunctionSubject, Subjects, VariableSubject};
use crate::btf::Btf;
use crate::builder::{BtfBuilder, Copy};
use crate::entries::SecInfo;
use crate::error::Result;
use crate::id::TypeId;
use crate::shape::Field;
use crate::types::Linkage;

/// Adds to the types those functions and variables that stay, and drops the prototypes of those
/// that do not.
pub(super) fn finish(
    types: &Btf,
    subjects: Subjects<'_>,
    image: &Image<'_>,
    settings: Settings,
    options: &Options,
    report: &mut Report,
) -> Result<Btf> {
    let Subjects {
        functions,
        variables,
    } = subjects;
    let candidates: Vec<_> = functions.iter().map(|function| function.proto).collect();
    let functions = select::functions(types, functions, image, options, &mut report.functions);
    let variables = select::variables(variables);
    report.variables = variables.len();

    let mut keep = used(types);
    let first = types.start_id().0;
    let slot = |id: TypeId| id.0.checked_sub(first).map(|number| number as usize);
    let mut is_candidate = vec![false; keep.len()];
    for id in candidates {
        if let Some(candidate) = slot(id).and_then(|slot| is_candidate.get_mut(slot)) {
            *candidate = true;
        }
    }
    for function in &functions {
        if let Some(keep) = slot(function.proto).and_then(|slot| keep.get_mut(slot)) {
            *keep = true;
        }
    }
    for (keep, is_candidate) in keep.iter_mut().zip(is_candidate) {
        *keep |= !is_candidate;
    }
    let mut btf = BtfBuilder::like(types);
    let ids = new_ids(types, &keep);
    let new = |id: TypeId| {
        slot(id)
            .and_then(|slot| ids.get(slot))
            .copied()
            .unwrap_or(id)
    };
    let mut copy = Copy::new(types);
    for (id, _) in types.own_ids().zip(&keep).filter(|(_, keep)| **keep) {
        copy.ty(&mut btf, id, |id| Ok(new(id)))?;
    }
    for function in functions {
        let proto = new(function.proto);
        add_function(&mut btf, &FunctionSubject { proto, ..function }, settings)?;
    }
    for section in variables.chunk_by(|a, b| a.section == b.section) {
        add_section(&mut btf, section, image, new)?;
    }
    btf.finish()
}

/// Which own types others refer to.
fn used(types: &Btf) -> Vec<bool> {
    let first = types.start_id().0;
    let mut used = vec![false; types.own_ids().count()];
    for record in types.own_ids().filter_map(|id| types.raw(id)) {
        let base = [record.name_off, record.info.0, record.third];
        let visit = |field: Field, word: u32| {
            let number = word.checked_sub(first).filter(|_| field == Field::Type);
            if let Some(used) = number.and_then(|number| used.get_mut(number as usize)) {
                *used = true;
            }
            Ok::<(), Infallible>(())
        };
        let Ok(()) = record.info.shape().visit(base, record.extra(), visit);
    }
    used
}

/// The ids of own types once those are gone that are not kept.
fn new_ids(types: &Btf, keep: &[bool]) -> Vec<TypeId> {
    let mut next = types.start_id();
    let count = |keep: &bool| {
        let id = next;
        next.0 = next.0.saturating_add((*keep).into());
        id
    };
    keep.iter().map(count).collect()
}

fn add_function(
    btf: &mut BtfBuilder,
    function: &FunctionSubject<'_>,
    settings: Settings,
) -> Result<()> {
    let linkage = match settings.dialect {
        Dialect::Kernel => Linkage::STATIC,
        Dialect::Bpf => function.linkage,
    };
    let name = text(function.name);
    let id = btf.add_func(name, linkage, function.proto)?;
    for (component, tag) in &function.tags {
        add_decl_tag(btf, tag, id, *component)?;
    }
    Ok(())
}

/// Adds the variables of a section, and the section.
fn add_section(
    btf: &mut BtfBuilder,
    variables: &[VariableSubject<'_>],
    image: &Image<'_>,
    new: impl Fn(TypeId) -> TypeId,
) -> Result<()> {
    let mut infos = Vec::with_capacity(variables.len());
    let mut end = 0;
    let mut section = "";
    for variable in variables {
        let name = text(variable.name);
        let id = btf.add_var(name, variable.linkage, new(variable.ty))?;
        for (component, tag) in &variable.tags {
            add_decl_tag(btf, tag, id, *component)?;
        }
        infos.push(SecInfo {
            ty: id,
            offset: variable.offset,
            size: variable.size,
        });
        end = variable.offset.saturating_add(variable.size);
        section = image
            .places
            .get(variable.section)
            .map_or("", |place| text(place.name));
    }
    if section.is_empty() {
        return Ok(());
    }
    btf.add_datasec(section, end, &infos)?;
    Ok(())
}

/// A name of which all but letters, digits and a few signs were sorted out.
fn text(name: &[u8]) -> &str {
    std::str::from_utf8(name).unwrap_or_default()
}
