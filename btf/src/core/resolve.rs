//! From a relocation to its outcome: candidates, values, and whether they agree.

use std::sync::Arc;

use hashbrown::HashMap;

use super::calc::{AccessSize, Value};
use super::compat::Pair;
use super::kind::RelocationKind;
use super::mismatch::Mismatch;
use super::spec::{Spec, describe};
use super::targets::{TargetType, Targets};
use crate::btf::Btf;
use crate::error::{Error, Result};
use crate::ext::CoreRelo;
use crate::id::TypeId;
use crate::name::essential_name;

/// Resolves the relocations of one object for one kernel.
///
/// Relocations are resolved in the order of the object: the candidates for a type that did not
/// match once are not tried again for the same type, as in libbpf.
#[derive(Debug)]
pub struct Resolver<T> {
    local: Arc<Btf>,
    targets: T,
    candidates: HashMap<TypeId, Vec<TargetType>>,
    /// By type, access string and kind: programs of one object mostly ask for the same fields.
    resolved: HashMap<(TypeId, u32, u32), Arc<Resolution>>,
}

/// What a relocation means on a kernel, and why.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Resolution {
    /// What was asked.
    pub kind: RelocationKind,
    /// The access in the object's own BTF.
    pub local: Spec,
    /// The access as libbpf prints it.
    pub spec_text: String,
    /// The candidates, in the order in which they were tried.
    pub tried: Vec<Tried>,
    /// What to do with the instruction.
    pub outcome: Outcome,
}

/// A candidate for the root type of a relocation.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Tried {
    /// The candidate.
    pub target: TargetType,
    /// The access in it, if it has one.
    pub matched: Option<Spec>,
    /// What does not fit, if it has none.
    pub mismatch: Option<Mismatch>,
}

/// What to do with the instruction of a relocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing on this kernel is meant, so the instruction must never be reached.
    Poison,
    /// A number of the instruction changes.
    Value {
        /// The number that follows from the object's own BTF.
        orig: u64,
        /// The number to put in its place.
        new: u64,
        /// Whether the instruction must hold `orig`.
        validate: bool,
        /// What a load or store must do with its width.
        access: AccessSize,
    },
}

impl<T: Targets> Resolver<T> {
    /// A resolver for the object with this BTF.
    #[must_use]
    pub fn new(local: Arc<Btf>, targets: T) -> Self {
        Self {
            local,
            targets,
            candidates: HashMap::new(),
            resolved: HashMap::new(),
        }
    }

    /// The kernel that it resolves for.
    #[must_use]
    pub const fn targets(&self) -> &T {
        &self.targets
    }

    /// The BTF of the object.
    #[must_use]
    pub fn local(&self) -> &Arc<Btf> {
        &self.local
    }

    /// Says what a relocation means; of those that ask the same, this is found out once.
    ///
    /// # Errors
    /// [`Error::AccessString`] or [`Error::Relocation`] if it makes no sense, [`Error::Ambiguous`]
    /// if candidates disagree, [`Error::Candidate`] if one cannot be compared, [`Error::Modules`].
    #[doc(alias = "bpf_core_calc_relo_insn")]
    pub fn resolve(&mut self, relo: &CoreRelo) -> Result<Arc<Resolution>> {
        let question = (relo.type_id, relo.access_str_off, relo.kind);
        if let Some(known) = self.resolved.get(&question) {
            return Ok(Arc::clone(known));
        }
        let resolution = Arc::new(self.find_out(relo)?);
        self.resolved.insert(question, Arc::clone(&resolution));
        Ok(resolution)
    }

    fn find_out(&mut self, relo: &CoreRelo) -> Result<Resolution> {
        let local = Spec::parse(&self.local, relo)?;
        let kind = local.kind;
        let spec_text = local.text(&self.local);
        let mut tried = Vec::new();
        let outcome = match kind {
            RelocationKind::TypeIdLocal => {
                let id = local.root.0.into();
                Outcome::Value {
                    orig: id,
                    new: id,
                    validate: false,
                    access: AccessSize::Keep,
                }
            }
            _ => {
                self.find_candidates(&local, &spec_text)?;
                self.choose(&local, &spec_text, &mut tried)?
            }
        };
        Ok(Resolution {
            kind,
            local,
            spec_text,
            tried,
            outcome,
        })
    }

