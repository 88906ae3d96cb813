//! Everything that has to pass, in the order in which failures are cheapest to find.

use crate::{api, fixtures, fuzz, machine, miri, musl, run, sanitize, supply, targets, vm};

const WASM: &str = "wasm32-unknown-unknown";

/// Whether something is there that only rustup can fetch; where it cannot, this is said.
fn can_be_had(what: &str, fetched: anyhow::Result<()>) -> bool {
    if let Err(error) = &fetched {
        machine::say(&format!("NOT CHECKED, {what} cannot be had: {error:#}"));
    }
    fetched.is_ok()
}

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
    for sanitizer in ["address", "thread"] {
        sanitize::run(sanitizer, false)?;
    }
    match miri::is_there() {
        true => miri::run()?,
        // A nightly is not fetched for it: what fails today may be the nightly's.
        false => machine::say("NOT CHECKED, there is no Miri here"),
    }
    // Every set of features and the other systems take minutes; their own tasks check them.
    supply::run(Some("deny"))?;
    supply::run(Some("minimal-versions"))?;
    if can_be_had("the oldest compiler", supply::oldest_compiler()) {
        supply::run(Some("rust-version"))?;
    }
    api::run(false)?;
    if can_be_had("WebAssembly", run::target(WASM)) {
        targets::run(Some(WASM))?;
    }
    if with_vm {
        vm::run(&["6.1".to_owned(), "6.12".to_owned()], &[])?;
        if can_be_had("musl", run::target(musl::TARGET)) {
            musl::run("6.12")?;
        }
    }
    fuzz::run(&fuzz::Arguments::short())
}
