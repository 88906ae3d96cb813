//! What the target kernel has of what the object expects of it.

use std::collections::HashMap;
use std::sync::Arc;

use purebpf_btf::core::types_compatible;
use purebpf_btf::{Btf, TypeId, TypeKind, essential_name};

use super::config;
use crate::spec::code::Code;
use crate::spec::extern_::{ConfigExtern, Extern, ExternKind, config_size, kernel_kind};
use crate::{Error, Feature, MapOrigin, ObjectSpec, TargetKernel};

/// Module functions are called through an array of BTF fds, whose index must fit an offset.
const MAX_MODULES: usize = i16::MAX as usize;

/// What became of an extern.
#[derive(Clone, Debug)]
pub(super) enum Resolved {
    /// A value in the `.kconfig` map.
    Config { map: usize, offset: u32 },
    /// An address.
    Address(u64),
    /// A variable of the kernel, or of a module.
    Variable {
        id: TypeId,
        module: Option<Arc<str>>,
    },
    /// A function; `slot` is the place of its module in the fd array, 0 for the kernel.
    Function {
        id: TypeId,
        module: Option<Arc<str>>,
        slot: i16,
    },
}

/// All externs of an object, resolved.
#[derive(Debug, Default)]
pub(super) struct Externs {
    resolved: Vec<Option<Resolved>>,
    /// Modules whose functions are called; the first has slot 1.
    pub(super) modules: Vec<Arc<str>>,
    /// Value of the `.kconfig` map; empty if there is none.
    pub(super) config: Vec<u8>,
}

impl Externs {
    /// What became of an extern; nothing for a weak one that the kernel lacks.
    pub(super) fn get(&self, index: usize) -> Option<&Resolved> {
        self.resolved.get(index)?.as_ref()
    }
}

/// Resolves all externs, used or not: a strong one that is missing fails the object.
///
/// # Source
/// libbpf `bpf_object__resolve_externs`.
pub(super) fn resolve(spec: &ObjectSpec, kernel: &dyn TargetKernel) -> Result<Externs, Error> {
    if spec.code.externs.is_empty() {
        return Ok(Externs::default());
    }
    let mut resolver = Resolver::new(spec, kernel);
    resolver.configuration(spec.kconfig.as_deref())?;
    resolver.addresses()?;
    resolver.typed()?;
    resolver.finish()
}

/// Resolves values of the configuration only. Symbols are left to a loader program, and are zeros.
pub(super) fn defer(spec: &ObjectSpec, kernel: &dyn TargetKernel) -> Result<Externs, Error> {
    let mut resolver = Resolver::new(spec, kernel);
    resolver.configuration(spec.kconfig.as_deref())?;
    for (index, ext) in spec.code.externs.iter().enumerate() {
        let (id, module) = (TypeId::VOID, None);
        let zero = match ext.kind {
            ExternKind::Config(_) => continue,
            ExternKind::Address => Resolved::Address(0),
            ExternKind::Variable { .. } => Resolved::Variable { id, module },
            ExternKind::Function { .. } => {
                let slot = 0;
                Resolved::Function { id, module, slot }
            }
        };
        resolver.set(index, zero);
    }
    resolver.finish()
}

/// Where a name was found: the BTF, the id, and the module if it is one's.
type Found = (Arc<Btf>, TypeId, Option<Arc<str>>);

struct Resolver<'a> {
    code: &'a Code,
    kernel: &'a dyn TargetKernel,
    config_map: Option<usize>,
    externs: Externs,
}

impl<'a> Resolver<'a> {
    fn new(spec: &'a ObjectSpec, kernel: &'a dyn TargetKernel) -> Self {
        let code = &*spec.code;
        let size = usize::try_from(config_size(&code.externs)).unwrap_or(0);
        let is_config = |map: &crate::MapSpec| map.origin == MapOrigin::Kconfig;
        Self {
            code,
            kernel,
            config_map: spec.maps.values().position(is_config),
            externs: Externs {
                resolved: vec![None; code.externs.len()],
                modules: Vec::new(),
                config: vec![0; size],
            },
        }
    }

    /// A strong extern must be there; a weak value is a zero otherwise.
    fn finish(mut self) -> Result<Externs, Error> {
        let all = self.code.externs.iter().zip(&self.externs.resolved);
        for (ext, resolved) in all {
            if resolved.is_none() && !ext.is_weak {
                return Err(ext.fail("the kernel does not have it"));
            }
        }
        self.weak_configuration();
        Ok(self.externs)
    }

