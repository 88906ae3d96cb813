//! What comes from others and what others get: licences and bans, versions of dependencies and of the
//! compiler, features by themselves and together.

use crate::run;

/// Crates that have features.
const WITH_FEATURES: [&str; 4] = ["purebpf", "purebpf-btf", "purebpf-elf", "purebpf-handles"];

/// The oldest compiler that all is promised to compile with.
const OLDEST: &str = env!("CARGO_PKG_RUST_VERSION");

/// A check and its name.
type Check = (&'static str, fn() -> anyhow::Result<()>);

const CHECKS: [Check; 4] = [
    ("deny", deny),
    ("features", features),
    ("minimal-versions", minimal_versions),
    ("rust-version", rust_version),
];

/// Runs every check, or the one of this name.
pub(crate) fn run(only: Option<&str>) -> anyhow::Result<()> {
    let names = CHECKS.map(|check| check.0).join(", ");
    let wanted = |check: &&Check| only.is_none_or(|only| only == check.0);
    let checks: Vec<_> = CHECKS.iter().filter(wanted).collect();
    anyhow::ensure!(!checks.is_empty(), "no such check; there are {names}");
    checks.into_iter().try_for_each(|(_, check)| check())
}

/// Licences, crates that compile C, several versions of one crate, sources.
fn deny() -> anyhow::Result<()> {
    run::tool("cargo-deny")?;
    run::check(run::command("cargo").args(["deny", "check", "licenses", "bans", "sources"]))
}

/// Every set of features compiles.
fn features() -> anyhow::Result<()> {
    run::tool("cargo-hack")?;
    let mut command = run::command("cargo");
    command.args(["hack", "check", "--quiet", "--locked", "--feature-powerset"]);
    run::check(command.args(WITH_FEATURES.iter().flat_map(|name| ["-p", name])))
}

/// All of it compiles with the oldest dependencies that the manifests allow.
fn minimal_versions() -> anyhow::Result<()> {
    let lock = run::cache("minimal-versions")?.join("Cargo.lock");
    if lock.exists() {
        std::fs::remove_file(&lock)?;
    }
    run::check(
        run::command("cargo")
            .args(["check", "--quiet", "--workspace"])
            .args([
                "--all-features",
                "-Zdirect-minimal-versions",
                "-Zlockfile-path",
            ])
            .arg("--config")
            .arg(format!("resolver.lockfile-path={lock:?}"))
            .env("RUSTC_BOOTSTRAP", "1"),
    )
}

/// Installs the oldest compiler unless it is there.
pub(crate) fn oldest_compiler() -> anyhow::Result<()> {
    if run::output(run::command("rustup").args(["run", OLDEST, "rustc", "-V"])).is_ok() {
        return Ok(());
    }
    let install = ["toolchain", "install", "--profile", "minimal", OLDEST];
    run::check(run::command("rustup").args(install))
}

/// All of it compiles with the oldest compiler that it is promised for.
fn rust_version() -> anyhow::Result<()> {
    oldest_compiler()?;
    let target = run::cache("rust-version")?;
    run::check(
        run::command("rustup")
            .args(["run", OLDEST, "cargo", "check", "--quiet", "--locked"])
            .args(["--workspace", "--all-features", "--target-dir"])
            .arg(target),
    )
}
