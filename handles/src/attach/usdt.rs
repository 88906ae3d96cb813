//! Probes that programs of user space define statically (USDT).

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use purebpf_elf::usdt::{self, Machine, Note, Notes};
use purebpf_insn::AttachType;
use purebpf_syscall::probe::has_uprobe_syscall;

use super::perf::has_links;
use super::usdt_specs::Records;
use super::{Target, Uprobe, UprobeMulti, resolve_binary, section};
use crate::{Error, Link, Map, Program};

/// The maps that `usdt.bpf.h` defines, and as much of their names as the kernel keeps.
const SPECS: (&str, &str) = ("__bpf_usdt_specs", "__bpf_usdt_spec");
const ADDRESSES: (&str, &str) = ("__bpf_usdt_ip_to_spec_id", "__bpf_usdt_ip_t");
/// It is there if the kernel counts those who want a probe (4.20).
const COUNTER: &str = "/sys/bus/event_source/devices/uprobe/format/ref_ctr_offset";
/// What newer headers make of a probe on x86-64: one byte, and five that can become a system call.
const NOP_THEN_NOP5: [u8; 6] = [0x90, 0x0f, 0x1f, 0x44, 0, 0];

/// A static probe of a program or library, at all of its places, for programs that include
/// `usdt.bpf.h`.
///
/// The link is one of the kernel's where the program was loaded for many uprobes (6.6), or else holds
/// one for each place.
#[doc(alias = "bpf_program__attach_usdt")]
#[derive(Clone, Debug)]
pub struct Usdt {
    binary: String,
    provider: String,
    name: String,
    pid: Option<u32>,
    cookie: u64,
    specs: Option<Map>,
    addresses: Option<Map>,
}

impl Usdt {
    /// The probe `name` of `provider` in a binary, which is given as for [`Uprobe::new`], though not
    /// in an archive.
    #[must_use]
    pub fn new(
        binary: impl Into<String>,
        provider: impl Into<String>,
        name: impl Into<String>,
    ) -> Self {
        Self {
            binary: binary.into(),
            provider: provider.into(),
            name: name.into(),
            pid: None,
            cookie: 0,
            specs: None,
            addresses: None,
        }
    }

    /// In this process only; 0 is this one.
    #[must_use]
    pub const fn pid(mut self, pid: u32) -> Self {
        self.pid = Some(pid);
        self
    }

    /// What `bpf_usdt_cookie` returns in the program.
    #[must_use]
    pub const fn cookie(mut self, cookie: u64) -> Self {
        self.cookie = cookie;
        self
    }

    /// The maps of the program's object, `__bpf_usdt_specs` and `__bpf_usdt_ip_to_spec_id`. Without
    /// this, they are looked for among the maps that the program uses, which takes `CAP_SYS_ADMIN`.
    #[must_use]
    pub fn maps(self, specs: &Map, addresses: &Map) -> Self {
        Self {
            specs: Some(specs.clone()),
            addresses: Some(addresses.clone()),
            ..self
        }
    }

