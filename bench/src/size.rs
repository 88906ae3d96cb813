//! How large a program is that loads an object and attaches it, and does nothing else.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

/// The programs are members of this workspace, in `size/`.
pub const LOADERS: [&str; 5] = ["nobody", "libbpf-rs", "aya", "purebpf", "purebpf-light"];

/// What a program is linked with.
#[derive(Clone, Copy)]
pub enum Build {
    /// Shared libraries, of glibc.
    Dynamic,
    /// Nothing but itself, glibc in it.
    Glibc,
    /// The same, with musl.
    Musl,
}

impl Build {
    pub const ALL: [(Self, &str); 3] = [
        (Self::Dynamic, "dynamic"),
        (Self::Glibc, "static, glibc"),
        (Self::Musl, "static, musl"),
    ];

    /// The target is named for what is static, so that flags are not for build scripts as well.
    const fn target(self) -> Option<&'static str> {
        match self {
            Self::Dynamic => None,
            Self::Glibc => Some("x86_64-unknown-linux-gnu"),
            Self::Musl => Some("x86_64-unknown-linux-musl"),
        }
    }
}

/// Prints how large each program is, built in each way.
pub fn run() -> anyhow::Result<()> {
    print!("{:<13}", "bytes");
    for (_, name) in Build::ALL {
        print!("  {name:>13}");
    }
    println!();
    for loader in LOADERS {
        print!("{loader:<13}");
        for (build, _) in Build::ALL {
            print!("  {:>13}", bytes(&program(loader, build)?)?);
        }
        println!();
    }
    Ok(())
}

pub fn bytes(program: &Path) -> anyhow::Result<u64> {
    let data = std::fs::metadata(program).with_context(|| program.display().to_string())?;
    Ok(data.len())
}

/// Builds the program of a loader.
pub fn program(loader: &str, build: Build) -> anyhow::Result<PathBuf> {
    let package = format!("size-{loader}");
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--quiet", "--profile", "size", "-p", &package]);
    match build {
        Build::Glibc => {
            cargo.env("RUSTFLAGS", "-C target-feature=+crt-static");
        }
        // The others have no C.
        Build::Musl if loader == "libbpf-rs" => {
            cargo.envs(c_for_musl()).args(["--features", "vendored"]);
        }
        Build::Dynamic | Build::Musl => {}
    }
    let folder = compile(&mut cargo, build)?;
    Ok(folder.join("size").join(package))
}

/// Runs cargo here, and returns the folder with the folders of its profiles.
pub fn compile(cargo: &mut Command, build: Build) -> anyhow::Result<PathBuf> {
    let bench = Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let mut folder = target.unwrap_or_else(|| bench.join("target"));
    cargo.current_dir(bench).arg("--target-dir").arg(&folder);
    if let Some(target) = build.target() {
        cargo.args(["--target", target]);
        folder.push(target);
    }
    let status = cargo.status().context("starting cargo")?;
    ensure!(status.success(), "{cargo:?} ended with {status}");
    Ok(folder)
}

/// What it takes to compile libbpf, and libelf from its source, with a musl that has the kernel's headers
/// from glibc's folders, and none of the libraries of which libelf's `configure` asks for its tools.
fn c_for_musl() -> [(&'static str, String); 5] {
    let headers = Path::new(env!("CARGO_MANIFEST_DIR")).join("musl");
    let flags = format!(
        "-I{} -idirafter /usr/include -idirafter /usr/include/x86_64-linux-gnu",
        headers.display()
    );
    let there = || "none required".to_owned();
    [
        ("CC_x86_64_unknown_linux_musl", "musl-gcc".to_owned()),
        ("CFLAGS_x86_64_unknown_linux_musl", flags),
        ("ac_cv_search_argp_parse", there()),
        ("ac_cv_search_fts_close", there()),
        ("ac_cv_search__obstack_free", there()),
    ]
}
