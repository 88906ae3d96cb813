//! What is kept of a verifier's log.

/// A verifier's log, taken apart.
///
/// ```
/// use purebpf_insn::verifier::VerifierLog;
///
/// let log = VerifierLog::parse(
///     "0: R1=ctx() R10=fp0\n0: (79) r0 = *(u64 *)(r1 +7)\n\
///      invalid bpf_context access off=7 size=8\nprocessed 1 insns (limit 1000000)\n",
/// );
/// assert_eq!(log.reason.as_deref(), Some("invalid bpf_context access off=7 size=8"));
/// assert_eq!(log.insn, Some(0));
/// let used: Vec<_> = log.used().map(|r| format!("{}={}", r.name, r.value)).collect();
/// assert_eq!(used, ["R1=ctx()"]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifierLog {
    /// Why the verifier stopped, in its own words.
    pub reason: Option<String>,
    /// What it said after that.
    pub notes: Vec<String>,
    /// The instruction that it stopped at.
    pub insn: Option<usize>,
    /// The global function that was checked by itself, if it was not the program.
    pub function: Option<String>,
    /// The last instructions walked, at most [`Self::STEPS`], in the order of the walk.
    pub steps: Vec<Step>,
    /// The source line of the last step, as the log shows it.
    pub source: Option<SourceText>,
    /// What was known of registers and stack slots when it stopped.
    pub registers: Vec<Register>,
    /// How many calls deep it was.
    pub frame: usize,
    /// The instructions that called, outermost first; none where the log does not tell all.
    pub calls: Vec<usize>,
    /// What the check cost.
    pub statistics: Option<Statistics>,
}

/// An instruction that the verifier walked over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Step {
    /// Which instruction of the program.
    pub insn: usize,
    /// Its text, with the opcode: `(85) call bpf_x#1`.
    pub text: String,
    /// How many calls deep it is.
    pub frame: usize,
    /// The jump that led to it, if the walk went on there with a branch that it had put aside.
    pub from: Option<usize>,
    /// The source line, where the log shows another than before.
    pub source: Option<SourceText>,
    /// What the log says of registers and stack slots after it.
    pub after: Vec<Register>,
}

/// A source line as the log shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceText {
    /// The text.
    pub text: String,
    /// File and line (6.10).
    pub place: Option<(String, u32)>,
}

/// What is known of a register, a stack slot, or the references held.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Register {
    /// `R0` to `R10`, `fp-8`, `refs`.
    pub name: String,
    /// All that the verifier knows of it: `scalar(umax=7)`.
    pub value: String,
}

impl Register {
    /// What it is, without details: `scalar`, `map_value_or_null`, `7`.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.value
            .split_once('(')
            .map_or(&self.value, |(kind, _)| kind)
    }
}

/// What a check cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Instructions walked over.
    pub insns: u64,
    /// The most that may be.
    pub limit: u64,
    /// Most states kept for an instruction.
    pub max_states_per_insn: u64,
    /// States kept at all.
    pub total_states: u64,
    /// States kept at one time.
    pub peak_states: u64,
    /// Microseconds, if the log tells (log level 4).
    pub microseconds: Option<u64>,
    /// Bytes of stack of the program and each of its subprograms, if the log tells (log level 4).
    pub stack: Vec<u64>,
}

impl VerifierLog {
    /// How many steps are kept.
    pub const STEPS: usize = 32;
}