    /// What `usdt/BINARY:PROVIDER:NAME` names; `None` for the prefix alone.
    ///
    /// # Errors
    /// [`Error::Section`].
    pub fn from_section(section: &str) -> Result<Option<Self>, Error> {
        let expected = "usdt/BINARY:PROVIDER:NAME";
        let Some(target) = section::target(section, &["usdt", "usdt.s"], expected)? else {
            return Ok(None);
        };
        let mut parts = target.splitn(3, ':');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(binary), Some(provider), Some(name))
                if ![binary, provider, name].contains(&"") =>
            {
                Ok(Some(Self::new(binary, provider, name)))
            }
            _ => Err(Error::Section {
                section: section.into(),
                expected,
            }),
        }
    }

    /// The places of the probe, and the machine that its arguments are of.
    fn places(&self, path: &Path) -> Result<(Vec<Note>, Machine, bool), Error> {
        let bytes = std::fs::read(path).map_err(Error::file("read binary", path))?;
        let all = Notes::read(&bytes).map_err(|source| Error::Binary {
            path: path.to_owned(),
            source,
        })?;
        let is_wanted = |note: &&Note| note.provider == self.provider && note.name == self.name;
        let mut notes: Vec<Note> = all.notes.iter().filter(is_wanted).cloned().collect();
        if notes.is_empty() {
            let label = |provider: &str, name: &str| format!("{provider}:{name}");
            let name = label(&self.provider, &self.name);
            let known = all.notes.iter().map(|it| label(&it.provider, &it.name));
            let known: HashSet<String> = known.collect();
            return Err(Error::not_found("probe", &name, path, known));
        }
        let machine = all.machine.ok_or_else(|| {
            Error::unsupported(path.display(), "reader of this machine's probe arguments")
        })?;
        if machine == Machine::X86_64 && has_uprobe_syscall() {
            for note in &mut notes {
                let start = usize::try_from(note.offset).unwrap_or(usize::MAX);
                let there = bytes.get(start..).and_then(|rest| rest.first_chunk());
                // The later bytes can become a system call, which is quicker than a trap.
                if there == Some(&NOP_THEN_NOP5) {
                    note.offset = note.offset.saturating_add(1);
                    note.address = note.address.saturating_add(1);
                }
            }
        }
        Ok((notes, machine, all.is_movable))
    }
}

/// A map of the object that a program is from, by its names.
fn map_of(program: &Program, (name, kernel_name): (&str, &str)) -> Result<Map, Error> {
    for id in program.map_ids()? {
        let map = Map::from_id(id)?;
        if map.name() == kernel_name {
            return Ok(map.with_name(name));
        }
    }
    Err(Error::not_found("map", name, program.to_string(), []))
}

/// What has to be added to an offset in the file to have an address in a process.
fn moved_by(program: &Program, pid: Option<u32>, path: &Path, offset: u64) -> Result<u64, Error> {
    let pid = match pid {
        None => {
            return Err(Error::unsupported(
                program,
                "probe of a movable binary in any process (5.15)",
            ));
        }
        Some(0) => std::process::id(),
        Some(pid) => pid,
    };
    let maps = PathBuf::from(format!("/proc/{pid}/maps"));
    let text = std::fs::read_to_string(&maps).map_err(Error::file("read", &maps))?;
    let real = std::fs::canonicalize(path).map_err(Error::file("find", path))?;
    // A path below the process's own root is the same file.
    let root = format!("/proc/{pid}/root");
    let real = real
        .strip_prefix(&root)
        .map_or(real.clone(), |inside| Path::new("/").join(inside));
    moved_in(&text, &real, offset)
        .ok_or_else(|| Error::not_found("binary", &real.display().to_string(), maps, []))
}

/// The same, by the text of `/proc/PID/maps`: `None` if the file's code is not mapped at the offset.
pub fn moved_in(maps: &str, file: &Path, offset: u64) -> Option<u64> {
    maps.lines().find_map(|line| {
        let area = Area::parse(line)?;
        let is_here = area.is_code && Path::new(area.path) == file && area.has(offset);
        is_here.then(|| area.start.wrapping_sub(area.offset))
    })
}

/// A line of `/proc/PID/maps`.
struct Area<'a> {
    start: u64,
    end: u64,
    offset: u64,
    is_code: bool,
    path: &'a str,
}

impl<'a> Area<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut words = line.splitn(6, ' ');
        let (start, end) = words.next()?.split_once('-')?;
        let flags = words.next()?;
        let number = |text| u64::from_str_radix(text, 16).ok();
        let offset = number(words.next()?)?;
        Some(Self {
            start: number(start)?,
            end: number(end)?,
            offset,
            is_code: flags.contains('x'),
            path: words.nth(2)?.trim_start(),
        })
    }

    fn has(&self, offset: u64) -> bool {
        let len = self.end.saturating_sub(self.start);
        offset.checked_sub(self.offset).is_some_and(|at| at < len)
    }
}

