//! Functions of the kernel.

use std::ffi::CString;

use super::perf::{Probe, ProbeMode};
use super::{kernel_symbols, section};
use crate::link::ProbeUnit;
use crate::{Error, Link, Program};

/// A function of the kernel, or its return, for programs of type kprobe (4.1; through perf events
/// alone 4.17).
#[doc(alias = "bpf_program__attach_kprobe_opts")]
#[derive(Clone, Debug)]
pub struct Kprobe {
    function: Option<String>,
    offset: u64,
    retprobe: bool,
    cookie: u64,
    mode: ProbeMode,
}

impl Kprobe {
    /// The start of this function.
    #[must_use]
    pub fn new(function: impl Into<String>) -> Self {
        Self {
            function: Some(function.into()),
            offset: 0,
            retprobe: false,
            cookie: 0,
            mode: ProbeMode::Auto,
        }
    }

    /// The instruction at this address of the kernel.
    #[must_use]
    pub const fn at_address(address: u64) -> Self {
        Self {
            function: None,
            offset: address,
            retprobe: false,
            cookie: 0,
            mode: ProbeMode::Auto,
        }
    }

    /// The function of the system call `name`, which goes by another name on each machine:
    /// `wrapped` if the kernel has wrappers for them (`__x64_sys_NAME`), or else `__se_sys_NAME`.
    #[doc(alias = "bpf_program__attach_ksyscall")]
    #[must_use]
    pub fn syscall(name: &str, wrapped: bool) -> Self {
        match SYSCALL_PREFIX {
            Some(machine) if wrapped => Self::new(format!("__{machine}_sys_{name}")),
            _ => Self::new(format!("__se_sys_{name}")),
        }
    }

    /// An instruction inside the function, in bytes from its start.
    #[must_use]
    pub const fn offset(mut self, offset: u64) -> Self {
        self.offset = offset;
        self
    }

    /// The return from the function.
    #[must_use]
    pub const fn retprobe(mut self, retprobe: bool) -> Self {
        self.retprobe = retprobe;
        self
    }

    /// What `bpf_get_attach_cookie` returns in the program (5.15).
    #[must_use]
    pub const fn cookie(mut self, cookie: u64) -> Self {
        self.cookie = cookie;
        self
    }

    /// How the probe is made.
    #[must_use]
    pub const fn mode(mut self, mode: ProbeMode) -> Self {
        self.mode = mode;
        self
    }

    /// What `kprobe/FUNCTION+OFFSET` or `kretprobe/FUNCTION` names; `None` for `kprobe` alone. As
    /// with libbpf, what comes after a complete name is ignored.
    ///
    /// # Errors
    /// [`Error::Section`].
    pub fn from_section(section: &str) -> Result<Option<Self>, Error> {
        let expected = "kprobe/FUNCTION[+OFFSET] or kretprobe/FUNCTION";
        let wrong = || Error::section(section, expected);
        let Some(target) = section::target(section, &["kprobe", "kretprobe"], expected)? else {
            return Ok(None);
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        let (function, rest) = section::take_while(target, plain);
        let offset = section::integer(rest).map_or(0, |(offset, _)| offset);
        let offset = u64::try_from(offset).map_err(|_| wrong())?;
        let retprobe = section::prefix(section) == "kretprobe";
        if function.is_empty() || (retprobe && offset != 0) {
            return Err(wrong());
        }
        Ok(Some(Self::new(function).offset(offset).retprobe(retprobe)))
    }

    /// What `ksyscall/NAME` or `kretsyscall/NAME` names; `None` for `ksyscall` alone. `wrapped` as
    /// for [`Self::syscall`].
    ///
    /// # Errors
    /// [`Error::Section`].
    pub fn from_syscall_section(section: &str, wrapped: bool) -> Result<Option<Self>, Error> {
        let prefixes = ["ksyscall", "kretsyscall"];
        let retprobe = section::prefix(section) == "kretsyscall";
        let target = section::target(section, &prefixes, "ksyscall/NAME or kretsyscall/NAME")?;
        Ok(target.map(|name| Self::syscall(name, wrapped).retprobe(retprobe)))
    }
}

/// The machine's part in the name of a system call's function, if it has one.
const SYSCALL_PREFIX: Option<&str> = if cfg!(target_arch = "x86_64") {
    Some("x64")
} else if cfg!(target_arch = "x86") {
    Some("ia32")
} else if cfg!(target_arch = "s390x") {
    Some("s390x")
} else if cfg!(target_arch = "arm") {
    Some("arm")
} else if cfg!(target_arch = "aarch64") {
    Some("arm64")
} else if cfg!(any(target_arch = "mips", target_arch = "mips64")) {
    Some("mips")
} else if cfg!(any(target_arch = "riscv32", target_arch = "riscv64")) {
    Some("riscv")
} else if cfg!(target_arch = "powerpc") {
    Some("powerpc")
} else if cfg!(target_arch = "powerpc64") {
    Some("powerpc64")
} else {
    None
};

impl super::Target for Kprobe {
    fn attach(&self, program: &Program) -> Result<Link, Error> {
        let function = self.function.as_deref().unwrap_or_default();
        let name = CString::new(function)
            .map_err(|_| Error::invalid(program, "the function's name has a zero byte inside"))?;
        Probe {
            unit: ProbeUnit::Kprobe,
            retprobe: self.retprobe,
            name: self.function.is_some().then_some(&*name),
            offset: self.offset,
            ref_ctr_offset: 0,
            pid: None,
            cookie: self.cookie,
            mode: self.mode,
            legacy: (
                &format!("{function}_{:#x}", self.offset),
                &format!("{function}+{:#x}", self.offset),
            ),
        }
        .attach(program)
        .map_err(|error| kernel_symbols::explain(error, self.function.as_deref().as_slice()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn section_names_function_and_offset() {
        let read = |section| Kprobe::from_section(section).unwrap().unwrap();
        let probe = read("kprobe/do_unlinkat.cold+0x10");
        assert_eq!(
            (probe.function.as_deref(), probe.offset),
            (Some("do_unlinkat.cold"), 16)
        );
        assert!(!probe.retprobe && read("kretprobe/f").retprobe);
        assert_eq!(read("kprobe/f@@junk").offset, 0);
        assert!(Kprobe::from_section("kprobe").unwrap().is_none());
        for section in [
            "kprobe/",
            "kprobe/+8",
            "kprobe/f-8",
            "kretprobe/f+8",
            "kprobe.multi/f",
        ] {
            assert!(Kprobe::from_section(section).is_err(), "{section}");
        }
    }

    #[test]
    fn system_call_function_has_the_machines_name() {
        let probe = Kprobe::from_syscall_section("kretsyscall/openat", false)
            .unwrap()
            .unwrap();
        assert_eq!(probe.function.as_deref(), Some("__se_sys_openat"));
        assert!(probe.retprobe);
        if cfg!(target_arch = "x86_64") {
            let probe = Kprobe::syscall("openat", true);
            assert_eq!(probe.function.as_deref(), Some("__x64_sys_openat"));
        }
    }
}
