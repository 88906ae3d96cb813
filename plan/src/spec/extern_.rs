//! Externs: what the object expects the kernel to have, and what its BTF must say of them instead.

use std::collections::HashMap;

use purebpf_btf::{Btf, BtfBuilder, Kind, Linkage, SecInfo, TypeId, TypeKind};
use purebpf_elf::Binding;

use crate::Error;

/// Bytes of all configuration values of an object. Their sizes are what its BTF says, and cost the
/// file nothing; no kernel's whole configuration is as long.
const MAX_CONFIG: u32 = 1 << 20;

/// How a kernel configuration value is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConfigKind {
    Bool,
    Char,
    Int,
    Tristate,
    CharArray,
}

/// A kernel configuration value (`__kconfig`).
#[derive(Clone, Debug)]
pub(crate) struct ConfigExtern {
    pub(crate) kind: ConfigKind,
    pub(crate) size: u32,
    pub(crate) is_signed: bool,
    align: u32,
    /// Offset in the `.kconfig` map.
    pub(crate) offset: u32,
}

/// What an extern refers to.
#[derive(Clone, Debug)]
pub(crate) enum ExternKind {
    Config(ConfigExtern),
    /// A symbol by address alone: `extern const void x __ksym`.
    Address,
    /// A kernel variable of this type.
    Variable {
        ty: TypeId,
    },
    /// A kernel function of this prototype.
    Function {
        proto: TypeId,
    },
}

/// One extern.
#[derive(Clone, Debug)]
pub(crate) struct Extern {
    pub(crate) name: String,
    pub(crate) symbol: usize,
    pub(crate) is_weak: bool,
    pub(crate) kind: ExternKind,
    id: TypeId,
}

impl Extern {
    pub(crate) fn fail(&self, what: impl Into<String>) -> Error {
        fail(&self.name, what)
    }

    const fn is_config(&self) -> bool {
        matches!(self.kind, ExternKind::Config(_))
    }
}

fn fail(name: &str, what: impl Into<String>) -> Error {
    Error::Extern {
        name: name.to_owned(),
        what: what.into(),
        used: None,
    }
}

/// A DATASEC of the object's BTF, read for editing.
pub(crate) struct Datasec {
    pub(crate) id: TypeId,
    pub(crate) name: String,
    pub(crate) size: u32,
    pub(crate) entries: Vec<SecInfo>,
}

/// Every DATASEC of the object.
pub(crate) fn datasecs(btf: &Btf) -> Result<Vec<Datasec>, Error> {
    let mut all = Vec::new();
    for ty in btf.own_of(Kind::Datasec) {
        if let TypeKind::Datasec { size, secinfos } = ty.kind {
            let name = btf
                .name_at(ty.name_off)
                .map_err(Error::btf("a data section's name in BTF"))?;
            all.push(Datasec {
                id: ty.id,
                name: name.to_owned(),
                size,
                entries: secinfos.iter().collect(),
            });
        }
    }
    Ok(all)
}

/// Finds what every extern symbol is, in the order in which they are resolved: configuration
/// values by alignment, size and name, then symbols by name.
///
/// # Source
/// libbpf `bpf_object__collect_externs`.
pub(crate) fn collect(
    object: &purebpf_elf::Object,
    btf: Option<&Btf>,
    datasecs: &[Datasec],
) -> Result<Vec<Extern>, Error> {
    let symbols = object.symbols.iter().enumerate();
    let mut symbols = symbols
        .filter(|(_, symbol)| symbol.is_extern() && !symbol.name.is_empty())
        .peekable();
    // Most objects have none.
    if symbols.peek().is_none() {
        return Ok(Vec::new());
    }
    let mut sections = HashMap::new();
    for section in datasecs {
        for entry in &section.entries {
            sections.entry(entry.ty).or_insert(section.name.as_str());
        }
    }
    let mut externs = Vec::new();
    for (symbol, elf) in symbols {
        let Some(btf) = btf else {
            return Err(Error::NoBtf {
                what: format!("an extern `{}`", elf.name),
            });
        };
        externs.push(describe(
            btf,
            &sections,
            &elf.name,
            symbol,
            elf.binding == Binding::Weak,
        )?);
    }
    externs.sort_by(|a, b| order(a).cmp(&order(b)));
    let mut end = 0u32;
    for ext in &mut externs {
        if let ExternKind::Config(config) = &mut ext.kind {
            let offset = end.checked_next_multiple_of(config.align);
            let next = offset.and_then(|offset| offset.checked_add(config.size));
            let next = next.filter(|next| *next <= MAX_CONFIG);
            let (Some(offset), Some(next)) = (offset, next) else {
                return Err(fail(
                    &ext.name,
                    "configuration values take more than 1 MiB in all",
                ));
            };
            config.offset = offset;
            end = next;
        }
    }
    Ok(externs)
}

