//! No variable and no working directory changes what is loaded.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod common;

use std::path::Path;
use std::process::{Command, Output};

use common::{fixture, purebpf};

/// Variables that others of the kind read, or might.
const VARIABLES: [&str; 16] = [
    "BPF_PIN_ROOT",
    "BTF_PATH",
    "DEBUGINFOD_URLS",
    "HOME",
    "KCONFIG_CONFIG",
    "LANG",
    "LIBBPF_BTF_PATH",
    "LIBBPF_TOKEN_PATH",
    "LINUX_VERSION_CODE",
    "PATH",
    "PUREBPF_BTF",
    "TMPDIR",
    "TZ",
    "VMLINUX",
    "VMLINUX_BTF",
    "XDG_CONFIG_HOME",
];

/// Files that are looked for, at the root, by name.
const FILES: [&str; 6] = [
    ".config",
    "proc/config.gz",
    "proc/kallsyms",
    "proc/version_signature",
    "sys/kernel/btf/vmlinux",
    "vmlinux",
];

/// All there is to load of an object: maps, programs, instructions; or why this kernel takes none.
fn planned(object: &Path, change: impl FnOnce(&mut Command)) -> Output {
    let mut command = purebpf();
    command.arg("plan").arg("--json").arg(object);
    change(&mut command);
    command.output().unwrap()
}

#[test]
fn neither_variables_nor_the_working_directory_change_what_is_loaded() {
    if !Path::new("/sys/kernel/btf/vmlinux").exists() {
        assert!(
            std::env::var_os("PUREBPF_REQUIRE_KERNEL").is_none(),
            "there is no BTF"
        );
        println!("left out, needs BTF of the kernel");
        return;
    }
    let folder = std::env::temp_dir().join(format!("purebpf-around-{}", std::process::id()));
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let boot =
        ["config", "vmlinux", "System.map"].map(|file| format!("boot/{file}-{}", release.trim()));
    for file in FILES.iter().copied().chain(boot.iter().map(String::as_str)) {
        let file = folder.join(file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, "CONFIG_HZ=7\n").unwrap();
    }
    let mut planned_well = 0;
    // Relocations by BTF, settings and symbols of the kernel, variables, maps.
    for name in ["core.bpf.o", "externs.bpf.o", "globals.bpf.o", "maps.bpf.o"] {
        let object = std::fs::canonicalize(fixture(name)).unwrap();
        let usual = planned(&object, |_| ());
        let elsewhere = planned(&object, |command| {
            command.current_dir(&folder);
            command.envs(VARIABLES.map(|variable| (variable, &folder)));
        });
        let bare = planned(&object, |command| {
            command.env_clear();
        });
        assert!(usual == elsewhere && usual == bare, "{name}: {usual:?}");
        planned_well += usize::from(usual.status.success());
    }
    assert!(planned_well >= 3, "{planned_well}");
    std::fs::remove_dir_all(&folder).unwrap();
}
