//! What the verifier's log says about a program.

use purebpf_insn::disasm;
use purebpf_insn::verifier::VerifierLog;
use purebpf_plan::{Code, Missing, Plan, ProgramPlan};

use super::Session;
use super::hints::{self, Refusal};
use crate::{Error, Rejection};

/// All that is known of a program that the kernel refused.
pub(crate) fn rejected(
    session: &Session,
    plan: &Plan,
    program: &ProgramPlan,
    code: &Code,
    error: purebpf_handles::Error,
) -> Error {
    let (log, source) = match error {
        purebpf_handles::Error::Rejected { log, source, .. } => (log.into_string(), source),
        purebpf_handles::Error::Call {
            operation: "load it",
            source,
            ..
        } => (String::new(), source),
        other => return other.into(),
    };
    let verifier = VerifierLog::parse(&log);
    let refusal = Refusal {
        errno: source.errno(),
        program: Some(hints::Program {
            program_type: program.program_type,
            attach_type: program.expected_attach_type,
            flags: program.flags,
        }),
        reason: verifier.reason.as_deref(),
    };
    let insn = verifier.insn;
    let rejection = Rejection {
        object: plan.object.clone(),
        program: program.name.clone(),
        section: program.section.clone(),
        insn,
        text: insn.and_then(|insn| text(code, insn)),
        line: insn.and_then(|insn| code.source_line(insn)),
        missing: missing(code, &verifier).cloned(),
        hint: hints::hint(&session.kernel, &refusal),
        verifier,
        log,
    };
    Error::Program {
        rejection: Box::new(rejection),
        source,
    }
}

fn text(code: &Code, insn: usize) -> Option<String> {
    let mut all = disasm::disassemble(&code.insns);
    let (_, text) = all.find(|(index, _)| *index == insn)?;
    Some(text.to_string())
}

/// What is missing at the instruction that was refused, if the loader put it out of action.
fn missing<'a>(code: &'a Code, log: &VerifierLog) -> Option<&'a Missing> {
    let reason = log.reason.as_deref()?;
    let insn = log.insn.filter(|_| reason.starts_with("invalid func "))?;
    let poison = code.poisons.iter().find(|poison| poison.insn == insn)?;
    Some(&poison.missing)
}
