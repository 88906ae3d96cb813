//! `purebpf net`, `cgroup` and `perf` show what this test attaches.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod common;

use std::path::{Path, PathBuf};
use std::process::Output;

use common::{fixture, purebpf, since};
use nix::sched::{CloneFlags, unshare};
use purebpf::attach::{
    Cgroup, CgroupMode, Netfilter, Netns, RawTracepoint, Tc, TcParent, Tcx, Xdp, XdpMode,
};
use purebpf::handles::ProgramAttributes;
use purebpf::insn::build;
use purebpf::{AttachType, Link, Program, ProgramType};
use serde_json::{Value, json};

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

fn run(arguments: &[&str]) -> Output {
    purebpf().args(arguments).output().unwrap()
}

fn text(output: &[u8]) -> String {
    String::from_utf8_lossy(output).into_owned()
}

/// What a command prints, as a list.
fn list(arguments: &[&str]) -> Vec<Value> {
    let output = run(arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let list: Value = serde_json::from_slice(&output.stdout).unwrap();
    list.as_array().unwrap().clone()
}

/// A program that returns a number.
fn program(program_type: ProgramType, attach_type: AttachType, result: i32) -> Program {
    let attributes = ProgramAttributes {
        name: "shown".into(),
        program_type,
        expected_attach_type: attach_type,
        license: "GPL".into(),
        instructions: vec![build::mov64_imm(0, result), build::exit()],
        ..ProgramAttributes::default()
    };
    Program::load(&attributes).unwrap_or_else(|error| panic!("{error:?}"))
}

/// Calls this as root in a network name space that has a loopback device alone.
fn in_a_name_space(test: impl FnOnce() + Send) {
    if !is_root() {
        return;
    }
    let there = || {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        test();
    };
    std::thread::scope(|scope| {
        let tested = scope.spawn(there).join();
        tested.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

#[test]
fn what_is_attached_to_the_network_is_shown() {
    in_a_name_space(|| {
        assert!(list(&["net", "--json", "lo"]).is_empty());
        let xdp = program(ProgramType::XDP, AttachType::XDP, 2);
        let target = Xdp::by_name("lo").unwrap().mode(XdpMode::Generic);
        let _xdp = xdp.attach(target.without_link()).unwrap();
        let filter = program(ProgramType::SCHED_CLS, AttachType::default(), -1);
        let parent = Tc::by_name("lo", TcParent::Egress).unwrap().priority(7);
        let _filter = filter.attach(parent.handle(9)).unwrap();
        let how = AttachType::FLOW_DISSECTOR;
        let dissector = program(ProgramType::FLOW_DISSECTOR, how, 0);
        let _dissector = dissector.attach(Netns::current().without_link()).unwrap();
        let mut expected = vec![
            json!({"device": "lo", "hook": "xdp", "program_id": xdp.id().0, "program": "shown",
                "mode": "generic"}),
            json!({"device": "lo", "hook": "tc_egress", "program_id": filter.id().0,
                "program": "shown", "name": format!("shown:[{}]", filter.id()), "priority": 7,
                "handle": 9, "chain": null, "direct_action": true}),
            json!({"device": null, "hook": "flow_dissector", "program_id": dissector.id().0,
                "program": "shown"}),
        ];
        let ours = || {
            let mut all = list(&["net", "--json"]);
            // Others may be there in other name spaces.
            all.retain(|row| row["hook"] != "netfilter");
            all
        };
        assert_eq!(ours(), expected);
        if since(6, 6) {
            let how = AttachType::TCX_INGRESS;
            let tcx = program(ProgramType::SCHED_CLS, how, -1);
            let link = tcx.attach(Tcx::by_name("lo").unwrap()).unwrap();
            let row = json!({"device": "lo", "hook": "tcx_ingress", "program_id": tcx.id().0,
                "program": "shown", "link_id": link.id().unwrap().0});
            expected.insert(1, row);
            assert_eq!(ours(), expected);
        }
        assert_eq!(list(&["net", "lo", "--json"]).len(), 2);
        let output = run(&["net"]);
        let lines = text(&output.stdout);
        let line = lines
            .lines()
            .find(|line| line.contains("tc_egress"))
            .unwrap();
        let words: Vec<_> = line.split_whitespace().collect();
        let id = filter.id().to_string();
        let name = format!("shown:[{id}],");
        let expected = ["lo", "tc_egress", &id, "shown", "name", &name];
        assert!(words.starts_with(&expected), "{line}");
        assert!(
            line.trim_end()
                .ends_with("priority 7, handle 9, direct_action"),
            "{line}"
        );
    });
}

#[test]
fn a_hook_of_netfilter_is_shown_by_name() {
    in_a_name_space(|| {
        if !since(6, 4) {
            println!("not on this kernel: netfilter links");
            return;
        }
        let program = program(ProgramType::NETFILTER, AttachType::NETFILTER, 1);
        let link = program.attach(Netfilter::new(10, 4).priority(-3)).unwrap();
        let id = link.id().unwrap().0;
        let row = list(&["net", "--json"])
            .into_iter()
            .find(|row| row["link_id"] == id);
        let expected = json!({"device": null, "hook": "netfilter", "program_id": program.id().0,
            "program": "shown", "link_id": id, "family": "ip6", "hook": "postrouting",
            "priority": -3, "defragments": false});
        assert_eq!(row.unwrap(), expected);
    });
}

#[test]
fn a_device_that_is_missing_has_neighbours() {
    in_a_name_space(|| {
        let output = run(&["net", "loo"]);
        assert!(!output.status.success());
        let error = text(&output.stderr);
        assert!(
            error.starts_with("error: there is no network device `loo`; there is `lo`"),
            "{error}"
        );
        let output = run(&["net", "lo"]);
        assert!(output.status.success() && output.stdout.is_empty());
        assert_eq!(text(&output.stderr), "nothing is attached\n");
    });
}

/// A cgroup with another one in it, gone with it.
struct Groups(PathBuf);

impl Groups {
    fn create() -> Option<Self> {
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
        let root = mounts.lines().find_map(|line| {
            let mut words = line.split(' ').skip(1);
            let path = words.next()?;
            (words.next() == Some("cgroup2")).then(|| path.to_owned())
        });
        let Some(root) = root else {
            assert!(std::env::var_os("PUREBPF_REQUIRE_KERNEL").is_none());
            println!("left out, needs cgroup2");
            return None;
        };
        let path = Path::new(&root).join(format!("purebpf-test-cli-{}", std::process::id()));
        std::fs::create_dir_all(path.join("inner")).unwrap();
        Some(Self(path))
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        std::fs::remove_dir(self.0.join("inner")).unwrap();
        std::fs::remove_dir(&self.0).unwrap();
    }
}

#[test]
fn what_is_attached_to_cgroups_is_shown() {
    if !is_root() {
        return;
    }
    let Some(groups) = Groups::create() else {
        return;
    };
    let inner = groups.0.join("inner");
    let how = AttachType::CGROUP_INET_SOCK_CREATE;
    let above = program(ProgramType::CGROUP_SOCK, how, 1);
    let below = program(ProgramType::CGROUP_SOCK, how, 1);
    let mode = CgroupMode::Multi;
    let attach = |program: &Program, path: &Path| -> Link {
        program
            .attach(Cgroup::new(path).without_link(mode))
            .unwrap()
    };
    let _links = [attach(&above, &groups.0), attach(&below, &inner)];
    let row = |path: &Path, program: &Program, flags: Value| {
        json!({"cgroup": path, "attach_type": "cgroup_inet_sock_create",
            "program_id": program.id().0, "program": "shown", "flags": flags})
    };
    let [top, bottom] = [&groups.0, &inner].map(|path| path.to_str().unwrap());
    let multi = || json!("multi");
    let both = [
        row(&groups.0, &above, multi()),
        row(&inner, &below, multi()),
    ];
    assert_eq!(list(&["cgroup", "show", top, "--json"]), both[..1]);
    assert_eq!(list(&["cgroup", "tree", top, "--json"]), both);
    let all = list(&["cgroup", "--json"]);
    assert!(both.iter().all(|row| all.contains(row)));
    let effective = list(&["cgroup", "show", bottom, "--effective", "--json"]);
    let programs: Vec<_> = effective.iter().map(|row| &row["program_id"]).collect();
    assert!(programs.ends_with(&[&json!(below.id().0), &json!(above.id().0)]));
    let table = text(&run(&["cgroup", "show", top]).stdout);
    assert!(table.contains("cgroup_inet_sock_create") && table.contains("flags multi"));
    let output = run(&["cgroup", "show", &format!("{top}x")]);
    let error = text(&output.stderr);
    assert!(error.starts_with("error: there is no cgroup") && error.contains("there is `"));
    // No cgroup at all.
    let output = run(&["cgroup", "show", "/"]);
    assert!(
        text(&output.stderr).contains("EBADF"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn what_processes_hold_is_shown() {
    if !is_root() {
        return;
    }
    let program = program(ProgramType::RAW_TRACEPOINT, AttachType::default(), 0);
    let _link = program.attach(RawTracepoint::new("sys_enter")).unwrap();
    let rows = list(&["perf", "--json"]);
    let row = rows.iter().find(|row| row["program_id"] == program.id().0);
    let row = row.unwrap();
    assert_eq!(row["pid"], std::process::id());
    let expected = [
        ("kind", "raw_tracepoint"),
        ("program", "shown"),
        ("name", "sys_enter"),
    ];
    for (field, value) in expected {
        assert_eq!(row[field], value);
    }
    let table = text(&run(&["perf"]).stdout);
    let line = table
        .lines()
        .find(|line| line.contains(&program.id().to_string()));
    assert!(
        line.unwrap().trim_end().ends_with("name sys_enter"),
        "{table}"
    );
}

#[test]
fn what_no_section_says_is_said_to_be_missing() {
    if !is_root() {
        return;
    }
    let has_jit = Path::new("/proc/sys/net/core/bpf_jit_enable").exists();
    if !since(6, 9) || !has_jit {
        println!("not on this kernel: arenas");
        return;
    }
    let output = run(&["run", fixture("arena.bpf.o").to_str().unwrap()]);
    assert!(!output.status.success());
    assert_eq!(
        text(&output.stderr),
        "error: program `count`: section `syscall` does not say what to attach it to; it takes no \
         place, but a call (`Program::test_run`)\n"
    );
}
