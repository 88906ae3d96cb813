//! A log from its first line to its last.

use std::collections::VecDeque;

use super::line::{self, Line};
use super::log::{SourceText, Statistics, Step, VerifierLog};
use super::state::{self, Changed, Frame};

/// How many lines are kept of what the verifier says at its end.
const NOTES: usize = 8;

/// Calls may be nested so deep (`MAX_CALL_FRAMES`).
const FRAMES: usize = 8;

/// What it says of an instruction that it is not at, by what comes before the number.
const ELSEWHERE: &[&str] = &[
    "infinite loop detected at insn ",
    "unreachable insn ",
    "back-edge from insn ",
    "jump out of range from insn ",
];

/// What it says of the whole program, once it has walked over all of it.
const NOWHERE: &[&str] = &[
    "combined stack size of ",
    "stack size of ",
    "tail_calls are not allowed when call stack ",
];

type Source<'a> = (&'a str, Option<(&'a str, u32)>);

/// A step as it is in the log.
#[derive(Default)]
struct RawStep<'a> {
    insn: usize,
    text: &'a str,
    frame: usize,
    from: Option<usize>,
    source: Option<Source<'a>>,
    after: Option<&'a str>,
}

/// Where the walk is, and what of it is kept. All text is the log's own until the end.
#[derive(Default)]
struct Walk<'a> {
    steps: VecDeque<RawStep<'a>>,
    frames: [Frame<'a>; FRAMES],
    frame: usize,
    calls: Vec<usize>,
    is_entering: bool,
    /// What the last step may have changed and no list has told yet.
    changed: Changed,
    from: Option<usize>,
    /// The line that the next step is of, if it is another than that of the last.
    next_source: Option<Source<'a>>,
    source: Option<Source<'a>>,
    function: Option<&'a str>,
    /// What was said since the last step.
    says: Says<'a>,
    last: Option<&'a str>,
    is_of_types: bool,
    statistics: Option<Statistics>,
}

#[derive(Default)]
struct Says<'a> {
    first: Vec<&'a str>,
    last: Option<&'a str>,
}

impl<'a> Walk<'a> {
    fn line(&mut self, line: &'a str) {
        let line = line.trim_end();
        match Line::of(line) {
            Line::Aside => {}
            Line::Cost(text) => line::cost(text, self.statistics.get_or_insert_default()),
            Line::Source { text, place } => self.next_source = Some((text, place)),
            Line::Enter => self.is_entering = true,
            Line::Function(name) => {
                *self = Self {
                    function: Some(name),
                    ..Self::default()
                };
            }
            Line::Step { insn, text, state } => self.step(insn, text, state),
            Line::Change(text) => {
                self.says = Says::default();
                self.learn(text, false);
            }
            Line::State(text) => self.whole(text),
            Line::Jump { from, text } => self.jump(from, text),
            Line::Type => {
                self.is_of_types = true;
                self.last = Some(line);
            }
            Line::Says(text) => {
                if self.says.first.len() < NOTES {
                    self.says.first.push(text);
                }
                self.says.last = Some(text);
                self.last = Some(text);
            }
        }
    }

    fn step(&mut self, insn: usize, text: &'a str, state: Option<&'a str>) {
        self.says = Says::default();
        self.forget();
        self.changed = Changed::by(text);
        let source = self.next_source.take();
        self.source = source.or(self.source);
        if self.steps.len() == VerifierLog::STEPS {
            self.steps.pop_front();
        }
        self.steps.push_back(RawStep {
            insn,
            text,
            frame: self.frame,
            from: self.from.take(),
            source,
            after: state,
        });
        if let Some(state) = state {
            self.learn(state, false);
        }
    }

    fn forget(&mut self) {
        let changed = std::mem::take(&mut self.changed);
        if let Some(frame) = self.frames.get_mut(self.frame) {
            frame.forget(changed);
        }
    }

    /// Takes over a list: of what changed, or the whole of it.
    fn learn(&mut self, text: &'a str, is_whole: bool) {
        self.forget();
        let (frame, list) = state::parse(text);
        let Some(known) = self.frames.get_mut(frame) else {
            return;
        };
        self.frame = frame;
        if is_whole {
            known.clear();
        }
        list.for_each(|one| known.learn(one));
    }

    /// A list by itself: of the caller or the callee, or, in older kernels, after any step.
    fn whole(&mut self, text: &'a str) {
        self.learn(text, true);
        self.calls.truncate(self.frame);
        let is_entering = std::mem::take(&mut self.is_entering);
        if let (true, Some(step)) = (is_entering, self.steps.back())
            && self.calls.len().saturating_add(1) == self.frame
        {
            self.calls.push(step.insn);
        }
    }

    fn jump(&mut self, from: usize, text: &'a str) {
        self.says = Says::default();
        if !state::is_state(text) {
            return;
        }
        self.changed = Changed::default();
        self.from = Some(from);
        self.learn(text, true);
        // The branch was put aside by calls that may be others than those that came last.
        self.calls.clear();
    }

    fn finish(self) -> VerifierLog {
        let reason = match () {
            () if self.is_of_types => self.last,
            // Before the first step it also says what it does not mind.
            () if self.steps.is_empty() => self.says.last,
            () => self.says.first.first().copied(),
        };
        let notes = self.says.first.iter().copied();
        let notes = notes.skip_while(|text| Some(*text) != reason).skip(1);
        let is_of_all = NOWHERE
            .iter()
            .any(|prefix| reason.is_some_and(|reason| reason.starts_with(prefix)));
        let last = self.steps.back().filter(|_| !is_of_all);
        let is_complete = self.calls.len() == self.frame;
        let last_line = self.next_source.or(self.source);
        let registers = self.frames.get(self.frame).map(Frame::registers);
        VerifierLog {
            insn: reason.and_then(elsewhere).or(last.map(|step| step.insn)),
            reason: reason.map(str::to_owned),
            notes: notes.map(str::to_owned).collect(),
            function: self.function.map(str::to_owned),
            source: last_line.map(source_text),
            registers: registers.unwrap_or_default(),
            frame: self.frame,
            calls: if is_complete { self.calls } else { Vec::new() },
            statistics: self.statistics,
            steps: self.steps.into_iter().map(step).collect(),
        }
    }
}

fn elsewhere(reason: &str) -> Option<usize> {
    let rest = ELSEWHERE
        .iter()
        .find_map(|prefix| reason.strip_prefix(prefix))?;
    let end = rest.find(|c: char| !c.is_ascii_digit());
    rest.get(..end.unwrap_or(rest.len()))?.parse().ok()
}

fn step(raw: RawStep<'_>) -> Step {
    let after = raw
        .after
        .map(|list| state::parse(list).1.map(state::owned).collect());
    Step {
        insn: raw.insn,
        text: raw.text.to_owned(),
        frame: raw.frame,
        from: raw.from,
        source: raw.source.map(source_text),
        after: after.unwrap_or_default(),
    }
}

fn source_text((text, place): Source<'_>) -> SourceText {
    SourceText {
        text: text.to_owned(),
        place: place.map(|(file, line)| (file.to_owned(), line)),
    }
}

pub(super) fn walk(text: &str) -> VerifierLog {
    let mut walk = Walk::default();
    text.lines().for_each(|line| walk.line(line));
    walk.finish()
}
