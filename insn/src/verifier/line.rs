//! What a line of a log is, each seen by itself.

use super::log::Statistics;
use super::state;

/// A line of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// An instruction, and the list behind it.
    Step {
        insn: usize,
        text: &'a str,
        state: Option<&'a str>,
    },
    /// What changed, as it is before an instruction.
    Change(&'a str),
    /// All that is known.
    State(&'a str),
    /// A branch that was put aside is taken up.
    Jump { from: usize, text: &'a str },
    /// A line of the source, and where it is.
    Source {
        text: &'a str,
        place: Option<(&'a str, u32)>,
    },
    /// A call is entered: what is known of the callee comes next.
    Enter,
    /// A global function is checked by itself.
    Function(&'a str),
    /// A type or the head of BTF: the log is not of a program.
    Type,
    /// What the check cost.
    Cost(&'a str),
    /// How the verifier works, or what it is content with.
    Aside,
    /// Something that it says.
    Says(&'a str),
}

/// Lines of no meaning for why something was refused, by how they begin.
const ASIDES: &[&str] = &[
    "last_idx ",
    "regs=",
    "parent didn't have regs=",
    "parent already had regs=",
    "mark_precise: ",
    "propagating ",
    "Live regs before insn:",
    "caller:",
    "returning from callee:",
    "Func#",
    "to caller at ",
];

/// Lines of numbers, by how they begin.
const COSTS: &[&str] = &["processed ", "verification time ", "stack depth "];

impl<'a> Line<'a> {
    pub(super) fn of(line: &'a str) -> Self {
        let text = line.trim();
        let begins = |table: &[&str]| table.iter().any(|prefix| text.starts_with(prefix));
        if text.is_empty() || begins(ASIDES) {
            return Self::Aside;
        }
        if begins(COSTS) {
            return Self::Cost(text);
        }
        if text == "callee:" {
            return Self::Enter;
        }
        if line.starts_with(' ') && state::is_state(text) {
            return Self::State(text);
        }
        source(text)
            .or_else(|| numbered(text))
            .or_else(|| jump(text))
            .or_else(|| function(text))
            .or_else(|| ty(text))
            .unwrap_or(Self::Says(text))
    }
}

/// `; return 0; @ x.c:7`
fn source(text: &str) -> Option<Line<'_>> {
    let text = text.strip_prefix(';')?.trim_start();
    let place = text.rsplit_once(" @ ").and_then(|(text, place)| {
        let (file, line) = place.rsplit_once(':')?;
        Some((text, (file, line.parse().ok()?)))
    });
    Some(match place {
        Some((text, place)) => Line::Source {
            text: text.trim_end(),
            place: Some(place),
        },
        None => Line::Source { text, place: None },
    })
}

/// `7: (79) r0 = *(u64 *)(r0 +0) ; R0=scalar()`, `7: R0=scalar()`, `7: safe`
fn numbered(text: &str) -> Option<Line<'_>> {
    let (number, rest) = text.split_once(':')?;
    let insn = number.parse().ok()?;
    let rest = rest.trim_start();
    if state::is_state(rest) {
        return Some(Line::Change(rest));
    }
    if !rest.starts_with('(') {
        return (rest == "safe").then_some(Line::Aside);
    }
    let (text, state) = match rest.split_once(';') {
        Some((text, state)) => (text, Some(state)),
        None => glued(rest).map_or((rest, None), |(text, state)| (text, Some(state))),
    };
    Some(Line::Step {
        insn,
        text: text.trim_end(),
        state,
    })
}

/// `(c6) if w2 s< 0xa goto pc-3 5: R1=1`: what is known at the place of the jump, where the kernel
/// forgot to begin a line.
fn glued(text: &str) -> Option<(&str, &str)> {
    let (head, state) = text.split_once(": ")?;
    let (text, number) = head.rsplit_once(' ')?;
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && state::is_state(state)).then_some((text, state))
}

/// `from 5 to 9: R0=0`, `from 5 to 9 (speculative execution): safe`
fn jump(text: &str) -> Option<Line<'_>> {
    let (from, rest) = text.strip_prefix("from ")?.split_once(" to ")?;
    let (_, text) = rest.split_once(':')?;
    Some(Line::Jump {
        from: from.parse().ok()?,
        text,
    })
}

/// `Validating x() func#1...`, and the list of functions.
fn function(text: &str) -> Option<Line<'_>> {
    if let Some(rest) = text.strip_prefix("Validating ") {
        return Some(Line::Function(rest.split_once("()")?.0));
    }
    let (number, place) = text.strip_prefix("func#")?.split_once(" @")?;
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    (is_number(number) && is_number(place)).then_some(Line::Aside)
}

/// `magic: 0xeb9f`, `[7] INT int size=4`
fn ty(text: &str) -> Option<Line<'_>> {
    if text.starts_with("magic: 0x") {
        return Some(Line::Type);
    }
    let (id, _) = text.strip_prefix('[')?.split_once("] ")?;
    id.parse::<u32>().ok().map(|_| Line::Type)
}

/// The kernel takes no more subprograms.
const MOST_SUBPROGRAMS: usize = 256;

/// Numbers of the statistics, by the word before each.
type Field = fn(&mut Statistics) -> &mut u64;
const FIELDS: &[(&str, Field)] = &[
    ("processed", |all| &mut all.insns),
    ("(limit", |all| &mut all.limit),
    ("max_states_per_insn", |all| &mut all.max_states_per_insn),
    ("total_states", |all| &mut all.total_states),
    ("peak_states", |all| &mut all.peak_states),
];

/// Reads what a line says about the cost.
pub(super) fn cost(text: &str, all: &mut Statistics) {
    if let Some(stack) = text.strip_prefix("stack depth ") {
        let depths = stack.split_ascii_whitespace().next().unwrap_or_default();
        all.stack = depths
            .split('+')
            .map_while(|depth| depth.parse().ok())
            .take(MOST_SUBPROGRAMS)
            .collect();
        return;
    }
    if let Some(time) = text.strip_prefix("verification time ") {
        let time = time.split_ascii_whitespace().next().unwrap_or_default();
        all.microseconds = time.parse().ok();
        return;
    }
    let mut words = text.split_ascii_whitespace().peekable();
    while let Some(word) = words.next() {
        let field = FIELDS.iter().find(|(name, _)| *name == word);
        if let (Some((_, field)), Some(number)) = (field, words.peek()) {
            *field(all) = number.trim_end_matches(')').parse().unwrap_or(0);
        }
    }
}
