//! The kernel that this process runs on, as a [`TargetKernel`]: each fact read once.

use std::io::{ErrorKind, Read as _};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use flate2::read::GzDecoder;
use purebpf_btf::{Btf, BtfData};
use purebpf_elf::find_section;
use purebpf_handles::{BtfId, BtfObject, Token};
use purebpf_insn::Endian;
use purebpf_plan::{Error, Feature, ModuleBtf, TargetKernel};
use purebpf_syscall::{host, map_kernel_file};

use crate::answers::Answers;
use crate::probe;

const BTF: &str = "/sys/kernel/btf/vmlinux";
const KALLSYMS: &str = "/proc/kallsyms";

/// Where a kernel image with BTF may be, if the kernel itself does not hand it out; `%` stands for
/// the release.
const IMAGES: &[&str] = &[
    "/boot/vmlinux-%",
    "/lib/modules/%/vmlinux-%",
    "/lib/modules/%/build/vmlinux",
    "/usr/lib/modules/%/kernel/vmlinux",
    "/usr/lib/debug/boot/vmlinux-%",
    "/usr/lib/debug/boot/vmlinux-%.debug",
    "/usr/lib/debug/lib/modules/%/vmlinux",
];

/// What is known of the running kernel; shared by all who hold one.
///
/// Nothing is read before it is asked for. The facts are kept for as long as any clone lives, in
/// this process or in a load that goes on; hold one to have loads share the kernel's BTF.
#[derive(Clone, Debug)]
pub struct RunningKernel(Arc<Facts>);

#[derive(Debug, Default)]
struct Facts {
    is_unprivileged: bool,
    token: Option<Token>,
    version: OnceLock<u32>,
    btf: OnceLock<Result<Arc<Btf>, Error>>,
    modules: OnceLock<Result<Modules, Error>>,
    config: OnceLock<Result<Arc<str>, Error>>,
    features: [OnceLock<bool>; Feature::ALL.len()],
    answers: Answers,
}

/// The modules' BTF, and the handles that `bpf(2)` knows them by, in the same order.
#[derive(Clone, Debug)]
struct Modules {
    types: Arc<[ModuleBtf]>,
    objects: Arc<[BtfObject]>,
}

static CURRENT: Mutex<Weak<Facts>> = Mutex::new(Weak::new());

impl RunningKernel {
    /// The running kernel; the same facts as those of any other value that is alive.
    #[must_use]
    pub fn get() -> Self {
        let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(facts) = current.upgrade() {
            return Self(facts);
        }
        let facts = Arc::new(Facts::default());
        *current = Arc::downgrade(&facts);
        Self(facts)
    }

    /// The running kernel as its files and its version tell of it, without any `bpf(2)`: enough
    /// for plans, for which no privilege is needed. A feature that a distribution carried back to
    /// an older version is taken to be missing.
    #[must_use]
    pub fn unprivileged() -> Self {
        Self(Arc::new(Facts {
            is_unprivileged: true,
            ..Facts::default()
        }))
    }

    /// The running kernel as it is for whoever holds this token: its features are probed anew,
    /// with the rights that the token gives. Everything else is read anew as well.
    #[must_use]
    pub fn with_token(token: &Token) -> Self {
        Self(Arc::new(Facts {
            token: Some(token.clone()),
            ..Facts::default()
        }))
    }

    /// What was asked of it before.
    pub(crate) fn answers(&self) -> &Answers {
        &self.0.answers
    }

    /// The token that its features are probed with.
    pub(crate) fn token(&self) -> Option<&Token> {
        self.0.token.as_ref()
    }

    /// The handle of a module's BTF.
    pub(crate) fn module(&self, name: &str) -> Result<BtfObject, Error> {
        let modules = self.read_modules()?;
        let index = modules
            .types
            .iter()
            .position(|module| *module.name == *name);
        let object = index.and_then(|index| modules.objects.get(index));
        object.cloned().ok_or_else(|| Error::Kernel {
            what: format!("the BTF of its module `{name}`"),
            source: None,
        })
    }

    fn read_modules(&self) -> Result<Modules, Error> {
        let none = || Modules {
            types: Arc::new([]),
            objects: Arc::new([]),
        };
        let read = || match () {
            () if self.0.is_unprivileged => Ok(Modules {
                types: module_files(&self.btf()?)?,
                ..none()
            }),
            () if self.has(Feature::ModuleBtf) => loaded_modules(&self.btf()?),
            () => Ok(none()),
        };
        self.0.modules.get_or_init(read).clone()
    }
}