fn order(ext: &Extern) -> (bool, std::cmp::Reverse<u32>, u32, &str) {
    match &ext.kind {
        ExternKind::Config(c) => (false, std::cmp::Reverse(c.align), c.size, &ext.name),
        _ => (true, std::cmp::Reverse(0), 0, &ext.name),
    }
}

fn describe(
    btf: &Btf,
    sections: &HashMap<TypeId, &str>,
    name: &str,
    symbol: usize,
    is_weak: bool,
) -> Result<Extern, Error> {
    let in_btf = |source| Error::btf(format!("extern `{name}`: its type"))(source);
    let id = [Kind::Var, Kind::Func]
        .into_iter()
        .filter_map(|kind| btf.find(name, kind))
        .min()
        .ok_or_else(|| fail(name, "the object's BTF does not describe it"))?;
    let kind = btf.ty(id).map_err(in_btf)?.kind;
    let (linkage, ty) = match kind {
        TypeKind::Var { ty, linkage } => (linkage, ty),
        TypeKind::Func { proto, linkage } => (linkage, proto),
        _ => return Err(fail(name, "the object's BTF does not describe it")),
    };
    if linkage != Linkage::EXTERN {
        return Err(fail(name, "the object's BTF says that it is defined here"));
    }
    let is_function = matches!(kind, TypeKind::Func { .. });
    let section = sections
        .get(&id)
        .ok_or_else(|| fail(name, "it is in no section; declare it __ksym or __kconfig"))?;
    let kind = match *section {
        ".kconfig" if !is_function => ExternKind::Config(config(btf, name, ty)?),
        ".ksyms" if is_function => ExternKind::Function { proto: ty },
        ".ksyms" => match btf.skip_mods_and_typedefs(ty).map_err(in_btf)? {
            TypeId::VOID => ExternKind::Address,
            ty => ExternKind::Variable { ty },
        },
        other => {
            return Err(fail(
                name,
                format!("its section `{other}` is not for externs"),
            ));
        }
    };
    Ok(Extern {
        name: name.to_owned(),
        symbol,
        is_weak,
        kind,
        id,
    })
}

fn config(btf: &Btf, name: &str, ty: TypeId) -> Result<ConfigExtern, Error> {
    let in_btf = |source| Error::btf(format!("extern `{name}`: its type"))(source);
    let size = btf.resolve_size(ty).map_err(in_btf)?;
    let align = btf.align_of(ty).map_err(in_btf)?;
    if size == 0 || align == 0 {
        return Err(fail(name, "its type has no size"));
    }
    let stripped = btf.skip_mods_and_typedefs(ty).map_err(in_btf)?;
    let (kind, is_signed) = classify(btf, stripped)
        .ok_or_else(|| fail(name, "its type is none that a configuration value can have"))?;
    Ok(ConfigExtern {
        kind,
        size,
        is_signed,
        align,
        offset: 0,
    })
}

