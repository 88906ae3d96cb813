//! Everything that has to pass, in the order in which failures are cheapest to find.

use crate::{api, fixtures, fuzz, musl, run, supply, targets, vm};

/// Runs all checks and tests; the first that fails ends it.
pub(crate) fn run(with_vm: bool) -> anyhow::Result<()> {
    let cargo = |arguments: &str| {
        let mut command = run::command("cargo");
        command.args(arguments.split(' '));
        command
    };
    run::check(&mut cargo("fmt --all --check"))?;
    fixtures::check()?;
    run::check(&mut cargo(
        "clippy --workspace --all-targets --all-features --locked -- -D warnings",
    ))?;
    // Others may ask for no feature.
    for package in ["purebpf-btf", "purebpf-elf", "purebpf-handles"] {
        let alone = format!("clippy -p {package} --all-targets --locked -- -D warnings");
        run::check(&mut cargo(&alone))?;
    }
    run::check(&mut cargo(
        "clippy -p purebpf --all-targets --features tokio --locked -- -D warnings",
    ))?;
    run::check(cargo("doc --workspace --no-deps --locked").env("RUSTDOCFLAGS", "-D warnings"))?;
    run::check(cargo("test --workspace --locked").env("PUREBPF_REQUIRE_KERNEL", "1"))?;
    run::check(
        cargo("test --locked -p purebpf --features tokio --test awaiting")
            .env("PUREBPF_REQUIRE_KERNEL", "1"),
    )?;
    // All of it, not the sample that a slower build takes.
    run::check(&mut cargo(
        "test --release --locked -p purebpf --test corrupt",
    ))?;
    supply::run(None)?;
    api::run(false)?;
    targets::run(None)?;
    if with_vm {
        vm::run(&["6.1".to_owned(), "6.12".to_owned()], &[])?;
        musl::run("6.12")?;
    }
    fuzz::run(&fuzz::Arguments::short())
}
