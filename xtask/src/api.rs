//! The public items of each crate, kept in `docs/api`, so that a change of them is seen in a review.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use public_api::Builder;

use crate::run;

/// The crates that others use.
const CRATES: [&str; 7] = [
    "purebpf",
    "purebpf-btf",
    "purebpf-elf",
    "purebpf-handles",
    "purebpf-insn",
    "purebpf-loader",
    "purebpf-plan",
];

/// Compares the items with those that are kept, or keeps them.
pub(crate) fn run(keep: bool) -> anyhow::Result<()> {
    let kept = run::root().join("docs/api");
    let found = if keep {
        kept.clone()
    } else {
        run::cache("api")?
    };
    fs::create_dir_all(&found)?;
    for name in CRATES {
        let text = items(name).with_context(|| format!("the public items of {name}"))?;
        fs::write(found.join(format!("{name}.txt")), text)?;
    }
    if keep {
        return Ok(());
    }
    run::check(run::command("diff").args(["-ru"]).args([kept, found])).context(
        "public items are not those in docs/api; if they are meant, `cargo xtask api --keep` keeps them",
    )
}

/// One line for each item, sorted as its documentation has them.
fn items(name: &str) -> anyhow::Result<String> {
    let target = run::cache("api-docs")?;
    run::check(
        run::command("cargo")
            .args(["rustdoc", "--quiet", "--locked", "-p", name, "--lib"])
            .args(["--all-features", "--target-dir"])
            .arg(&target)
            .args([
                "--",
                "-Zunstable-options",
                "--output-format=json",
                "--cap-lints=allow",
            ])
            .env("RUSTC_BOOTSTRAP", "1"),
    )?;
    let json = target.join("doc").join(name.replace('-', "_"));
    read(&json.with_extension("json"))
}

fn read(json: &Path) -> anyhow::Result<String> {
    let api = Builder::from_rustdoc_json(json)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build()?;
    Ok(format!("{api}"))
}
