//! Runs the tests of the pure crates on machines of another byte order and word, emulated.

use crate::run;

/// The machine, the Debian packages that compile and run programs for it.
const MACHINES: &[(&str, &[&str])] = &[
    (
        "s390x",
        &[
            "gcc-s390x-linux-gnu",
            "libc6-dev-s390x-cross",
            "qemu-user-static",
            "rustc-web",
            "rust-web-src",
        ],
    ),
    (
        "aarch64",
        &[
            "gcc-aarch64-linux-gnu",
            "libc6-dev-arm64-cross",
            "qemu-user-static",
            "rustc-web",
            "rust-web-src",
        ],
    ),
];

/// The crates that need no kernel.
const CRATES: [&str; 4] = ["purebpf-insn", "purebpf-elf", "purebpf-btf", "purebpf-plan"];

/// Debian's compiler comes with the source of the standard library, which is built for the machine.
const RUSTC: &str = "/usr/bin/rustc";

/// Tests the pure crates on these machines, or on all of them.
pub(crate) fn run(only: Option<&str>, crates: &[String]) -> anyhow::Result<()> {
    let machines = MACHINES
        .iter()
        .filter(|(machine, _)| only.is_none_or(|only| only == *machine));
    let mut ran = false;
    for (machine, packages) in machines {
        test(machine, packages, crates)?;
        ran = true;
    }
    anyhow::ensure!(ran, "unknown machine; there are s390x and aarch64");
    Ok(())
}

fn test(machine: &str, packages: &[&str], crates: &[String]) -> anyhow::Result<()> {
    let linker = format!("{machine}-linux-gnu-gcc");
    let emulator = format!("qemu-{machine}-static");
    run::need(&[&linker, &emulator, RUSTC], packages)?;
    let target = format!("{machine}-unknown-linux-gnu");
    let variable = target.to_uppercase().replace('-', "_");
    let mut command = run::command("cargo");
    command
        .args(["test", "--locked", "-Zbuild-std=std,panic_abort,test"])
        .args(["--target", &target])
        // Another compiler than that of the host's builds.
        .args(["--target-dir", &format!("target/{machine}")])
        .args(["--lib", "--tests", "--all-features"])
        .env("RUSTC", RUSTC)
        .env("RUSTC_BOOTSTRAP", "1")
        // One takes seconds there.
        .env("RUST_BACKTRACE", "0")
        .env(format!("CARGO_TARGET_{variable}_LINKER"), linker)
        .env(format!("CARGO_TARGET_{variable}_RUNNER"), emulator)
        .env(
            format!("CARGO_TARGET_{variable}_RUSTFLAGS"),
            "-C target-feature=+crt-static",
        );
    let named = crates.iter().map(String::as_str);
    let all = CRATES.into_iter().filter(|_| crates.is_empty());
    for name in named.chain(all) {
        command.args(["-p", name]);
    }
    run::check(&mut command)
}
