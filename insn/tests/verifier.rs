//! The verifier's logs of four kernels, of programs that each of them refuses.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::path::Path;

use purebpf_insn::verifier::VerifierLog;

const KERNELS: [&str; 4] = ["5.10", "6.1", "6.12", "7.2"];

fn each(program: &str, check: impl Fn(&str, VerifierLog)) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds/verifier_log");
    for kernel in KERNELS {
        let text = std::fs::read_to_string(folder.join(format!("{kernel}-{program}"))).unwrap();
        let log = VerifierLog::parse(&text);
        assert!(log.statistics.is_some(), "{kernel}");
        check(kernel, log);
    }
}

fn used(log: &VerifierLog) -> Vec<String> {
    let used = log.used();
    used.map(|r| format!("{}={}", r.name, r.kind())).collect()
}

#[test]
fn a_pointer_that_is_not_checked_is_named_with_its_line() {
    each("null_pointer", |kernel, log| {
        let reason = "R0 invalid mem access 'map_value_or_null'";
        assert_eq!(log.reason.as_deref(), Some(reason), "{kernel}");
        assert_eq!((log.insn, log.frame), (Some(7), 0), "{kernel}");
        let source = log.source.as_ref().unwrap();
        assert_eq!(
            source.text, "return *value; /* without a check */",
            "{kernel}"
        );
        let place = matches!(kernel, "6.12" | "7.2").then(|| ("rejected.bpf.c".to_owned(), 26));
        assert_eq!(source.place, place, "{kernel}");
        // The oldest tells registers only where the verifier goes on after a jump.
        let known = if kernel == "5.10" {
            &[][..]
        } else {
            &["R0=map_value_or_null"]
        };
        assert_eq!(used(&log), known, "{kernel}");
    });
}

#[test]
fn in_a_subprogram_the_registers_are_its_own_and_the_call_is_known() {
    each("in_subprogram", |kernel, log| {
        assert_eq!((log.insn, log.frame), (Some(14), 1), "{kernel}");
        assert_eq!(log.calls, [2], "{kernel}");
        let used = used(&log);
        assert!(
            used.contains(&"R1=map_value_or_null".to_owned()),
            "{kernel} {used:?}"
        );
    });
}

#[test]
fn of_several_words_the_first_is_the_reason() {
    each("leak", |kernel, log| {
        let reason = "Unreleased reference id=2 alloc_insn=4";
        assert_eq!(log.reason.as_deref(), Some(reason), "{kernel}");
        let notes = usize::from(kernel == "7.2");
        assert_eq!(log.notes.len(), notes, "{kernel} {:?}", log.notes);
        assert_eq!(log.insn, Some(9), "{kernel}");
    });
}

#[test]
fn a_loop_is_at_the_instruction_that_the_reason_names() {
    each("endless", |kernel, log| {
        let reason = "infinite loop detected at insn 7";
        assert_eq!(log.reason.as_deref(), Some(reason), "{kernel}");
        assert_eq!(log.insn, Some(7), "{kernel}");
        let text = &log.stopped_at().unwrap().text;
        assert_eq!(text, "(c6) if w2 s< 0xa goto pc-3", "{kernel}");
    });
}

#[test]
fn a_global_function_is_named_where_it_is_checked_by_itself() {
    each("through_global_function", |kernel, log| {
        let (function, reason) = match kernel {
            "5.10" => (
                true,
                "Arg#0 type PTR in global_function() is not supported yet.",
            ),
            "6.1" => (true, "R0 !read_ok"),
            "6.12" => (false, "invalid bpf_context access off=7 size=1"),
            _ => (false, "R1 type=ctx expected=fp"),
        };
        assert_eq!(log.reason.as_deref(), Some(reason), "{kernel}");
        assert_eq!(log.function.is_some(), function, "{kernel}");
    });
}

#[test]
fn a_poisoned_instruction_is_the_last_step() {
    each("missing_in_subprogram", |kernel, log| {
        let reason = "invalid func unknown#195896080";
        assert_eq!(log.reason.as_deref(), Some(reason), "{kernel}");
        assert_eq!(
            (log.insn, log.calls.as_slice()),
            (Some(3), &[0][..]),
            "{kernel}"
        );
    });
}

#[test]
fn what_is_known_after_each_step_is_kept() {
    each("out_of_bounds", |kernel, log| {
        let used = used(&log);
        assert!(
            used.contains(&"R2=map_value".to_owned()),
            "{kernel} {used:?}"
        );
        let kept = log
            .steps
            .iter()
            .filter(|step| !step.after.is_empty())
            .count();
        assert_eq!(kept, if kernel == "5.10" { 0 } else { 5 }, "{kernel}");
    });
}
