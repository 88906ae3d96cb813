//! The `purebpf` program as its users run it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod common;

use std::io::{BufRead as _, BufReader};

use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::{fixture, purebpf};
use serde_json::Value;

fn run(arguments: &[&str]) -> Output {
    purebpf().args(arguments).output().unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
        panic!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            text(output)
        )
    })
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn is_root() -> bool {
    let is_root = nix::unistd::geteuid().is_root();
    if !is_root {
        assert!(
            std::env::var_os("PUREBPF_REQUIRE_KERNEL").is_none(),
            "this test needs root"
        );
        println!("left out, needs root");
    }
    is_root
}

/// The program with its output at hand; stopped when dropped.
struct Running(Child);

impl Running {
    fn start(arguments: &[&str]) -> (Self, impl Iterator<Item = String> + use<>) {
        let mut child = purebpf()
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It says so once everything is attached.
        let mut ready = String::new();
        BufReader::new(child.stderr.take().unwrap())
            .read_line(&mut ready)
            .unwrap();
        assert!(ready.contains("attached"), "{ready}");
        let lines = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map(Result::unwrap);
        (Self(child), lines)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn start_a_process() -> u32 {
    let mut child = Command::new("/proc/self/exe")
        .arg("--list")
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child.wait().unwrap();
    child.id()
}

#[test]
fn run_shows_processes_that_start_and_exit() {
    if !is_root() {
        return;
    }
    let (_program, lines) = Running::start(&["run", "--json"]);
    let pid = start_a_process();
    let mut seen = Vec::new();
    for line in lines {
        let event: Value = serde_json::from_str(&line).unwrap();
        if event["pid"] == pid {
            assert_eq!(event["parent"], std::process::id(), "{event}");
            seen.push(event["event"].as_str().unwrap().to_owned());
            if event["event"] == "EXEC" {
                assert_eq!(event["file"], "/proc/self/exe");
            } else {
                assert_eq!(event["exit_code"], 0);
                let lifetime = event["lifetime_ns"].as_u64().unwrap();
                assert!(lifetime > 0 && lifetime < 60_000_000_000, "{event}");
                break;
            }
        }
    }
    assert_eq!(seen, ["EXEC", "EXIT"]);
}

#[test]
fn run_stops_after_so_many_records() {
    if !is_root() {
        return;
    }
    let (mut program, lines) = Running::start(&["run", "--count", "5", "--json"]);
    for _ in 0..5 {
        start_a_process();
    }
    assert_eq!(lines.count(), 5);
    assert!(program.0.wait().unwrap().success());
}

#[test]
fn run_stops_after_so_many_seconds() {
    if is_root() {
        let start = Instant::now();
        let output = run(&["run", "--duration", "0.3"]);
        assert!(output.status.success(), "{}", text(&output));
        assert!(start.elapsed() >= Duration::from_millis(300));
    }
}

#[test]
fn ctrl_c_detaches_and_ends_well() {
    if !is_root() {
        return;
    }
    let (mut program, _lines) = Running::start(&["run", "--json"]);
    let pid = i32::try_from(program.0.id()).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGINT).unwrap();
    assert!(program.0.wait().unwrap().success());
}

#[test]
fn run_reads_records_by_the_type_it_is_told() {
    if !is_root() {
        return;
    }
    let file = fixture("globals.bpf.o");
    let output = run(&["run", file.to_str().unwrap(), "--type", "nothing"]);
    assert!(
        text(&output).contains("the object has no type `nothing`"),
        "{}",
        text(&output)
    );
}

#[test]
fn plan_needs_no_kernel_and_names_every_map_reference() {
    let file = fixture("minimal.bpf.o");
    let output = run(&["plan", file.to_str().unwrap(), "--json"]);
    let plan = json(&output);
    assert_eq!(plan["object"], "minimal");
    let map = &plan["maps"][0];
    assert_eq!((&map["name"], &map["type"]), (&"counts".into(), &2.into()));
    assert_eq!(
        (&map["key_size"], &map["value_size"]),
        (&4.into(), &8.into())
    );
    assert_eq!(map["pinning"], "none");
    let program = &plan["programs"][0];
    assert_eq!(program["name"], "count");
    assert_eq!(program["section"], "tracepoint/syscalls/sys_enter_getpgid");
    assert_eq!(
        (&program["type"], &program["autoload"]),
        (&5.into(), &true.into())
    );
    assert_eq!(program["status"], "ok");
    let reference = &program["maps"][0];
    assert_eq!(reference["map"], "counts");
    let insn = usize::try_from(reference["insn"].as_u64().unwrap()).unwrap();
    let hex = program["instructions"].as_str().unwrap();
    assert_eq!(&hex[insn * 16..insn * 16 + 16], "1811000000000000");
}

#[test]
fn plan_of_what_cannot_be_loaded_says_why_for_each_program() {
    // As a kernel's BTF it has none of the kernel's functions.
    let (file, btf) = (fixture("struct_ops.bpf.o"), fixture("minimal.bpf.o"));
    let arguments = [
        "plan",
        file.to_str().unwrap(),
        "--json",
        "--btf",
        btf.to_str().unwrap(),
    ];
    let output = run(&arguments);
    assert!(!output.status.success());
    let plan = json(&output);
    assert_eq!(plan["programs"].as_array().unwrap().len(), 4);
    for program in plan["programs"].as_array().unwrap() {
        let status = program["status"].as_str().unwrap();
        assert_eq!(
            status,
            "map `plain`: the kernel has no struct_ops `tcp_congestion_ops`"
        );
    }
    assert_eq!(plan["maps"].as_array().unwrap().len(), 3);
}

#[test]
fn load_each_says_what_the_kernel_said() {
    if !is_root() {
        return;
    }
    let file = fixture("rejected.bpf.o");
    let output = run(&["load", file.to_str().unwrap(), "--each", "--json"]);
    assert!(!output.status.success());
    let programs = json(&output)["programs"].as_array().unwrap().clone();
    assert_eq!(programs.len(), 10);
    for program in programs {
        assert_eq!(program["loaded"], false);
        assert_eq!(program["phase"], "program");
        assert!(
            program["tag"].is_null() && program["errno"].is_number(),
            "{program}"
        );
        assert!(
            program["error"].as_str().unwrap().contains("processed"),
            "{program}"
        );
    }
    let file = fixture("minimal.bpf.o");
    let loaded = json(&run(&["load", file.to_str().unwrap(), "--json"]));
    let program = &loaded["programs"][0];
    assert_eq!(program["loaded"], true);
    assert_eq!(program["tag"].as_str().unwrap().len(), 16);
    assert!(program["errno"].is_null() && program["phase"].is_null());
}

#[test]
fn a_file_that_is_no_object_is_named() {
    let output = run(&["plan", "/proc/self/exe"]);
    assert!(!output.status.success());
    let said = text(&output);
    let expected = "error: opening /proc/self/exe: the object file is malformed: not a BPF object: ELF type is ";
    assert!(said.starts_with(expected), "{said}");
    let output = run(&["load", "/no/such/file", "--json"]);
    let failure = json(&output);
    assert_eq!(failure["phase"], "open");
    assert!(
        failure["error"]
            .as_str()
            .unwrap()
            .contains("cannot read `/no/such/file`")
    );
}

#[test]
fn the_kernel_is_asked_what_it_supports() {
    if !is_root() {
        return;
    }
    let run = |arguments: &[&str]| {
        let output = purebpf().args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let all: Value = serde_json::from_str(&run(&["feature", "--json", "--helpers"])).unwrap();
    let at = |path: &str| all.pointer(path).cloned().unwrap();
    assert_eq!(at("/features/btf_func"), true);
    assert_eq!(at("/program_types/xdp"), true);
    assert_eq!(at("/map_types/hash"), true);
    let has = |ty: &str, helper: &str| {
        let names = at(&format!("/helpers/{ty}"));
        names.as_array().unwrap().contains(&helper.into())
    };
    assert!(has("xdp", "bpf_xdp_adjust_head"));
    assert!(!has("socket_filter", "bpf_xdp_adjust_head"));
    let text = run(&["feature"]);
    assert!(
        text.lines()
            .any(|line| line.contains("xdp") && line.contains("yes"))
    );
}
