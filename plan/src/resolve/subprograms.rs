//! A program and every subprogram that it calls, in one piece.

use std::collections::HashMap;

use purebpf_insn::{Insn, opcode};

use super::core::Relocated;
use crate::Error;
use crate::spec::code::Code;

/// The kernel takes no program longer than this, so neither does a plan.
const MAX_INSNS: usize = 1_000_000;

/// A routine that went into a program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    /// Which routine of the object.
    pub(crate) routine: usize,
    /// Its first instruction in the program.
    pub(crate) start: usize,
}

/// A program with its subprograms behind it.
#[derive(Clone, Debug)]
pub(crate) struct Linked {
    pub(crate) insns: Vec<Insn>,
    /// In the order of the instructions; the first is the program itself.
    pub(crate) parts: Vec<Part>,
}

/// Appends to a program the subprograms that it calls or takes the address of, depth first in the
/// order of their first use, and lets the calls point there.
///
/// # Source
/// libbpf `bpf_object__reloc_code`.
pub(crate) fn link(
    code: &Code,
    core: &Relocated,
    program: usize,
    with_exceptions: bool,
) -> Result<Linked, Error> {
    let mut linker = Linker {
        code,
        core,
        starts: HashMap::new(),
        linked: Linked {
            insns: Vec::new(),
            parts: Vec::new(),
        },
    };
    let first = linker.append(program)?;
    linker.follow(first)?;
    if let Some(callback) = with_exceptions
        .then(|| code.exception_callback(program))
        .transpose()?
    {
        let callback = callback.filter(|routine| !linker.starts.contains_key(routine));
        if let Some(routine) = callback {
            let part = linker.append(routine)?;
            linker.follow(part)?;
        }
    }
    Ok(linker.linked)
}

struct Linker<'a> {
    code: &'a Code,
    core: &'a Relocated,
    starts: HashMap<usize, usize>,
    linked: Linked,
}

impl Linker<'_> {
    /// Mends the calls of a part and of all that it calls.
    fn follow(&mut self, part: usize) -> Result<(), Error> {
        // What is left to scan: part, and instruction in it. A stack, since files decide the depth.
        let mut work = vec![(part, 0usize)];
        while let Some((part, from)) = work.pop() {
            if let Some((next, at)) = self.scan(part, from)? {
                work.push((part, at));
                work.push((next, 0));
            }
        }
        Ok(())
    }

    /// Appends a routine and returns its part.
    fn append(&mut self, index: usize) -> Result<usize, Error> {
        let insns = self.core.insns(self.code, index)?;
        let start = self.linked.insns.len();
        if start.saturating_add(insns.len()) > MAX_INSNS {
            let routine = self.code.routines.get(index);
            return Err(Error::Program {
                program: routine.map_or_else(String::new, |r| r.function.name.clone()),
                what: format!("with its subprograms it has more than {MAX_INSNS} instructions"),
            });
        }
        self.linked.insns.extend_from_slice(insns);
        self.starts.insert(index, start);
        self.linked.parts.push(Part {
            routine: index,
            start,
        });
        Ok(self.linked.parts.len().saturating_sub(1))
    }

    /// Mends calls of one part until one needs a subprogram that is not there yet; then returns
    /// its part, and where to go on afterwards.
    fn scan(&mut self, part: usize, from: usize) -> Result<Option<(usize, usize)>, Error> {
        let code = self.code;
        let Some(&Part {
            routine: index,
            start,
        }) = self.linked.parts.get(part)
        else {
            return Ok(None);
        };
        let Some(routine) = code.routines.get(index) else {
            return Ok(None);
        };
        for at in from..routine.function.insns.len() {
            let place = start.saturating_add(at);
            let Some(insn) = self.linked.insns.get(place).copied() else {
                break;
            };
            let Some(callee) = code.callee(routine, at, insn)? else {
                continue;
            };
            let known = self.starts.get(&callee).copied();
            let next = match known {
                Some(_) => None,
                None => Some(self.append(callee)?),
            };
            let to = self.starts.get(&callee).copied().unwrap_or(0);
            if let Some(insn) = self.linked.insns.get_mut(place) {
                if insn.is_ld_imm64() {
                    insn.set_src(opcode::PSEUDO_FUNC);
                }
                insn.imm = distance(place, to)
                    .ok_or_else(|| code.fail(routine, at, "the called function is too far"))?;
            }
            if let Some(next) = next {
                return Ok(Some((next, at.saturating_add(1))));
            }
        }
        Ok(None)
    }
}

/// From the instruction after `from` to `to`.
fn distance(from: usize, to: usize) -> Option<i32> {
    let from = i64::try_from(from).ok()?;
    let to = i64::try_from(to).ok()?;
    i32::try_from(to.checked_sub(from)?.checked_sub(1)?).ok()
}
