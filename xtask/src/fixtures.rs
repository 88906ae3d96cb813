//! The BPF objects that tests and the program carry: compiled by hand, committed, and checked
//! against a manifest, so that neither `cargo test` nor `cargo build` needs a BPF compiler.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use sha2::{Digest as _, Sha256};

use crate::arch::{self, Arch};
use crate::run;

/// Where the tests have theirs.
pub(crate) const FOLDER: &str = "tests/bpf";
const FOLDERS: [&str; 2] = [FOLDER, "cli/bpf"];
const MANIFEST: &str = "tests/bpf/MANIFEST";

/// Sources that only a newer compiler understands, and what it is told.
const NEWER: [(&str, &[&str]); 1] = [(
    "jumps.bpf.c",
    &["-mcpu=v4", "-mllvm", "--bpf-min-jump-table-entries=3"],
)];

/// Sources that are compiled for big-endian machines as well; their objects end with `.bpfeb.o`.
const BIG_ENDIAN: [&str; 10] = [
    "arg_ctx",
    "bits",
    "core",
    "externs",
    "globals",
    "jumps",
    "maps",
    "minimal",
    "processes",
    "subprograms",
];

/// A program of the host, and where its debug information goes.
const HOST: &str = "tests/host";

fn files(endings: &[&str]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for folder in FOLDERS {
        for entry in fs::read_dir(run::root().join(folder))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if endings.iter().any(|ending| name.ends_with(ending)) {
                files.push(Path::new(folder).join(name));
            }
        }
    }
    files.sort();
    Ok(files)
}

fn manifest() -> anyhow::Result<String> {
    let mut text = String::new();
    let mut all = files(&[".bpf.c", ".bpf.o", ".bpfeb.o", ".btf", ".h"])?;
    all.extend(["probed.c", "probed", "probed.debug"].map(|name| Path::new(HOST).join(name)));
    for file in all {
        let bytes = fs::read(run::root().join(&file))?;
        let hash = Sha256::digest(&bytes);
        let hex = hash.iter().fold(String::new(), |mut hex, byte| {
            let _infallible = write!(hex, "{byte:02x}");
            hex
        });
        writeln!(text, "{hex}  {}", file.display())?;
    }
    Ok(text)
}

fn need_compilers() -> anyhow::Result<()> {
    run::need(
        &[
            "clang-19",
            "clang-22",
            "ld",
            "llvm-strip-19",
            "/usr/include/bpf/bpf_helpers.h",
        ],
        &[
            "clang-19",
            "clang-22",
            "binutils",
            "llvm-19",
            "libbpf-dev",
            "linux-libc-dev",
        ],
    )
}

/// Compiles every fixture, with clang 19 where that will do, and writes the manifest.
pub(crate) fn build() -> anyhow::Result<()> {
    need_compilers()?;
    for source in files(&[".bpf.c"])? {
        compile(&source, arch::HOST, &source.with_extension("o"))?;
        let name = source.file_name().unwrap_or_default().to_string_lossy();
        let stem = name.trim_end_matches(".bpf.c");
        if BIG_ENDIAN.contains(&stem) {
            let object = source.with_file_name(format!("{stem}.bpfeb.o"));
            compile(&source, arch::BIG_ENDIAN, &object)?;
        }
    }
    build_host()?;
    fs::write(run::root().join(MANIFEST), manifest()?).context("writing the manifest")
}

/// The folder of the tests' objects for a machine: the committed ones, or else some that are
/// compiled now.
pub(crate) fn of(arch: &Arch) -> anyhow::Result<PathBuf> {
    if arch.cross.is_none() {
        return Ok(run::root().join(FOLDER));
    }
    need_compilers()?;
    let folder = run::cache("fixtures")?.join(arch.name);
    fs::create_dir_all(&folder)?;
    // What is for a machine by its name is the same for all.
    for file in files(&[".bpfeb.o", ".btf"])? {
        let name = file.file_name().unwrap_or_default();
        fs::copy(run::root().join(&file), folder.join(name))?;
    }
    for source in files(&[".bpf.c"])? {
        let name = source.with_extension("o");
        let name = name.file_name().unwrap_or_default();
        compile(&source, arch, &folder.join(name))?;
    }
    Ok(folder)
}

/// Compiles a source for a machine: its byte order, and the layout of its registers.
fn compile(source: &Path, arch: &Arch, object: &Path) -> anyhow::Result<()> {
    let folder = run::root().join(source.parent().unwrap_or(Path::new("")));
    let name = source.file_name().unwrap_or_default();
    let object = run::root().join(object);
    let newer = NEWER.iter().find(|(newer, _)| name == *newer);
    let (compiler, target) = match newer {
        Some((_, arguments)) => ("clang-22", *arguments),
        None => ("clang-19", &["-mcpu=v3"][..]),
    };
    let order = match arch.is_big_endian {
        true => "-mbig-endian",
        false => "-mlittle-endian",
    };
    run::check(
        run::command(compiler)
            .current_dir(&folder)
            .args(["-g", "-O2", "--target=bpf", order])
            .arg(format!("-D__TARGET_ARCH_{}", arch.registers))
            .args(target)
            .args(["-Wall", "-Werror", "-I/usr/include/x86_64-linux-gnu"])
            // Nothing of this machine may be in the object.
            .args(["-fdebug-compilation-dir=.", "-c"])
            .arg(name)
            .arg("-o")
            .arg(&object),
    )?;
    run::check(run::command("llvm-strip-19").arg("-g").arg(&object))
}

/// Compiles the program that probes are set on, and takes its symbols and debug information away
/// into a file beside it.
fn build_host() -> anyhow::Result<()> {
    let run = |program: &str, arguments: &[&str]| {
        let folder = run::root().join(HOST);
        run::check(run::command(program).current_dir(folder).args(arguments))
    };
    let compile = "-g -O2 --target=x86_64-linux-gnu -static -nostdlib -ffreestanding \
        -Wl,--build-id=sha1 -fdebug-compilation-dir=. -Wall -Werror probed.c -o probed";
    run("clang-19", &compile.split_whitespace().collect::<Vec<_>>())?;
    run(
        "llvm-objcopy-19",
        &["--only-keep-debug", "probed", "probed.debug"],
    )?;
    let strip = ["--strip-all", "--add-gnu-debuglink=probed.debug", "probed"];
    run("llvm-objcopy-19", &strip)
}

/// Checks that sources and objects are those that were compiled together.
pub(crate) fn check() -> anyhow::Result<()> {
    let known = fs::read_to_string(run::root().join(MANIFEST)).context("reading the manifest")?;
    let found = manifest()?;
    let changed: Vec<&str> = found
        .lines()
        .filter(|line| !known.lines().any(|old| old == *line))
        .chain(
            known
                .lines()
                .filter(|old| !found.lines().any(|line| line == *old)),
        )
        .filter_map(|line| line.split_whitespace().nth(1))
        .collect();
    if !changed.is_empty() {
        bail!(
            "changed since `cargo xtask fixtures`: {}",
            changed.join(", ")
        );
    }
    Ok(())
}