impl Target for Usdt {
    fn attach(&self, program: &Program) -> Result<Link, Error> {
        let path = resolve_binary(&self.binary)?;
        let (notes, machine, is_movable) = self.places(&path)?;
        if notes.iter().any(|note| note.semaphore.is_some()) && !Path::new(COUNTER).exists() {
            return Err(Error::unsupported(program, "probe with a semaphore (4.20)"));
        }
        let specs = match &self.specs {
            Some(specs) => specs.clone(),
            None => map_of(program, SPECS)?,
        };
        let mut records = Records::new(&specs)?;
        // Places whose arguments are in the same registers share a record.
        let mut known: HashMap<&str, u32> = HashMap::new();
        let mut numbers = Vec::with_capacity(notes.len());
        for note in &notes {
            let number = match known.get(note.arguments.as_str()) {
                Some(number) => *number,
                None => {
                    let arguments = usdt::arguments(machine, &note.arguments);
                    let arguments = arguments.map_err(|source| Error::Probe {
                        probe: format!("{}:{}", note.provider, note.name).into(),
                        source: Box::new(source),
                    })?;
                    *known
                        .entry(&note.arguments)
                        .insert_entry(records.add(&arguments, self.cookie)?)
                        .get()
                }
            };
            numbers.push(number);
        }
        let binary = path.to_string_lossy();
        if program.expected_attach_type() == Some(AttachType::TRACE_UPROBE_MULTI) {
            let offsets: Vec<u64> = notes.iter().map(|note| note.offset).collect();
            let counters: Vec<u64> = notes.iter().map(|n| n.semaphore.unwrap_or(0)).collect();
            let cookies: Vec<u64> = numbers.iter().map(|number| (*number).into()).collect();
            let mut target = UprobeMulti::offsets(binary, offsets)
                .ref_ctr_offsets(counters)
                .cookies(cookies);
            if let Some(pid) = self.pid {
                target = target.pid(pid);
            }
            return Ok(target.attach(program)?.holding(Vec::new(), records));
        }
        // Cookies came with links on perf events.
        let addresses = match (has_links(program), &self.addresses) {
            (true, _) => None,
            (false, Some(map)) => Some(map.clone()),
            (false, None) => Some(map_of(program, ADDRESSES)?),
        };
        let mut links = Vec::with_capacity(notes.len());
        for (note, number) in notes.iter().zip(numbers) {
            let mut target = Uprobe::new(binary.clone())
                .offset(note.offset)
                .ref_ctr_offset(note.semaphore.unwrap_or(0));
            if let Some(pid) = self.pid {
                target = target.pid(pid);
            }
            match &addresses {
                None => target = target.cookie(number.into()),
                Some(map) => {
                    let address = match is_movable {
                        false => note.address,
                        true => {
                            let by = moved_by(program, self.pid, &path, note.offset)?;
                            note.offset.wrapping_add(by)
                        }
                    };
                    records.at(map, address, number)?;
                }
            }
            links.push(target.attach(program)?);
        }
        let mut links = links.into_iter();
        let first = links.next();
        let first = first.ok_or_else(|| Error::invalid(program, "its probe has no place"))?;
        Ok(first.holding(links.collect(), records))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_name_binary_provider_and_probe() {
        let probe = Usdt::from_section("usdt.s/libc.so.6:libc:setjmp");
        let probe = probe.unwrap().unwrap();
        assert_eq!(probe.binary, "libc.so.6");
        assert_eq!((&*probe.provider, &*probe.name), ("libc", "setjmp"));
        assert!(Usdt::from_section("usdt").unwrap().is_none());
        for section in ["usdt/", "usdt/x", "usdt/x:y", "usdt/x::z", "usdt/:y:z"] {
            assert!(Usdt::from_section(section).is_err(), "{section}");
        }
    }

    #[test]
    fn lines_of_maps_are_read() {
        let line = "7f00-8f00 r-xp 00001000 08:01 1234                       /usr/lib/a b.so";
        let area = Area::parse(line).unwrap();
        assert_eq!(area.path, "/usr/lib/a b.so");
        assert!(area.is_code && area.has(0x1000) && area.has(0x1fff));
        assert!(!area.has(0xfff) && !area.has(0x2000));
        assert!(Area::parse("7f00-8f00 r-xp 00001000 08:01").is_none());
        assert!(Area::parse("").is_none());
    }
}