/// The BTF of the modules, from `/sys/kernel/btf`.
fn module_files(base: &Arc<Btf>) -> Result<Arc<[ModuleBtf]>, Error> {
    let mut modules = Vec::new();
    let folder = Path::new(BTF).parent().unwrap_or(Path::new("/"));
    for entry in std::fs::read_dir(folder).map_err(|e| failed("its modules", e))? {
        let path = entry.map_err(|e| failed("its modules", e))?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name == "vmlinux" {
            continue;
        }
        let bytes = std::fs::read(&path)
            .map_err(|e| failed(&format!("the BTF of its module `{name}`"), e))?;
        modules.extend(module(name, bytes, base));
    }
    modules.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(modules.into())
}

/// A module, if there is anything sound in its BTF: what does not need it must not fail for it.
fn module(name: String, bytes: Vec<u8>, base: &Arc<Btf>) -> Option<ModuleBtf> {
    let lenient = match Btf::parse_lenient(bytes, Some(Arc::clone(base))) {
        Ok(lenient) => lenient,
        Err(error) => {
            log::warn!("the BTF of module `{name}` is passed over: {error}");
            return None;
        }
    };
    for fault in &lenient.faults {
        log::warn!("the BTF of module `{name}` is damaged: {fault}");
    }
    Some(ModuleBtf {
        name: name.into(),
        btf: Arc::new(lenient.btf),
    })
}

fn failed(what: &str, source: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Kernel {
        what: what.to_owned(),
        source: Some(Arc::new(source)),
    }
}

fn read_btf() -> Result<Arc<Btf>, Error> {
    let path = Path::new(BTF);
    match map_kernel_file(path) {
        Ok(file) => {
            let btf = Btf::parse(BtfData::new(file)).map_err(|e| failed("the BTF", e))?;
            return Ok(Arc::new(btf));
        }
        // Any other error says nothing of whether it is there.
        Err(error) if error.errno() == purebpf_syscall::Errno::ENOENT => {}
        Err(error) => return Err(failed(&format!("the BTF in {BTF}"), error)),
    }
    let release = host::release_name().map_err(|e| failed("the release", e))?;
    for pattern in IMAGES {
        let Ok(bytes) = std::fs::read(pattern.replace('%', &release)) else {
            continue;
        };
        let failed = |e| failed("the BTF of its image", e);
        let Some(btf) = find_section(&bytes, ".BTF").map_err(failed)? else {
            continue;
        };
        let btf = Btf::parse(btf).map_err(|e| self::failed("the BTF of its image", e))?;
        return Ok(Arc::new(btf));
    }
    Err(Error::Kernel {
        what: format!("the BTF: there is no {BTF} (CONFIG_DEBUG_INFO_BTF) and no image with BTF"),
        source: None,
    })
}

fn loaded_modules(base: &Arc<Btf>) -> Result<Modules, Error> {
    let mut types = Vec::new();
    let mut objects = Vec::new();
    for id in BtfId::all() {
        let failed = |e| failed("the BTF of its modules", e);
        let id = match id {
            Ok(id) => id,
            // Without the right to see other objects, what there is to see is nothing.
            Err(error) if error.errno() == Some(purebpf_syscall::Errno::EPERM) => break,
            Err(error) => return Err(failed(error)),
        };
        let object = match BtfObject::from_id(id) {
            Ok(object) => object,
            // A module may go between the list and the look.
            Err(error) if error.errno() == Some(purebpf_syscall::Errno::ENOENT) => continue,
            Err(error) => return Err(failed(error)),
        };
        let info = object.info().map_err(failed)?;
        if !info.is_kernel || info.name == "vmlinux" {
            continue;
        }
        let bytes = object.data().map_err(failed)?;
        if let Some(module) = module(info.name, bytes, base) {
            types.push(module);
            objects.push(object);
        }
    }
    Ok(Modules {
        types: types.into(),
        objects: objects.into(),
    })
}

