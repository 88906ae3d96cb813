//! Any text as a log of the verifier.

#![no_main]

use libfuzzer_sys::fuzz_target;
use purebpf_fuzz::limits;
use purebpf_insn::verifier::VerifierLog;

fuzz_target!(|text: &str| {
    let _limits = limits::arm(text, 1 << 20, 32);
    let log = VerifierLog::parse(text);
    assert!(log.steps.len() <= VerifierLog::STEPS);
    // What is kept was in the text; a line may be named twice, as where it stopped and as the last.
    let registers = log
        .steps
        .iter()
        .flat_map(|step| &step.after)
        .chain(&log.registers);
    let kept: usize = registers.map(|r| r.name.len() + r.value.len()).sum();
    let texts: usize = log.steps.iter().map(|step| step.text.len()).sum();
    assert!(kept + texts <= 3 * text.len());
    assert!(log.used().count() <= log.registers.len());
});
