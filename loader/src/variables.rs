//! The variables of a loaded object, by name.

use bytemuck::{AnyBitPattern, NoUninit};
use purebpf_handles::Global;
use purebpf_plan::variables;

use crate::Error;
use crate::object::{Object, known};

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

impl Object {
    /// A global variable by name, in memory that is shared with the programs (5.5): of `.data`,
    /// `.bss`, `.rodata` (which can only be read), sections of such names, or an arena.
    ///
    /// `T` is plain data as long as the variable; the programs may have changed it at any time.
    ///
    /// # Errors
    /// [`Error::NotFound`]; a type of another size; and a map that cannot be mapped, such as one
    /// whose variables are all static.
    pub fn global<T: AnyBitPattern + NoUninit>(&self, name: &str) -> Result<Global<T>, Error> {
        let mut all = Vec::new();
        for place in &self.variables {
            let Some(btf) = &self.btf else { break };
            let variables = variables(btf, &place.section);
            let Some(found) = variables.iter().find(|variable| variable.name == name) else {
                all.extend(variables.into_iter().map(|variable| variable.name));
                continue;
            };
            if usize::try_from(found.size) != Ok(size_of::<T>()) {
                return Err(Error::Plan(purebpf_plan::Error::Global {
                    name: name.to_owned(),
                    what: format!(
                        "the type has {} bytes, the variable {}",
                        size_of::<T>(),
                        found.size
                    ),
                }));
            }
            let offset = usize::try_from(found.offset).unwrap_or(usize::MAX);
            let offset = place.start.saturating_add(offset);
            return Ok(self.map(&place.map)?.memory()?.global(offset, name)?);
        }
        Err(Error::NotFound {
            kind: "global",
            name: name.to_owned(),
            known: known(all.iter()),
        })
    }
}
