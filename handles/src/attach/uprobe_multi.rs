//! Many places of a binary at once.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;

use purebpf_insn::AttachType;
use purebpf_syscall::{AttachPoint, LinkOptions};

use super::binary::Binary;
use super::create::NewLink;
use super::{glob, section};
use crate::{Error, Link, Program};

/// Functions of a binary by pattern, by names, or by offsets, in one link (6.6), for programs of type
/// kprobe that were loaded for it.
#[doc(alias = "bpf_program__attach_uprobe_multi")]
#[derive(Clone, Debug)]
pub struct UprobeMulti {
    binary: String,
    places: Places,
    ref_ctr_offsets: Vec<u64>,
    cookies: Vec<u64>,
    retprobe: bool,
    session: bool,
    pid: Option<u32>,
}

#[derive(Clone, Debug)]
enum Places {
    Pattern(String),
    Symbols(Vec<String>),
    Offsets(Vec<u64>),
    #[cfg(feature = "dwarf")]
    Source(super::SourcePlace),
}

impl Places {
    /// How many there are is known by whoever lists them.
    const fn are_listed(&self) -> bool {
        matches!(self, Self::Symbols(_) | Self::Offsets(_))
    }
}

impl UprobeMulti {
    fn of(binary: impl Into<String>, places: Places) -> Self {
        Self {
            binary: binary.into(),
            places,
            ref_ctr_offsets: Vec::new(),
            cookies: Vec::new(),
            retprobe: false,
            session: false,
            pid: None,
        }
    }

    /// All functions of a binary that match: `*` is any text, `?` any one character. The binary is
    /// given as for [`super::Uprobe::new`].
    #[must_use]
    pub fn pattern(binary: impl Into<String>, pattern: impl Into<String>) -> Self {
        Self::of(binary, Places::Pattern(pattern.into()))
    }

    /// These functions, all of which have to be there.
    #[must_use]
    pub fn symbols(
        binary: impl Into<String>,
        symbols: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        Self::of(
            binary,
            Places::Symbols(symbols.into_iter().map(Into::into).collect()),
        )
    }

    /// These offsets in the binary, bytes.
    #[must_use]
    pub fn offsets(binary: impl Into<String>, offsets: impl Into<Vec<u64>>) -> Self {
        Self::of(binary, Places::Offsets(offsets.into()))
    }

    /// All places of the source, by debug information (feature `dwarf`): a line, or a function that
    /// was inlined, can be at several.
    #[cfg(feature = "dwarf")]
    #[must_use]
    pub fn source(binary: impl Into<String>, place: super::SourcePlace) -> Self {
        Self::of(binary, Places::Source(place))
    }

    /// Offset of a counter for each place, as for [`super::Uprobe::ref_ctr_offset`].
    #[must_use]
    pub fn ref_ctr_offsets(self, offsets: impl Into<Vec<u64>>) -> Self {
        Self {
            ref_ctr_offsets: offsets.into(),
            ..self
        }
    }

    /// What `bpf_get_attach_cookie` returns in the program, for each place.
    #[must_use]
    pub fn cookies(self, cookies: impl Into<Vec<u64>>) -> Self {
        Self {
            cookies: cookies.into(),
            ..self
        }
    }

    /// The returns from the functions.
    #[must_use]
    pub const fn retprobe(mut self, retprobe: bool) -> Self {
        self.retprobe = retprobe;
        self
    }

    /// Start and return of each, the program decides at the start whether it wants the return (6.13).
    #[must_use]
    pub const fn session(mut self, session: bool) -> Self {
        self.session = session;
        self
    }

    /// In this process only; 0 is this one.
    #[must_use]
    pub const fn pid(mut self, pid: u32) -> Self {
        self.pid = Some(pid);
        self
    }

