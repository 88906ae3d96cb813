//! The machines that things are built and run for: the host's, and those that are emulated.

use std::process::Command;

use crate::run;

/// A kind of machine.
#[derive(Debug)]
pub(crate) struct Arch {
    /// As the compiler and QEMU call it.
    pub(crate) name: &'static str,
    /// As Debian calls it.
    pub(crate) debian: &'static str,
    /// The macro by which headers know the layout of its registers.
    pub(crate) registers: &'static str,
    pub(crate) is_big_endian: bool,
    /// Its emulator of whole systems, the Debian package with that, and what it is told.
    pub(crate) system: (&'static str, &'static str, &'static [&'static str]),
    /// The device of its console.
    pub(crate) console: &'static str,
    /// Kernel version, Debian suite that has it, and the package; a meta package where possible,
    /// since old versions vanish.
    pub(crate) kernels: &'static [(&'static str, &'static str, &'static str)],
    /// Nothing for the host's.
    pub(crate) cross: Option<Cross>,
}

/// What it takes to compile for a machine that is not the host's.
#[derive(Debug)]
pub(crate) struct Cross {
    /// Debian packages with a linker and a C library.
    packages: &'static [&'static str],
}

/// Where rustup has no standard library of the machine, Debian's compiler builds one from its source.
const RUSTC: &str = "/usr/bin/rustc";

pub(crate) const HOST: &Arch = &Arch {
    name: "x86_64",
    debian: "amd64",
    registers: "x86",
    is_big_endian: false,
    system: (
        "qemu-system-x86_64",
        "qemu-system-x86",
        &["-machine", "pc", "-cpu", "max", "-serial", "stdio"],
    ),
    console: "ttyS0 tsc=reliable",
    kernels: &[
        ("5.10", "bullseye", "linux-image-cloud-amd64"),
        ("6.1", "bookworm", "linux-image-cloud-amd64"),
        ("6.12", "trixie", "linux-image-cloud-amd64"),
        (
            "6.18",
            "trixie-backports",
            "linux-image-6.18.15+deb13-cloud-amd64",
        ),
        ("7.2", "sid", "linux-image-cloud-amd64"),
    ],
    cross: None,
};

const AARCH64: &Arch = &Arch {
    name: "aarch64",
    debian: "arm64",
    registers: "arm64",
    is_big_endian: false,
    system: (
        "qemu-system-aarch64",
        "qemu-system-arm",
        &["-machine", "virt", "-cpu", "cortex-a72", "-serial", "stdio"],
    ),
    console: "ttyAMA0",
    kernels: &[
        ("6.1", "bookworm", "linux-image-cloud-arm64"),
        ("6.12", "trixie", "linux-image-cloud-arm64"),
        ("7.2", "sid", "linux-image-cloud-arm64"),
    ],
    cross: Some(Cross {
        packages: &["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"],
    }),
};

const S390X: &Arch = &Arch {
    name: "s390x",
    debian: "s390x",
    registers: "s390",
    is_big_endian: true,
    system: (
        "qemu-system-s390x",
        "qemu-system-misc",
        &[
            "-machine",
            "s390-ccw-virtio",
            "-cpu",
            "max",
            "-chardev",
            "stdio,id=console",
            "-device",
            "sclpconsole,chardev=console",
        ],
    ),
    console: "ttysclp0",
    kernels: &[
        ("6.1", "bookworm", "linux-image-s390x"),
        ("6.12", "trixie", "linux-image-s390x"),
        ("7.2", "sid", "linux-image-s390x"),
    ],
    cross: Some(Cross {
        packages: &["gcc-s390x-linux-gnu", "libc6-dev-s390x-cross"],
    }),
};

/// The machine of the objects for big-endian ones.
pub(crate) const BIG_ENDIAN: &Arch = S390X;

/// All of them, the host's first.
pub(crate) const ALL: [&Arch; 3] = [HOST, AARCH64, S390X];

/// The one of this name.
pub(crate) fn named(name: &str) -> anyhow::Result<&'static Arch> {
    let found = ALL.into_iter().find(|arch| arch.name == name);
    let names = ALL.map(|arch| arch.name).join(", ");
    anyhow::Context::with_context(found, || {
        format!("unknown machine {name}; there are {names}")
    })
}

impl Arch {
    /// The versions of its kernels that `wanted` stands for: itself, all, or the newest.
    pub(crate) fn versions(&self, wanted: &str) -> impl Iterator<Item = &'static str> {
        let rows = match wanted {
            "all" => self.kernels,
            "newest" => self.kernels.last().map_or(&[][..], std::slice::from_ref),
            _ => {
                let row = self.kernels.iter().find(|row| row.0 == wanted);
                row.map_or(&[][..], std::slice::from_ref)
            }
        };
        rows.iter().map(|row| row.0)
    }

    pub(crate) fn target(&self) -> String {
        format!("{}-unknown-linux-gnu", self.name)
    }

    /// A cargo that builds static programs for it, installed with all it needs; `subcommand` is its
    /// first argument. Artifacts go to `target/NAME`: the compiler may be another than the host's.
    pub(crate) fn cargo(&self, subcommand: &str) -> anyhow::Result<Command> {
        let target = self.target();
        let variable = target.to_uppercase().replace('-', "_");
        let mut command = run::command("cargo");
        command.args([subcommand, "--locked", "--target", &target]);
        let Some(cross) = &self.cross else {
            return Ok(command);
        };
        let linker = format!("{}-linux-gnu-gcc", self.name);
        let emulator = format!("qemu-{}-static", self.name);
        let packages = [cross.packages, &["qemu-user-static"]].concat();
        run::need(&[&linker, &emulator], &packages)?;
        if run::target(&target).is_err() {
            run::need(&[RUSTC], &["rustc-web", "rust-web-src"])?;
            command
                .arg("-Zbuild-std=std,panic_abort,test")
                .env("RUSTC", RUSTC)
                .env("RUSTC_BOOTSTRAP", "1");
        }
        command
            .args(["--target-dir", &format!("target/{}", self.name)])
            .env(format!("CARGO_TARGET_{variable}_LINKER"), linker)
            .env(format!("CARGO_TARGET_{variable}_RUNNER"), emulator)
            .env(
                format!("CARGO_TARGET_{variable}_RUSTFLAGS"),
                "-C target-feature=+crt-static",
            );
        Ok(command)
    }
}
