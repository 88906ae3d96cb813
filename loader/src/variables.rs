//! Where the variables of a loaded object are, by name.

use purebpf_btf::Btf;
use purebpf_plan::{Variable, variables};

/// Where the variables of a section are.
#[derive(Clone, Debug)]
pub(crate) struct Variables {
    /// The section, as BTF knows it.
    pub(crate) section: String,
    /// The map that holds them.
    pub(crate) map: String,
    /// Where in the map they begin, bytes.
    pub(crate) start: usize,
}

impl Variables {
    /// Where a variable is in the map, bytes.
    pub(crate) fn offset(&self, variable: &Variable) -> usize {
        let offset = usize::try_from(variable.offset).unwrap_or(usize::MAX);
        self.start.saturating_add(offset)
    }
}

/// The variable of this name and the section that it is in; or else all names there are.
pub(crate) fn find<'a>(
    places: &'a [Variables],
    btf: &Btf,
    name: &str,
) -> Result<(&'a Variables, Variable), Vec<String>> {
    let mut all = Vec::new();
    for place in places {
        for variable in variables(btf, &place.section) {
            if variable.name == name {
                return Ok((place, variable));
            }
            all.push(variable.name);
        }
    }
    Err(all)
}