/// How a type stores a configuration value (libbpf: `find_kcfg_type`).
fn classify(btf: &Btf, id: TypeId) -> Option<(ConfigKind, bool)> {
    match btf.ty(id).ok()?.kind {
        TypeKind::Int { size, encoding, .. } => {
            let kind = match size {
                1 if encoding.is_bool() => ConfigKind::Bool,
                1 => ConfigKind::Char,
                2 | 4 | 8 if !encoding.is_bool() => ConfigKind::Int,
                _ => return None,
            };
            Some((kind, encoding.is_signed()))
        }
        TypeKind::Enum { .. } | TypeKind::Enum64 { .. } => {
            (btf.name(id).ok()? == "libbpf_tristate").then_some((ConfigKind::Tristate, false))
        }
        TypeKind::Array {
            elem, nelems: 1.., ..
        } => {
            let elem = btf.skip_mods_and_typedefs(elem).ok()?;
            match classify(btf, elem)? {
                (ConfigKind::Char, _) => Some((ConfigKind::CharArray, false)),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Rewrites `.ksyms` and `.kconfig` into something that every kernel's BTF check accepts.
///
/// # Source
/// libbpf `bpf_object__collect_externs`, second half.
pub(crate) fn rewrite(
    btf: &Btf,
    builder: &mut BtfBuilder,
    datasecs: &mut [Datasec],
    externs: &[Extern],
) -> Result<(), Error> {
    let edit = || Error::btf("the object's BTF, edited for the kernel");
    let externs: HashMap<TypeId, &Extern> = externs.iter().map(|ext| (ext.id, ext)).collect();
    for section in datasecs.iter_mut() {
        match section.name.as_str() {
            ".ksyms" => rewrite_symbols(btf, builder, section, &externs)?,
            ".kconfig" => {
                for entry in &mut section.entries {
                    let ext = find(&externs, entry.ty, btf)?;
                    if let ExternKind::Config(config) = &ext.kind {
                        entry.offset = config.offset;
                        section.size = section.size.max(config.offset.saturating_add(config.size));
                    }
                    builder
                        .set_var_linkage(entry.ty, Linkage::GLOBAL)
                        .map_err(edit())?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn find<'a>(
    externs: &HashMap<TypeId, &'a Extern>,
    id: TypeId,
    btf: &Btf,
) -> Result<&'a Extern, Error> {
    externs.get(&id).copied().ok_or_else(|| {
        fail(
            btf.name(id).unwrap_or_default(),
            "no symbol of the object stands for it",
        )
    })
}

fn rewrite_symbols(
    btf: &Btf,
    builder: &mut BtfBuilder,
    section: &mut Datasec,
    externs: &HashMap<TypeId, &Extern>,
) -> Result<(), Error> {
    let edit = || Error::btf("the object's BTF, edited for the kernel");
    let is_function = |id: TypeId| {
        btf.ty(id)
            .is_ok_and(|ty| matches!(ty.kind, TypeKind::Func { .. }))
    };
    let int = btf
        .own_of(Kind::Int)
        .find(|ty| matches!(ty.kind, TypeKind::Int { size: 4, .. }))
        .map_or(TypeId::VOID, |ty| ty.id);
    let mut dummy = None;
    if section.entries.iter().any(|entry| is_function(entry.ty)) {
        let name = builder.add_str("dummy_ksym").map_err(edit())?;
        let var = builder
            .add_var("dummy_ksym", Linkage::GLOBAL, int)
            .map_err(edit())?;
        dummy = Some((name, var));
    }
    let mut offset = 0u32;
    for entry in &mut section.entries {
        let ext = find(externs, entry.ty, btf)?;
        match (&ext.kind, dummy) {
            (ExternKind::Function { proto }, Some((name, var))) => {
                builder
                    .set_func_linkage(ext.id, Linkage::GLOBAL)
                    .map_err(edit())?;
                name_params(btf, builder, *proto, name)?;
                entry.ty = var;
            }
            _ => {
                builder
                    .set_var_linkage(ext.id, Linkage::GLOBAL)
                    .map_err(edit())?;
                builder.set_var_type(ext.id, int).map_err(edit())?;
            }
        }
        entry.offset = offset;
        entry.size = 4;
        offset = offset.saturating_add(4);
    }
    section.size = offset;
    Ok(())
}

/// Kernels want the parameters of a function that is not extern to have names.
fn name_params(btf: &Btf, builder: &mut BtfBuilder, proto: TypeId, name: u32) -> Result<(), Error> {
    let Ok(TypeKind::FuncProto { params, .. }) = btf.ty(proto).map(|ty| ty.kind) else {
        return Ok(());
    };
    for (index, param) in params.iter().enumerate() {
        if param.name_off == 0 && !param.ty.is_void() {
            builder
                .set_param_name(proto, index, name)
                .map_err(Error::btf("the object's BTF, edited for the kernel"))?;
        }
    }
    Ok(())
}

/// Bytes of the `.kconfig` map; 0 if there is none.
pub(crate) fn config_size(externs: &[Extern]) -> u32 {
    externs
        .iter()
        .filter(|ext| ext.is_config())
        .map(|ext| match &ext.kind {
            ExternKind::Config(config) => config.offset.saturating_add(config.size),
            _ => 0,
        })
        .max()
        .unwrap_or(0)
}

/// The kind of BTF entry that a kernel symbol is looked for as.
pub(crate) const fn kernel_kind(kind: &ExternKind) -> Option<Kind> {
    match kind {
        ExternKind::Variable { .. } => Some(Kind::Var),
        ExternKind::Function { .. } => Some(Kind::Func),
        ExternKind::Config(_) | ExternKind::Address => None,
    }
}
