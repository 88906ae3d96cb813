//! Ways of attaching that are tried: what the kernel says it has, and what becomes of a program.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;

use purebpf::attach::Target;
use purebpf::btf::Kind;
use purebpf::handles::ProgramAttributes;
use purebpf::insn::Insn;
use purebpf::{AttachType, Error, Link, Map, Program, ProgramType};

use crate::common::{self, attributes, count, counter, kernel_btf};

/// What is attached; an element of a map is no link.
pub(crate) type Attached = Result<Option<Link>, Error>;

/// A program that counts in a map how often it ran, and the way it is attached.
pub(crate) struct Trial {
    pub(crate) way: &'static str,
    pub(crate) map: Map,
    pub(crate) program: ProgramAttributes,
    /// What else than the kernel's list of attach types says that the kernel lacks the way.
    is_lacking: bool,
}

impl Trial {
    /// A program of this type, and its attach type as the way.
    pub(crate) fn new(
        program_type: ProgramType,
        how: AttachType,
        code: impl FnOnce(&Map) -> Vec<Insn>,
    ) -> Self {
        let map = counter();
        let program = ProgramAttributes {
            expected_attach_type: how,
            ..attributes(program_type, code(&map))
        };
        Self {
            way: how.name().unwrap(),
            map,
            program,
            is_lacking: false,
        }
    }

    /// A program of a type that has no attach types: the way has another name.
    pub(crate) fn of(
        way: &'static str,
        program_type: ProgramType,
        code: impl FnOnce(&Map) -> Vec<Insn>,
    ) -> Self {
        Self {
            way,
            ..Self::new(program_type, AttachType::default(), code)
        }
    }

    /// On a function or type of the kernel, if it has that.
    pub(crate) fn on(mut self, kind: Kind, name: &str) -> Self {
        let id = kernel_btf().and_then(|btf| btf.find(name, kind));
        self.program.attach_btf_id = id.map_or(0, |id| id.0);
        self
    }

    /// Unless the kernel lacks it.
    pub(crate) fn unless(mut self, is_lacking: bool) -> Self {
        self.is_lacking = is_lacking;
        self
    }
}

/// Attach types that kernels which do not know them take for another: programs run, but not
/// for what these add.
const TAKEN_FOR_ANOTHER: &[AttachType] = &[AttachType::SK_REUSEPORT_SELECT_OR_MIGRATE];

/// Whether the kernel's list of attach types has this one; as far as is known, without a list.
fn is_listed(attach_type: AttachType) -> bool {
    let Some(btf) = kernel_btf() else { return true };
    let list = btf.find("bpf_attach_type", Kind::Enum).unwrap();
    let list = btf.ty(list).unwrap().kind.enumerators().unwrap();
    // The last one says how many there are.
    list.iter()
        .any(|entry| entry.value > i128::from(attach_type.0))
}

/// Whether the kernel was built with this function.
pub(crate) fn has_function(name: &str) -> bool {
    let symbols = std::fs::read_to_string("/proc/kallsyms").unwrap();
    let names = symbols
        .lines()
        .filter_map(|line| line.split_whitespace().nth(2));
    names.into_iter().any(|found| found == name)
}

/// The ways that were tried.
#[derive(Default)]
pub(crate) struct Ways {
    tried: BTreeSet<&'static str>,
}

impl Ways {
    /// Loads and attaches the program: it runs when `hit` is called, or the kernel lacks the way.
    pub(crate) fn run(&mut self, trial: &Trial, target: impl Target, hit: impl Fn()) {
        let attach = || Ok(Some(Program::load(&trial.program)?.attach(target)?));
        self.run_by(trial, attach, |_| hit());
    }

    /// The same, attached in another way than to a target.
    pub(crate) fn run_by(
        &mut self,
        trial: &Trial,
        attach: impl FnOnce() -> Attached,
        hit: impl Fn(Option<&Link>),
    ) {
        let seen = || count(&trial.map);
        self.run_seen(trial.way, trial.is_lacking, seen, attach, hit);
    }

    /// The same with anything that changes what is `seen`.
    pub(crate) fn run_seen(
        &mut self,
        way: &'static str,
        is_lacking: bool,
        seen: impl Fn() -> u64,
        attach: impl FnOnce() -> Attached,
        hit: impl Fn(Option<&Link>),
    ) {
        let how = AttachType::from_name(way);
        let is_unlisted = how.is_some_and(|how| !is_listed(how));
        let is_other = how.is_some_and(|how| TAKEN_FOR_ANOTHER.contains(&how));
        let before = seen();
        let attached = attach();
        let answer = match &attached {
            Ok(_) if is_unlisted && is_other => "no",
            Ok(link) => {
                let runs = || {
                    hit(link.as_ref());
                    seen() != before
                };
                assert!(common::soon(runs), "{way}: attached, it does not run");
                match link.as_ref().map(Link::info) {
                    Some(Ok(_)) => "link",
                    _ => "yes",
                }
            }
            Err(error) => {
                // Some kernels are built so that they refuse it to everybody, without a word.
                let is_refused = error.errno() == Some(1) && error.verifier_log().is_none();
                let is_refused = is_refused && common::able();
                assert!(is_unlisted || is_lacking || is_refused, "{way}: {error:?}");
                "no"
            }
        };
        println!("way of attaching {way}: {answer}");
        assert!(self.tried.insert(way), "{way} is tried twice");
    }

    /// Attach types that were not tried.
    pub(crate) fn left(&self) -> Vec<&'static str> {
        let names = AttachType::known().filter_map(AttachType::name);
        names.filter(|name| !self.tried.contains(name)).collect()
    }
}