    /// What `uprobe.multi/BINARY:PATTERN` names, or with `uretprobe.multi` or `uprobe.session`;
    /// `None` for the prefix alone.
    ///
    /// # Errors
    /// [`Error::Section`].
    pub fn from_section(section: &str) -> Result<Option<Self>, Error> {
        let expected = "uprobe.multi/BINARY:PATTERN";
        let prefixes = [
            "uprobe.multi",
            "uretprobe.multi",
            "uprobe.session",
            "uprobe.multi.s",
            "uretprobe.multi.s",
            "uprobe.session.s",
        ];
        let Some(target) = section::target(section, &prefixes, expected)? else {
            return Ok(None);
        };
        let parts = target.split_once(':');
        let parts = parts.filter(|(binary, pattern)| !binary.is_empty() && !pattern.is_empty());
        let (binary, pattern) = parts.ok_or_else(|| Error::section(section, expected))?;
        let prefix = section::prefix(section);
        let this = Self::pattern(binary, pattern)
            .retprobe(prefix.starts_with("uretprobe.multi"))
            .session(prefix.starts_with("uprobe.session"));
        Ok(Some(this))
    }

    fn resolve(&self, binary: &Binary) -> Result<Vec<u64>, Error> {
        match &self.places {
            Places::Pattern(pattern) => {
                binary.matching(pattern, |name| glob::matches(pattern, name))
            }
            Places::Symbols(symbols) => {
                let names: Vec<&str> = symbols.iter().map(String::as_str).collect();
                binary.symbols(&names)
            }
            Places::Offsets(offsets) => Ok(offsets
                .iter()
                .map(|offset| binary.start().saturating_add(*offset))
                .collect()),
            #[cfg(feature = "dwarf")]
            Places::Source(place) => binary.source(place),
        }
    }
}

impl super::Target for UprobeMulti {
    fn attach(&self, program: &Program) -> Result<Link, Error> {
        if self.retprobe && self.session {
            return Err(Error::invalid(program, "a session has the returns anyway"));
        }
        let lists = [&self.cookies, &self.ref_ctr_offsets];
        if !self.places.are_listed() && lists.iter().any(|list| !list.is_empty()) {
            return Err(Error::invalid(
                program,
                "a pattern or a place of the source does not tell how many cookies it takes",
            ));
        }
        let binary = Binary::find(&self.binary)?;
        let offsets = self.resolve(&binary)?;
        if offsets.is_empty() {
            return Err(Error::invalid(program, "there is no place to attach it to"));
        }
        for (part, list) in ["the cookies", "the counters' offsets"]
            .into_iter()
            .zip(lists)
        {
            if !list.is_empty() && list.len() != offsets.len() {
                let (found, expected) = (list.len(), offsets.len());
                return Err(Error::mismatch(program, part, found, expected));
            }
        }
        let path = CString::new(binary.path.as_os_str().as_bytes())
            .map_err(|_| Error::invalid(program, "the binary's path has a zero byte inside"))?;
        let pid = match self.pid {
            None => 0,
            Some(0) => std::process::id(),
            Some(pid) => pid,
        };
        NewLink {
            target: AttachPoint::None,
            attach_type: match self.session {
                true => AttachType::TRACE_UPROBE_SESSION,
                false => AttachType::TRACE_UPROBE_MULTI,
            },
            flags: 0,
            options: LinkOptions::UprobeMulti {
                path: &path,
                offsets: &offsets,
                ref_ctr_offsets: &self.ref_ctr_offsets,
                cookies: &self.cookies,
                flags: u32::from(self.retprobe),
                pid,
            },
            since: match self.session {
                true => ((6, 13, 0), "uprobe session (6.13)"),
                false => ((6, 6, 0), "uprobe link of many places (6.6)"),
            },
        }
        .create(program)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn section_names_binary_and_pattern() {
        let read = |section| UprobeMulti::from_section(section).unwrap().unwrap();
        let multi = read("uretprobe.multi.s/libc.so.6:mall*");
        assert_eq!(multi.binary, "libc.so.6");
        assert!(matches!(&multi.places, Places::Pattern(pattern) if pattern == "mall*"));
        assert!(multi.retprobe && !multi.session);
        assert!(read("uprobe.session//bin/sh:*").session);
        assert!(UprobeMulti::from_section("uprobe.multi").unwrap().is_none());
        assert!(UprobeMulti::from_section("uprobe.multi/x").is_err());
        assert!(UprobeMulti::from_section("uprobe/x:y").is_err());
    }
}
