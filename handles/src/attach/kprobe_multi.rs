//! Many functions of the kernel at once.

use std::collections::HashSet;
use std::ffi::CString;
use std::fs::File;
use std::path::Path;

use purebpf_insn::AttachType;
use purebpf_syscall::{AttachPoint, LinkOptions};

use super::create::NewLink;
use super::{glob, kernel_symbols, section};
use crate::symbols::KALLSYMS;
use crate::tracefs::{self, FUNCTIONS, each_line, functions};
use crate::{Error, Link, Program};

/// Functions of the kernel by pattern, by names, or by addresses, in one link (5.18), for programs of
/// type kprobe that were loaded for it.
#[doc(alias = "bpf_program__attach_kprobe_multi_opts")]
#[derive(Clone, Debug)]
pub struct KprobeMulti {
    places: Places,
    cookies: Vec<u64>,
    retprobe: bool,
    session: bool,
    unique: bool,
}

#[derive(Clone, Debug)]
enum Places {
    Pattern(String),
    Symbols(Vec<String>),
    Addresses(Vec<u64>),
}

/// What the kernel can trace, with addresses (6.5).
const WITH_ADDRESSES: &str = "available_filter_functions_addrs";

impl KprobeMulti {
    const fn of(places: Places) -> Self {
        Self {
            places,
            cookies: Vec::new(),
            retprobe: false,
            session: false,
            unique: false,
        }
    }

    /// All functions that match and can be traced: `*` is any text, `?` any one character.
    #[must_use]
    pub fn pattern(pattern: impl Into<String>) -> Self {
        Self::of(Places::Pattern(pattern.into()))
    }

    /// These functions.
    #[must_use]
    pub fn symbols(symbols: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::of(Places::Symbols(
            symbols.into_iter().map(Into::into).collect(),
        ))
    }

    /// The functions at these addresses of the kernel.
    #[must_use]
    pub fn addresses(addresses: impl Into<Vec<u64>>) -> Self {
        Self::of(Places::Addresses(addresses.into()))
    }

    /// What `bpf_get_attach_cookie` returns in the program, for each function.
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

    /// Start and return of each, the program decides at the start whether it wants the return (6.10).
    #[must_use]
    pub const fn session(mut self, session: bool) -> Self {
        self.session = session;
        self
    }

    /// Only if the pattern matches a single function.
    #[must_use]
    pub const fn unique_match(mut self, unique: bool) -> Self {
        self.unique = unique;
        self
    }

