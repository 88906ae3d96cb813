//! Lines and logs of which no kernel at hand writes all.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use super::line::Line;
use super::{SourceText, VerifierLog};

fn known(log: &VerifierLog) -> Vec<String> {
    let registers = log.registers.iter();
    registers
        .map(|r| format!("{}={}", r.name, r.value))
        .collect()
}

#[test]
fn a_line_is_seen_for_what_it_is() {
    let place = Some(("a b.c", 7));
    let lines = [
        (
            "; x = \"; @ y\"; @ a b.c:7",
            Line::Source {
                text: "x = \"; @ y\";",
                place,
            },
        ),
        (
            "; return 0;",
            Line::Source {
                text: "return 0;",
                place: None,
            },
        ),
        ("func#1 @4", Line::Aside),
        (
            "func#1 lacks a prototype @ all",
            Line::Says("func#1 lacks a prototype @ all"),
        ),
        ("9: safe", Line::Aside),
        (
            "from 5 to 9: safe",
            Line::Jump {
                from: 5,
                text: " safe",
            },
        ),
        ("Validating f() func#1...", Line::Function("f")),
        ("7: R1=ctx()", Line::Change("R1=ctx()")),
        (" frame1: R1=ctx()", Line::State("frame1: R1=ctx()")),
        ("R1 !read_ok", Line::Says("R1 !read_ok")),
        (
            "99999999999999999999999: (95) exit",
            Line::Says("99999999999999999999999: (95) exit"),
        ),
    ];
    for (text, line) in lines {
        assert_eq!(Line::of(text), line, "{text}");
    }
}

#[test]
fn what_an_instruction_changes_without_a_word_is_not_known_any_more() {
    let log = VerifierLog::parse(
        "0: R1=ctx() R6=1 R10=fp0 fp-8=0000????\n0: (bf) r6 = r1\n1: (63) *(u32 *)(r10 -4) = r1\nno\n",
    );
    // What the last one would have changed is as it was.
    assert_eq!(known(&log), ["R1=ctx()", "R10=fp0", "fp-8=0000????"]);
    let log = VerifierLog::parse("0: R1=ctx() R6=1 R10=fp0\n0: (85) call x#1\n1: (95) exit\nno\n");
    assert_eq!(known(&log), ["R6=1", "R10=fp0"]);
    assert_eq!(log.used().count(), 0);
}

#[test]
fn a_branch_that_is_taken_up_brings_its_own_registers() {
    let log = VerifierLog::parse(
        "0: R1=ctx() R10=fp0\n4: (15) if r1 == 0x0 goto pc+2 ; R1=7\n5: (95) exit\n\n\
         from 4 to 7: R2=scalar(umax=7,var_off=(0x0; 0x7)) R10=fp0\n7: (95) exit\nR0 !read_ok\n",
    );
    assert_eq!(
        known(&log),
        ["R2=scalar(umax=7,var_off=(0x0; 0x7))", "R10=fp0"]
    );
    assert_eq!(log.registers[0].kind(), "scalar");
    let last = log.steps.last().unwrap();
    assert_eq!((last.insn, last.from), (7, Some(4)));
    assert_eq!(log.steps[0].after[0].value, "7");
}

#[test]
fn a_log_of_types_ends_with_its_reason() {
    let log = VerifierLog::parse(
        "magic: 0xeb9f\nversion: 1\nbtf_total_size: 77\n[1] INT int size=4\n[2] VAR x type_id=9 Invalid type_id\n",
    );
    assert_eq!(
        log.reason.as_deref(),
        Some("[2] VAR x type_id=9 Invalid type_id")
    );
    assert_eq!(log.insn, None);
}

#[test]
fn before_the_first_instruction_the_last_word_counts() {
    let log = VerifierLog::parse(
        "Validating f() func#1...\narg#0 type is not a struct\nArg#0 type PTR in f() is not supported yet.\n",
    );
    assert_eq!(log.function.as_deref(), Some("f"));
    assert_eq!(
        log.reason.as_deref(),
        Some("Arg#0 type PTR in f() is not supported yet.")
    );
}

