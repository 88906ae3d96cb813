//! Functions of user space.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;

use super::binary::{Binary, label};
use super::perf::{Probe, ProbeMode};
use super::section;
use crate::link::ProbeUnit;
use crate::{Error, Link, Program};

/// An instruction of a binary, or the return of a function, for programs of type kprobe (4.1;
/// through perf events alone 4.17). It is hit in every process that runs the file.
#[doc(alias = "bpf_program__attach_uprobe_opts")]
#[derive(Clone, Debug)]
pub struct Uprobe {
    binary: String,
    symbol: Option<String>,
    #[cfg(feature = "dwarf")]
    source: Option<super::SourcePlace>,
    offset: u64,
    pid: Option<u32>,
    retprobe: bool,
    ref_ctr_offset: u64,
    cookie: u64,
    mode: ProbeMode,
}

impl Uprobe {
    /// A binary: a path, a name to look for as [`super::resolve_binary`] does, or a library in a ZIP
    /// archive as `ARCHIVE!/MEMBER`.
    #[must_use]
    pub fn new(binary: impl Into<String>) -> Self {
        Self {
            binary: binary.into(),
            symbol: None,
            #[cfg(feature = "dwarf")]
            source: None,
            offset: 0,
            pid: None,
            retprobe: false,
            ref_ctr_offset: 0,
            cookie: 0,
            mode: ProbeMode::Auto,
        }
    }

    /// The function of this name; `name@VERSION` or `name@@VERSION` is the one of that version. What
    /// the binary does not name is looked for in its debug file, which is found by build id below
    /// `/usr/lib/debug`, or by the name that the binary says (`.gnu_debuglink`).
    #[must_use]
    pub fn symbol(self, symbol: impl Into<String>) -> Self {
        Self {
            symbol: Some(symbol.into()),
            ..self
        }
    }

    /// The only place of the source that is so, by debug information (feature `dwarf`); of several,
    /// attaching fails, and [`super::UprobeMulti::source`] takes all.
    #[cfg(feature = "dwarf")]
    #[must_use]
    pub fn source(self, place: super::SourcePlace) -> Self {
        Self {
            source: Some(place),
            ..self
        }
    }

    /// Offset in bytes: from the symbol if there is one, or else from the start of the file.
    #[must_use]
    pub const fn offset(mut self, offset: u64) -> Self {
        self.offset = offset;
        self
    }

    /// In this process only; 0 is this one.
    #[must_use]
    pub const fn pid(mut self, pid: u32) -> Self {
        self.pid = Some(pid);
        self
    }

    /// The return from the function.
    #[must_use]
    pub const fn retprobe(mut self, retprobe: bool) -> Self {
        self.retprobe = retprobe;
        self
    }

    /// Offset in the file, in bytes, of a counter that is not zero while the probe is there (4.20).
    #[must_use]
    pub const fn ref_ctr_offset(mut self, offset: u64) -> Self {
        self.ref_ctr_offset = offset;
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

    /// What `uprobe/BINARY:FUNCTION+OFFSET` or `uretprobe/BINARY:FUNCTION` names; `None` for `uprobe`
    /// alone.
    ///
    /// # Errors
    /// [`Error::Section`].
    pub fn from_section(section: &str) -> Result<Option<Self>, Error> {
        let expected = "uprobe/BINARY:FUNCTION[+OFFSET] or uretprobe/BINARY:FUNCTION";
        let wrong = || Error::section(section, expected);
        let prefixes = ["uprobe", "uprobe.s", "uretprobe", "uretprobe.s"];
        let Some(target) = section::target(section, &prefixes, expected)? else {
            return Ok(None);
        };
        let (binary, function) = target.split_once(':').ok_or_else(wrong)?;
        let (function, offset) = split_offset(function);
        let offset = u64::try_from(offset).map_err(|_| wrong())?;
        let retprobe = section::prefix(section).starts_with("uretprobe");
        if binary.is_empty() || function.is_empty() || (retprobe && offset != 0) {
            return Err(wrong());
        }
        Ok(Some(
            Self::new(binary)
                .symbol(function)
                .offset(offset)
                .retprobe(retprobe),
        ))
    }
}

impl Uprobe {
    /// What the offset is from.
    fn start(&self, binary: &Binary) -> Result<u64, Error> {
        #[cfg(feature = "dwarf")]
        if let Some(place) = &self.source {
            let of = binary.path.display();
            return match (binary.source(place)?.as_slice(), &self.symbol) {
                ([only], None) => Ok(*only),
                (_, Some(_)) => Err(Error::invalid(of, "the place is given in two ways")),
                (all, None) => Err(Error::mismatch(of, "the number of places", all.len(), 1)),
            };
        }
        match &self.symbol {
            Some(symbol) => binary.symbol(symbol),
            None => Ok(binary.start()),
        }
    }
}

/// Cuts `+OFFSET` off, if that is what comes after the last `+`: names in C++ may have one too.
fn split_offset(function: &str) -> (&str, i64) {
    function
        .rsplit_once('+')
        .and_then(|(name, offset)| match section::integer(offset) {
            Some((offset, "")) => Some((name, offset)),
            _ => None,
        })
        .unwrap_or((function, 0))
}

impl super::Target for Uprobe {
    fn attach(&self, program: &Program) -> Result<Link, Error> {
        let binary = Binary::find(&self.binary)?;
        let start = self.start(&binary)?;
        let offset = start
            .checked_add(self.offset)
            .ok_or_else(|| Error::invalid(program, "the offset of its probe is too large"))?;
        let path = CString::new(binary.path.as_os_str().as_bytes())
            .map_err(|_| Error::invalid(program, "the binary's path has a zero byte inside"))?;
        Probe {
            unit: ProbeUnit::Uprobe,
            retprobe: self.retprobe,
            name: Some(&path),
            offset,
            ref_ctr_offset: self.ref_ctr_offset,
            pid: self.pid,
            cookie: self.cookie,
            mode: self.mode,
            legacy: (
                &format!("{}_{offset:#x}", label(&binary.path)),
                &format!("{}:{offset:#x}", binary.path.display()),
            ),
        }
        .attach(program)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn section_names_binary_function_and_offset() {
        let read = |section| Uprobe::from_section(section).unwrap().unwrap();
        let probe = read("uprobe//bin/sh:main+0x8");
        assert_eq!(probe.binary, "/bin/sh");
        assert_eq!((probe.symbol.as_deref(), probe.offset), (Some("main"), 8));
        let probe = read("uretprobe.s/libc.so.6:malloc@@GLIBC_2.2.5");
        assert_eq!(probe.symbol.as_deref(), Some("malloc@@GLIBC_2.2.5"));
        assert!(probe.retprobe);
        let probe = read("uprobe/x:operator+");
        assert_eq!(
            (probe.symbol.as_deref(), probe.offset),
            (Some("operator+"), 0)
        );
        assert!(Uprobe::from_section("uprobe").unwrap().is_none());
        for section in [
            "uprobe/x",
            "uprobe/x:",
            "uprobe/:f",
            "uretprobe/x:f+1",
            "uprobe/x:f+-1",
        ] {
            assert!(Uprobe::from_section(section).is_err(), "{section}");
        }
    }
}