    /// What `kprobe.multi/PATTERN` names, or with `kretprobe.multi` or `kprobe.session`; `None` for
    /// the prefix alone.
    ///
    /// # Errors
    /// [`Error::Section`].
    pub fn from_section(section: &str) -> Result<Option<Self>, Error> {
        let expected = "kprobe.multi/PATTERN";
        let prefixes = ["kprobe.multi", "kretprobe.multi", "kprobe.session"];
        let Some(target) = section::target(section, &prefixes, expected)? else {
            return Ok(None);
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "_.*?".contains(c);
        let (pattern, _) = section::take_while(target, plain);
        if pattern.is_empty() {
            return Err(Error::section(section, expected));
        }
        let prefix = section::prefix(section);
        let this = Self::pattern(pattern)
            .retprobe(prefix == "kretprobe.multi")
            .session(prefix == "kprobe.session");
        Ok(Some(this))
    }

    fn check(&self, program: &Program) -> Result<(), Error> {
        let broken = |what| Err(Error::invalid(program, what));
        if self.retprobe && self.session {
            return broken("a session has the returns anyway");
        }
        let count = match &self.places {
            Places::Pattern(_) if !self.cookies.is_empty() => {
                return broken("a pattern does not tell how many cookies it takes");
            }
            Places::Pattern(_) => return Ok(()),
            _ if self.unique => return broken("only a pattern can match more than one function"),
            Places::Symbols(symbols) => symbols.len(),
            Places::Addresses(addresses) => addresses.len(),
        };
        if count == 0 {
            return broken("there is no function to attach it to");
        }
        if !self.cookies.is_empty() && self.cookies.len() != count {
            return Err(Error::mismatch(
                program,
                "the cookies",
                self.cookies.len(),
                count,
            ));
        }
        Ok(())
    }

    /// Names and addresses, one of which is empty.
    fn resolve(&self, program: &Program) -> Result<(Vec<String>, Vec<u64>), Error> {
        match &self.places {
            Places::Symbols(symbols) => Ok((symbols.clone(), Vec::new())),
            Places::Addresses(addresses) => Ok((Vec::new(), addresses.clone())),
            Places::Pattern(name) if !glob::is_pattern(name) && !self.unique => {
                Ok((vec![name.clone()], Vec::new()))
            }
            Places::Pattern(pattern) => {
                let addresses = matching(tracefs::root(), Path::new(KALLSYMS), pattern)?;
                match addresses.len() {
                    0 => {
                        let place = tracefs::root().join(FUNCTIONS);
                        Err(Error::not_found("function like", pattern, place, []))
                    }
                    found if self.unique && found != 1 => Err(Error::mismatch(
                        program,
                        "the number of functions",
                        found,
                        1,
                    )),
                    _ => Ok((Vec::new(), addresses)),
                }
            }
        }
    }
}

/// The addresses of all functions that match a pattern and can be traced.
fn matching(tracefs: &Path, kallsyms: &Path, pattern: &str) -> Result<Vec<u64>, Error> {
    let mut addresses = Vec::new();
    let with_addresses = tracefs.join(WITH_ADDRESSES);
    if File::open(&with_addresses).is_ok() {
        each_line(&with_addresses, |line| {
            addresses.extend(listed_address(line, pattern));
        })?;
        return Ok(addresses);
    }
    let names = functions(tracefs, |name| glob::matches(pattern, name))?;
    each_line(kallsyms, |line| {
        addresses.extend(symbol_address(line, pattern, &names));
    })?;
    Ok(addresses)
}

/// The address in a line of `available_filter_functions_addrs` whose function matches.
pub fn listed_address(line: &str, pattern: &str) -> Option<u64> {
    let mut words = line.split_whitespace();
    let (address, name) = (words.next()?, words.next()?);
    let address = address.trim_start_matches("0x");
    glob::matches(pattern, name)
        .then(|| u64::from_str_radix(address, 16).ok())
        .flatten()
}

/// The address in a line of `/proc/kallsyms` whose function matches and is one of those.
pub fn symbol_address(line: &str, pattern: &str, names: &HashSet<String>) -> Option<u64> {
    let mut words = line.split_whitespace();
    let (address, _, name) = (words.next()?, words.next()?, words.next()?);
    // The compiler may have marked a function that ftrace lists by its plain name.
    let plain = name.split_once(".llvm.").map_or(name, |(plain, _)| plain);
    let is_known = || names.contains(name) || names.contains(plain);
    (glob::matches(pattern, name) && is_known())
        .then(|| u64::from_str_radix(address, 16).ok())
        .flatten()
}

impl super::Target for KprobeMulti {
    fn attach(&self, program: &Program) -> Result<Link, Error> {
        self.check(program)?;
        let (names, addresses) = self.resolve(program)?;
        let names: Result<Vec<CString>, _> = names.into_iter().map(CString::new).collect();
        let names = names
            .map_err(|_| Error::invalid(program, "a function's name has a zero byte inside"))?;
        let symbols: Vec<_> = names.iter().map(CString::as_c_str).collect();
        NewLink {
            target: AttachPoint::None,
            attach_type: match self.session {
                true => AttachType::TRACE_KPROBE_SESSION,
                false => AttachType::TRACE_KPROBE_MULTI,
            },
            flags: 0,
            options: LinkOptions::KprobeMulti {
                flags: u32::from(self.retprobe),
                symbols: &symbols,
                addresses: &addresses,
                cookies: &self.cookies,
            },
            since: match self.session {
                true => ((6, 10, 0), "kprobe session (6.10)"),
                false => ((5, 18, 0), "kprobe link of many functions (5.18)"),
            },
        }
        .create(program)
        .map_err(|error| {
            let names = symbols.iter().filter_map(|name| name.to_str().ok());
            kernel_symbols::explain(error, &names.collect::<Vec<_>>())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn section_names_the_pattern() {
        let read = |section| KprobeMulti::from_section(section).unwrap().unwrap();
        let multi = read("kretprobe.multi/tcp_*");
        assert!(matches!(&multi.places, Places::Pattern(pattern) if pattern == "tcp_*"));
        assert!(multi.retprobe && !multi.session);
        assert!(read("kprobe.session/f").session);
        assert!(KprobeMulti::from_section("kprobe.multi").unwrap().is_none());
        assert!(KprobeMulti::from_section("kprobe.multi/-").is_err());
    }

    #[test]
    fn pattern_takes_addresses_from_either_list() {
        let directory = std::env::temp_dir().join(format!("purebpf-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let kallsyms = directory.join("kallsyms");
        std::fs::write(directory.join(FUNCTIONS), "tcp_a\ntcp_b [mod]\nudp_a\n").unwrap();
        let symbols = "10 T tcp_a.llvm.7\n20 t tcp_b [mod]\n30 T tcp_c\n40 T udp_a\n";
        std::fs::write(&kallsyms, symbols).unwrap();
        let older = matching(&directory, &kallsyms, "tcp_*").unwrap();
        let list = "ffffffff00000010 tcp_a\nffffffff00000020 udp_a\n";
        std::fs::write(directory.join(WITH_ADDRESSES), list).unwrap();
        let newer = matching(&directory, &kallsyms, "tcp_*").unwrap();
        std::fs::remove_dir_all(&directory).unwrap();
        assert_eq!(
            (older, newer),
            (vec![0x10, 0x20], vec![0xffff_ffff_0000_0010])
        );
    }
}
