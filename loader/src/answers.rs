//! What was asked of the running kernel, and what it answered.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use purebpf_insn::{MapType, ProgramType};

/// What a user may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Question {
    /// Whether programs of a type can be loaded.
    Program(ProgramType),
    /// Whether maps of a type can be created.
    Map(MapType),
    /// Whether programs of a type may call a helper.
    Helper(ProgramType, i32),
}

/// The answers so far.
#[derive(Debug, Default)]
pub(crate) struct Answers(Mutex<HashMap<Question, bool>>);

impl Answers {
    /// The answer to a question, found out by `ask` the first time. What cannot be found out now may
    /// be later.
    pub(crate) fn get(
        &self,
        question: Question,
        ask: impl FnOnce() -> Option<bool>,
    ) -> Option<bool> {
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = known().get(&question) {
            return Some(*answer);
        }
        let answer = ask()?;
        known().insert(question, answer);
        Some(answer)
    }
}
