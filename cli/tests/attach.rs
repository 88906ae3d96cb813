//! `purebpf attach` and `detach`: programs where their sections do not say.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod common;

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use common::{fixture, purebpf, since};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use serde_json::Value;

fn run(arguments: &[&str]) -> Output {
    purebpf().args(arguments).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn list(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", said(output));
    let list: Value = serde_json::from_slice(&output.stdout).unwrap();
    list.as_array().unwrap().clone()
}

/// Calls this as root, in a network name space and with a bpffs of its own.
fn apart(name: &str, test: impl FnOnce(&Path) + Send) {
    if !nix::unistd::geteuid().is_root() {
        assert!(
            std::env::var_os("PUREBPF_REQUIRE_KERNEL").is_none(),
            "this test needs root"
        );
        println!("left out, needs root");
        return;
    }
    let folder = std::env::temp_dir().join(format!("purebpf-{name}-{}", std::process::id()));
    let there = || {
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).unwrap();
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        let none = None::<&str>;
        mount(none, "/", none, private, none).unwrap();
        std::fs::create_dir_all(&folder).unwrap();
        mount(Some("bpf"), &folder, Some("bpf"), MsFlags::empty(), none).unwrap();
        test(&folder);
    };
    std::thread::scope(|scope| {
        let tested = scope.spawn(there).join();
        tested.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    std::fs::remove_dir(&folder).unwrap();
}

fn places() -> String {
    fixture("places.bpf.o").to_str().unwrap().to_owned()
}

/// This program, of which any function will do.
fn probed() -> String {
    let this = std::env::current_exe().unwrap();
    format!("uprobe/{}:main", this.to_str().unwrap())
}

#[test]
fn links_are_pinned_where_they_are_told_to_be_and_detached_by_their_pins() {
    if !since(5, 15) {
        println!("not on this kernel: links of perf events, to be pinned");
        return;
    }
    apart("pins", |folder| {
        let pins = folder.join("links");
        let pins = pins.to_str().unwrap();
        let at_call = format!("on_call={}", probed());
        let output = run(&[
            "attach",
            &places(),
            "--each",
            "--json",
            "--pin",
            pins,
            "--at=on_receive=xdp/lo/generic",
            "--at=on_clock=perf_event/cpu-clock/0/100",
            "--at",
            &at_call,
        ]);
        let attached = list(&output);
        let names: Vec<_> = attached
            .iter()
            .map(|one| one["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["on_receive", "on_clock", "on_call"]);
        assert!(
            said(&output).contains("`on_filter` is left out: "),
            "{}",
            said(&output)
        );
        assert!(attached.iter().all(|one| one["link_id"].is_u64()));
        let receives = || list(&run(&["net", "--json", "lo"])).len();
        assert_eq!(receives(), 1);
        let pinned: Vec<PathBuf> = names
            .iter()
            .map(|name| Path::new(pins).join(name))
            .collect();
        assert!(pinned.iter().all(|path| path.exists()));
        for path in &pinned {
            let output = run(&["detach", path.to_str().unwrap()]);
            assert!(output.status.success(), "{}", said(&output));
            assert!(!path.exists());
        }
        assert_eq!(receives(), 0);
        std::fs::remove_dir(pins).unwrap();
    });
}

#[test]
fn pins_that_others_could_make_are_refused_on_request() {
    apart("trusted", |bpffs| {
        let (object, pins) = (places(), bpffs.to_str().unwrap());
        let attach = || {
            let at = "--at=on_receive=xdp/lo/generic";
            run(&[
                "attach",
                &object,
                "--each",
                at,
                "--trusted-pins",
                "--pin",
                pins,
            ])
        };
        let refused = attach();
        let text = said(&refused);
        assert!(!refused.status.success(), "{text}");
        assert!(text.contains("a directory of mode 1777"), "{text}");
        let pin = bpffs.join("on_receive");
        assert!(!pin.exists());
        set_permissions(bpffs, Permissions::from_mode(0o700)).unwrap();
        let attached = attach();
        assert!(attached.status.success(), "{}", said(&attached));
        let detached = run(&["detach", pin.to_str().unwrap()]);
        assert!(detached.status.success(), "{}", said(&detached));
    });
}

#[test]
fn a_program_without_a_place_keeps_the_others_from_being_attached() {
    apart("no-place", |_| {
        let output = run(&[
            "attach",
            &places(),
            "--duration=0",
            "--at=on_receive=xdp/lo/generic",
        ]);
        assert!(!output.status.success());
        assert!(said(&output).contains("on_filter"), "{}", said(&output));
        assert!(list(&run(&["net", "--json", "lo"])).is_empty());
    });
}

#[test]
fn a_place_that_is_none_is_explained() {
    apart("wrong-place", |_| {
        for (at, expected) in [
            ("on_receive=xdp/lo0", "`lo`"),
            ("on_receive=xdp/lo/fast", "none of generic, native, offload"),
            ("on_filter=tc/lo/up", "none of ingress, egress"),
            ("on_call=line/a:b", "line/BINARY:FILE:LINE"),
            ("on_call=uprobe/nowhere", "uprobe/BINARY:FUNCTION"),
            ("on_nothing=xdp/lo", "on_receive"),
            ("on_nothing", "PROGRAM=PLACE"),
        ] {
            let output = run(&["attach", &places(), "--duration=0", "--each", "--at", at]);
            let said = said(&output);
            assert!(said.contains(expected), "{at}: {said}");
            assert!(!output.status.success(), "{at}");
        }
    });
}