#[test]
fn statistics_are_read_from_all_their_lines() {
    let log = VerifierLog::parse(
        "verification time 33 usec\nstack depth 8+0+16\nprocessed 9 insns (limit 1000000) \
         max_states_per_insn 1 total_states 2 peak_states 3 mark_read 4\n",
    );
    let all = log.statistics.unwrap();
    assert_eq!((all.insns, all.limit), (9, 1_000_000));
    assert_eq!(
        (all.max_states_per_insn, all.total_states, all.peak_states),
        (1, 2, 3)
    );
    assert_eq!((all.microseconds, all.stack), (Some(33), vec![8, 0, 16]));
}

#[test]
fn a_log_without_its_beginning_says_what_is_left() {
    let log = VerifierLog::parse("=fp0 fp-8=0\n; x @ y.c:1\n7: (95) exit\nR0 !read_ok\nproces");
    assert_eq!(log.reason.as_deref(), Some("R0 !read_ok"));
    assert_eq!(log.insn, Some(7));
    let place = Some(("y.c".to_owned(), 1));
    assert_eq!(
        log.source,
        Some(SourceText {
            text: "x".to_owned(),
            place
        })
    );
    assert_eq!(VerifierLog::parse(""), VerifierLog::default());
}

#[test]
fn no_more_than_the_last_steps_are_kept() {
    let text: String = (0..1000).map(|n| format!("{n}: (b7) r0 = 0\n")).collect();
    let log = VerifierLog::parse(&text);
    assert_eq!(log.steps.len(), VerifierLog::STEPS);
    assert_eq!((log.steps[0].insn, log.insn), (968, Some(999)));
}

#[test]
fn what_is_said_of_the_whole_program_is_at_no_instruction() {
    let log = VerifierLog::parse(
        "0: R1=ctx() R10=fp0\n0: (95) exit\ncombined stack size of 2 calls is 544. Too large\n",
    );
    assert_eq!((log.insn, log.steps.len()), (None, 1));
    assert!(log.reason.is_some() && log.used().next().is_none());
}

#[test]
fn how_the_verifier_works_is_no_reason() {
    let asides = [
        "last_idx 6 first_idx 0",
        "regs=2 stack=0 before 3: (18) r2 = 0x0",
        "parent didn't have regs=2 stack=0 marks",
        "mark_precise: frame0: last_idx 6 first_idx 0 subseq_idx -1",
        "mark_precise: frame0: regs=r1 stack= before 5: (0f) r2 += r1",
        "Func#1 ('f') is safe for any args that match its prototype",
        "9: safe",
    ];
    for aside in asides {
        let text = format!("6: (79) r0 = *(u64 *)(r2 +0)\n{aside}\nR2 unbounded\n");
        let log = VerifierLog::parse(&text);
        assert_eq!(log.reason.as_deref(), Some("R2 unbounded"), "{aside}");
        assert_eq!(log.insn, Some(6), "{aside}");
    }
}

#[test]
fn calls_are_known_until_a_branch_of_another_call_is_taken_up() {
    let call = "0: R1=ctx() R6=7 R10=fp0\n2: (85) call pc+1\ncaller:\n R6=7 R10=fp0\ncallee:\n \
                frame1: R1=ctx() R10=fp0\n4: frame1: R1=ctx() R10=fp0\n4: (bf) r2 = r1\n";
    let log = VerifierLog::parse(&format!("{call}no\n"));
    assert_eq!((log.frame, log.calls.as_slice()), (1, &[2][..]));
    let back = "5: (95) exit\nreturning from callee:\n frame1: R0=0 R10=fp0\nto caller at 3:\n \
                R0=0 R6=7 R10=fp0\n3: (95) exit\nno\n";
    let log = VerifierLog::parse(&format!("{call}{back}"));
    assert_eq!((log.frame, log.calls.len()), (0, 0));
    assert_eq!(known(&log), ["R0=0", "R6=7", "R10=fp0"]);
    let branch = "from 4 to 6: frame1: R1=7 R10=fp0\n6: (95) exit\nno\n";
    let log = VerifierLog::parse(&format!("{call}{branch}"));
    assert_eq!((log.frame, log.calls.len()), (1, 0));
}
