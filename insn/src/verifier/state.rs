//! Registers and stack slots as a line lists them, and those that an instruction's text names.

use super::log::Register;

/// A name and what is known of it, as they are in the log.
pub(super) type Known<'a> = (&'a str, &'a str);

/// More than a frame has: 11 registers, 64 stack slots, and what is held.
const MOST: usize = 128;

/// Whether a text begins like a list of registers.
pub(super) fn is_state(text: &str) -> bool {
    let text = text.trim_start();
    let is = |prefix: &str, after: fn(char) -> bool| {
        text.strip_prefix(prefix)
            .is_some_and(|rest| rest.starts_with(after))
    };
    is("R", |c| c.is_ascii_digit())
        || is("frame", |c| c.is_ascii_digit())
        || is("fp-", |c| c.is_ascii_digit())
        || text.starts_with("refs=")
}

/// The frame that a list is of, and what it says.
pub(super) fn parse(text: &str) -> (usize, impl Iterator<Item = Known<'_>>) {
    let text = text.trim();
    let framed = text
        .strip_prefix("frame")
        .and_then(|rest| rest.split_once(':'))
        .and_then(|(frame, rest)| Some((frame.parse().ok()?, rest)));
    let (frame, list) = framed.unwrap_or((0, text));
    (frame, words(list).filter_map(known))
}

/// Words, where a space inside parentheses is none between words.
fn words(list: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0usize;
    list.split(move |c| {
        match c {
            '(' => depth = depth.saturating_add(1),
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ' ' && depth == 0
    })
}

/// `R1_w=ctx()` without the mark of how it is used, which older kernels print.
fn known(word: &str) -> Option<Known<'_>> {
    let (name, value) = word.split_once('=')?;
    let name = name.split_once('_').map_or(name, |(name, _)| name);
    (!name.is_empty()).then_some((name, value))
}

/// What is known of a frame.
#[derive(Clone, Debug, Default)]
pub(super) struct Frame<'a>(Vec<Known<'a>>);

impl<'a> Frame<'a> {
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn learn(&mut self, (name, value): Known<'a>) {
        if let Some(known) = self.0.iter_mut().find(|(known, _)| *known == name) {
            known.1 = value;
        } else if self.0.len() < MOST {
            self.0.push((name, value));
        }
    }

    /// Forgets what an instruction may have changed.
    pub(super) fn forget(&mut self, changed: Changed) {
        let is_kept = |name: &str| match number(name) {
            Some(number) => changed.registers >> number & 1 == 0,
            None => !(changed.stack && name.starts_with("fp")),
        };
        self.0.retain(|(name, _)| is_kept(name));
    }

    pub(super) fn registers(&self) -> Vec<Register> {
        let mut all = self.0.clone();
        all.sort_by_key(|(name, _)| number(name).unwrap_or(u32::MAX));
        all.into_iter().map(owned).collect()
    }
}

pub(super) fn owned((name, value): Known<'_>) -> Register {
    Register {
        name: name.to_owned(),
        value: value.to_owned(),
    }
}

/// The number of a register by its name in a list.
pub(super) fn number(name: &str) -> Option<u32> {
    let number = name.strip_prefix('R')?.parse().ok()?;
    (number <= 10).then_some(number)
}

/// Registers that a call takes, and those that it leaves undefined.
const ARGUMENTS: u16 = 0b11_1110;
const CLOBBERED: u16 = 0b11_1111;

/// The registers that an instruction names or a call takes, as bits.
pub(super) fn used_by(text: &str) -> u16 {
    let text = operation(text);
    match text {
        "exit" => 1,
        _ if text.starts_with("call") => ARGUMENTS,
        _ => text
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter_map(register)
            .fold(0, |all, one| all | one),
    }
}

/// What an instruction may change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Changed {
    /// As bits.
    pub(super) registers: u16,
    pub(super) stack: bool,
}

impl Changed {
    pub(super) fn by(text: &str) -> Self {
        let text = operation(text);
        if text.starts_with("call") {
            return Self {
                registers: CLOBBERED,
                stack: true,
            };
        }
        let first = text.split(' ').next().unwrap_or_default();
        Self {
            registers: register(first).unwrap_or(0),
            stack: first.starts_with('*') || first == "lock" || text.contains("atomic"),
        }
    }
}

/// `r1` or `w1` as a bit.
fn register(word: &str) -> Option<u16> {
    let number = word.strip_prefix(['r', 'w'])?.parse::<u32>().ok()?;
    1u16.checked_shl(number).filter(|_| number <= 10)
}

/// The text without its opcode.
fn operation(text: &str) -> &str {
    text.split_once(") ")
        .map_or(text, |(_, operation)| operation)
}