fn read_config() -> Result<Arc<str>, Error> {
    let release = host::release_name().map_err(|e| failed("the release", e))?;
    let paths = [
        format!("/boot/config-{release}"),
        "/proc/config.gz".to_owned(),
    ];
    let failed = |path: &str, error| failed(&format!("the configuration in {path}"), error);
    let mut refused = None;
    for path in &paths {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                let is_there = error.kind() != ErrorKind::NotFound;
                refused = refused.or(is_there.then(|| failed(path, error)));
                continue;
            }
        };
        return config_text(&bytes).map_err(|error| failed(path, error));
    }
    Err(refused.unwrap_or_else(|| Error::Kernel {
        what: format!(
            "the configuration: there is neither {}",
            paths.join(" nor ")
        ),
        source: None,
    }))
}

/// The text of a configuration, which may be compressed.
fn config_text(bytes: &[u8]) -> std::io::Result<Arc<str>> {
    /// Fifty times as long as any.
    const LIMIT: u64 = 16 << 20;
    let mut text = String::new();
    let len = match bytes.starts_with(&[0x1f, 0x8b]) {
        true => GzDecoder::new(bytes).take(LIMIT).read_to_string(&mut text),
        false => bytes.take(LIMIT).read_to_string(&mut text),
    }?;
    match len as u64 == LIMIT {
        true => Err(ErrorKind::FileTooLarge.into()),
        false => Ok(text.into()),
    }
}

impl TargetKernel for RunningKernel {
    fn version(&self) -> u32 {
        *self
            .0
            .version
            .get_or_init(|| host::kernel_version().map_or(0, host::version_code))
    }

    fn endian(&self) -> Option<Endian> {
        Some(Endian::HOST)
    }

    fn btf(&self) -> Result<Arc<Btf>, Error> {
        self.0.btf.get_or_init(read_btf).clone()
    }

    fn modules(&self) -> Result<Arc<[ModuleBtf]>, Error> {
        self.read_modules().map(|modules| modules.types)
    }

    fn config(&self) -> Result<Arc<str>, Error> {
        self.0.config.get_or_init(read_config).clone()
    }

    /// Not kept: addresses of modules come and go.
    fn symbols(&self) -> Result<Arc<str>, Error> {
        let text = std::fs::read_to_string(KALLSYMS)
            .map_err(|e| failed(&format!("the symbols in {KALLSYMS}"), e))?;
        Ok(text.into())
    }

    fn has(&self, feature: Feature) -> bool {
        if self.0.is_unprivileged {
            return feature.is_in(self.version());
        }
        let index = Feature::ALL.iter().position(|known| *known == feature);
        let Some(known) = index.and_then(|index| self.0.features.get(index)) else {
            return false;
        };
        if let Some(answer) = known.get() {
            return *answer;
        }
        match probe::has(feature, self.token().map(AsFd::as_fd)) {
            Some(answer) => *known.get_or_init(|| answer),
            // A lack of rights or of memory is no answer; the version is the next best.
            None => feature.is_in(self.version()),
        }
    }

    fn possible_cpus(&self) -> Result<u32, Error> {
        let cpus = host::possible_cpus().map_err(|e| failed("the number of CPUs", e))?;
        Ok(u32::try_from(cpus).unwrap_or(u32::MAX))
    }

    fn page_size(&self) -> u32 {
        host::page_size()
            .ok()
            .and_then(|bytes| u32::try_from(bytes).ok())
            .unwrap_or(4096)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_module_is_mended_or_passed_over() {
        let mut base = purebpf_btf::BtfBuilder::new();
        base.add_float("float", 4).unwrap();
        let base = Arc::new(base.finish().unwrap());
        let mut split = purebpf_btf::BtfBuilder::new_split(Arc::clone(&base));
        split.add_float("sound", 8).unwrap();
        split.add_ptr(purebpf_btf::TypeId(1)).unwrap();
        let mut bytes = split.finish().unwrap().raw_bytes().to_vec();
        // The pointer, last of the types, leads to a type that does not exist.
        let strings = "sound\0".len();
        let at = bytes.len() - strings - 4;
        bytes[at..at + 4].copy_from_slice(&99u32.to_ne_bytes());
        let module = module("damaged".to_owned(), bytes, &base).unwrap();
        assert_eq!(module.btf.name(purebpf_btf::TypeId(2)).unwrap(), "sound");
        assert_eq!(module.btf.len(), 4);
        assert!(super::module("no BTF".to_owned(), vec![1, 2, 3], &base).is_none());
    }
}