    fn configs(&self) -> impl Iterator<Item = (usize, &'a Extern, &'a ConfigExtern)> + use<'a> {
        self.code
            .externs
            .iter()
            .enumerate()
            .filter_map(|(index, ext)| match &ext.kind {
                ExternKind::Config(config) => Some((index, ext, config)),
                _ => None,
            })
    }

    fn is_open(&self, index: usize) -> bool {
        self.externs.get(index).is_none()
    }

    fn set(&mut self, index: usize, resolved: Resolved) {
        if let Some(slot) = self.externs.resolved.get_mut(index) {
            *slot = Some(resolved);
        }
    }

    fn set_config(&mut self, index: usize, config: &ConfigExtern, value: &[u8]) {
        let Some(map) = self.config_map else { return };
        let start = usize::try_from(config.offset).unwrap_or(usize::MAX);
        let end = start.saturating_add(value.len());
        if let Some(place) = self.externs.config.get_mut(start..end) {
            place.copy_from_slice(value);
            self.set(
                index,
                Resolved::Config {
                    map,
                    offset: config.offset,
                },
            );
        }
    }

    /// What the loader knows by itself, then the user's text, then the kernel's configuration.
    fn configuration(&mut self, user: Option<&str>) -> Result<(), Error> {
        let mut wanted = HashMap::new();
        for (index, ext, config) in self.configs() {
            if ext.name.starts_with("CONFIG_") {
                wanted.insert(ext.name.as_str(), (index, ext, config));
                continue;
            }
            let number = match ext.name.as_str() {
                "LINUX_KERNEL_VERSION" => u64::from(self.kernel.version()),
                "LINUX_HAS_BPF_COOKIE" => u64::from(self.kernel.has(Feature::BpfCookie)),
                "LINUX_HAS_SYSCALL_WRAPPER" => u64::from(self.kernel.has(Feature::SyscallWrapper)),
                name if name.starts_with("LINUX_") && ext.is_weak => 0,
                _ => return Err(ext.fail("it is neither CONFIG_ nor a LINUX_ value that is known")),
            };
            let value = config::number(ext, config, number, self.code.endian)?;
            self.set_config(index, config, &value);
        }
        if let Some(text) = user {
            self.read_config(text, &wanted)?;
        }
        if wanted.values().any(|(index, ..)| self.is_open(*index)) {
            let text = self.kernel.config()?;
            self.read_config(&text, &wanted)?;
        }
        Ok(())
    }

    fn read_config(
        &mut self,
        text: &str,
        wanted: &HashMap<&str, (usize, &Extern, &ConfigExtern)>,
    ) -> Result<(), Error> {
        for line in config::lines(text) {
            let (name, text) = line?;
            if let Some((index, ext, config)) = wanted.get(name)
                && self.is_open(*index)
            {
                let value = config::value(ext, config, text, self.code.endian)?;
                self.set_config(*index, config, &value);
            }
        }
        Ok(())
    }

    /// A weak value that nobody set is a zero in the map.
    fn weak_configuration(&mut self) {
        for (index, _, config) in self.configs() {
            if self.is_open(index) {
                self.set_config(index, config, &[]);
            }
        }
    }

    /// Symbols by address, as `/proc/kallsyms` lists them.
    fn addresses(&mut self) -> Result<(), Error> {
        let wanted: HashMap<&str, (usize, &Extern)> = self
            .code
            .externs
            .iter()
            .enumerate()
            .filter(|(_, ext)| matches!(ext.kind, ExternKind::Address))
            .map(|(index, ext)| (ext.name.as_str(), (index, ext)))
            .collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let symbols = self.kernel.symbols()?;
        for line in symbols.lines() {
            let mut words = line.split_ascii_whitespace();
            let (Some(address), Some(kind), Some(name)) =
                (words.next(), words.next(), words.next())
            else {
                return Err(Error::Kernel {
                    what: format!("the symbols (`{line}` is no line of kallsyms)"),
                    source: None,
                });
            };
            // The compiler marks symbols that it made global for its own ends.
            let name = match name.find(".llvm.") {
                Some(end) if kind == "d" => name.get(..end).unwrap_or(name),
                _ => name,
            };
            let Some((index, ext)) = wanted.get(name) else {
                continue;
            };
            let address = u64::from_str_radix(address, 16)
                .map_err(|_| ext.fail(format!("its address `{address}` is not a number")))?;
            match self.externs.get(*index) {
                Some(Resolved::Address(known)) if *known != address => {
                    return Err(ext.fail(format!(
                        "the kernel has two of it, at {known:#x} and {address:#x}"
                    )));
                }
                _ => self.set(*index, Resolved::Address(address)),
            }
        }
        Ok(())
    }

    /// Variables and functions, by their type in the kernel's BTF.
    fn typed(&mut self) -> Result<(), Error> {
        let Some(local) = self.code.btf.clone() else {
            return Ok(());
        };
        let code = self.code;
        for (index, ext) in code.externs.iter().enumerate() {
            let found = match ext.kind {
                ExternKind::Variable { ty } => self.variable(&local, ext, ty)?,
                ExternKind::Function { proto } => self.function(&local, ext, proto)?,
                ExternKind::Config(_) | ExternKind::Address => continue,
            };
            if let Some(found) = found {
                self.set(index, found);
            }
        }
        Ok(())
    }

    /// Where the kernel, or else the first of its modules, has the name.
    fn find(&self, ext: &Extern) -> Result<Option<Found>, Error> {
        let Some(kind) = kernel_kind(&ext.kind) else {
            return Ok(None);
        };
        let name = match ext.kind {
            ExternKind::Function { .. } => essential_name(&ext.name),
            _ => &ext.name,
        };
        let btf = self.kernel.btf()?;
        if let Some(id) = btf.find(name, kind) {
            return Ok(Some((btf, id, None)));
        }
        let modules = self.kernel.modules()?;
        let found = modules.iter().find_map(|module| {
            let id = module.btf.find_own(name, kind)?;
            Some((Arc::clone(&module.btf), id, Some(Arc::clone(&module.name))))
        });
        Ok(found)
    }

    fn variable(&self, local: &Btf, ext: &Extern, ty: TypeId) -> Result<Option<Resolved>, Error> {
        let Some((btf, id, module)) = self.find(ext)? else {
            return Ok(None);
        };
        let context =
            |source| Error::btf(format!("extern `{}`: its type in the kernel", ext.name))(source);
        let TypeKind::Var { ty: kernel_ty, .. } = btf.ty(id).map_err(context)?.kind else {
            return Ok(None);
        };
        let kernel_ty = btf.skip_mods_and_typedefs(kernel_ty).map_err(context)?;
        match types_compatible(local, ty, &btf, kernel_ty).map_err(context)? {
            true => Ok(Some(Resolved::Variable { id, module })),
            false => Err(ext.fail("the kernel has it with another type")),
        }
    }

    fn function(
        &mut self,
        local: &Btf,
        ext: &Extern,
        proto: TypeId,
    ) -> Result<Option<Resolved>, Error> {
        let Some((btf, id, module)) = self.find(ext)? else {
            return Ok(None);
        };
        let context =
            |source| Error::btf(format!("extern `{}`: its type in the kernel", ext.name))(source);
        let TypeKind::Func {
            proto: kernel_proto,
            ..
        } = btf.ty(id).map_err(context)?.kind
        else {
            return Ok(None);
        };
        let fits = types_compatible(local, proto, &btf, kernel_proto);
        if !fits.map_err(context)? {
            return match ext.is_weak {
                true => Ok(None),
                false => Err(ext.fail("the kernel has it with another prototype")),
            };
        }
        let slot = match &module {
            None => 0,
            Some(module) => self.slot(ext, Arc::clone(module))?,
        };
        Ok(Some(Resolved::Function { id, module, slot }))
    }

    fn slot(&mut self, ext: &Extern, module: Arc<str>) -> Result<i16, Error> {
        let modules = &mut self.externs.modules;
        let index = match modules.iter().position(|known| *known == module) {
            Some(index) => index,
            None if modules.len() < MAX_MODULES => {
                modules.push(module);
                modules.len().saturating_sub(1)
            }
            None => return Err(ext.fail("functions of too many modules are called")),
        };
        let slot = i16::try_from(index)
            .ok()
            .and_then(|index| index.checked_add(1));
        slot.ok_or_else(|| ext.fail("functions of too many modules are called"))
    }
}