    /// Makes sure that the candidates for the root type are known.
    fn find_candidates(&mut self, local: &Spec, spec_text: &str) -> Result<()> {
        if self.candidates.contains_key(&local.root) {
            return Ok(());
        }
        let name = self.local.name(local.root)?;
        if name.is_empty() {
            let problem = "the root type has no name to search for";
            return Err(Error::Relocation {
                spec: spec_text.into(),
                problem,
            });
        }
        let essential = essential_name(name);
        let kind = self.local.ty(local.root)?.kind.id();
        let within = |btf: &Btf, module| -> Vec<TargetType> {
            btf.essential_candidates(essential)
                .filter(|id| match (btf.kind_of(*id), kind) {
                    (Some(theirs), Some(ours)) => {
                        theirs == ours || theirs.is_enum() && ours.is_enum()
                    }
                    _ => false,
                })
                .map(|id| TargetType { module, id })
                .collect()
        };
        let mut found = within(self.targets.main(), None);
        if found.is_empty() {
            let modules = self
                .targets
                .modules()
                .map_err(|source| Error::Modules { source })?;
            for (index, module) in modules.iter().enumerate() {
                found.extend(within(module, Some(index)));
            }
        }
        self.candidates.insert(local.root, found);
        Ok(())
    }

    /// A candidate as text, such as `[7] struct task_struct`, and what of it does not fit.
    #[must_use]
    pub fn describe(&self, tried: &Tried) -> (String, Option<String>) {
        // Its BTF was there when it was tried.
        let Ok(btf) = self.btf_of(tried.target) else {
            return (tried.target.id.to_string(), None);
        };
        let mismatch = tried
            .mismatch
            .map(|m| m.text(&self.local, btf, tried.target.id));
        (describe(btf, tried.target.id), mismatch)
    }

    fn btf_of(&self, target: TargetType) -> Result<&Arc<Btf>> {
        let Some(index) = target.module else {
            return Ok(self.targets.main());
        };
        let modules = self
            .targets
            .modules()
            .map_err(|source| Error::Modules { source })?;
        // Only targets that forgot a module since would lack it.
        modules.get(index).ok_or(Error::NoType {
            id: target.id,
            len: 0,
        })
    }

    /// Tries all candidates; those that match must agree.
    fn choose(&mut self, local: &Spec, spec_text: &str, tried: &mut Vec<Tried>) -> Result<Outcome> {
        let mut chosen: Option<(Spec, Outcome, TargetType)> = None;
        let mut matching = Vec::new();
        for target in self.candidates.get(&local.root).into_iter().flatten() {
            let btf = self.btf_of(*target)?;
            let mut pair = Pair::new(&self.local, btf, local.root);
            let attempt = pair.find(local, target.id).and_then(|found| match found {
                Some(found) => Ok(Some((self.outcome(local, btf, &found)?, found))),
                None => Ok(None),
            });
            let attempt = attempt.map_err(|source| Error::Candidate {
                spec: spec_text.into(),
                candidate: describe(btf, target.id).into(),
                source: Box::new(source),
            })?;
            tried.push(Tried {
                target: *target,
                matched: attempt.as_ref().map(|(_, found)| found.clone()),
                mismatch: pair.mismatch,
            });
            let Some((outcome, found)) = attempt else {
                continue;
            };
            match &chosen {
                None => chosen = Some((found, outcome, *target)),
                Some((first, first_outcome, first_target)) => {
                    if !agree((first, first_outcome), (&found, &outcome)) {
                        let first_btf = self.btf_of(*first_target)?;
                        return Err(Error::Ambiguous {
                            spec: spec_text.into(),
                            first: first.text(first_btf).into(),
                            first_value: first_outcome.to_string().into(),
                            second: found.text(btf).into(),
                            second_value: outcome.to_string().into(),
                        });
                    }
                }
            }
            matching.push(*target);
        }
        let Some((_, outcome, _)) = chosen else {
            let orig = Value::of(&self.local, local)?;
            return Ok(match Value::missing(local.kind) {
                Some(new) => orig.becoming(new.value, AccessSize::Keep),
                None => Outcome::Poison,
            });
        };
        self.candidates.insert(local.root, matching);
        Ok(outcome)
    }

    fn outcome(&self, local: &Spec, target: &Btf, found: &Spec) -> Result<Outcome> {
        let orig = Value::of(&self.local, local)?;
        let new = Value::of(target, found)?;
        Ok(orig.becoming(new.value, orig.access_size(&self.local, &new, target)?))
    }
}

impl Value {
    const fn becoming(&self, new: u64, access: AccessSize) -> Outcome {
        Outcome::Value {
            orig: self.value,
            new,
            validate: self.validate,
            access,
        }
    }
}

/// Whether two candidates lead to the same place and the same number.
fn agree(first: (&Spec, &Outcome), second: (&Spec, &Outcome)) -> bool {
    let new = |outcome: &Outcome| match outcome {
        Outcome::Poison => None,
        Outcome::Value { new, .. } => Some(*new),
    };
    first.0.bit_offset == second.0.bit_offset && new(first.1) == new(second.1)
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Poison => f.write_str("failure"),
            Self::Value { new, .. } => write!(f, "{new}"),
        }
    }
}
