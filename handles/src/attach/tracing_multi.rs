//! Many functions of the kernel at once, by their types.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use purebpf_btf::{Btf, BtfData, Kind, TypeId, TypeKind};
use purebpf_insn::AttachType;
use purebpf_syscall::{AttachPoint, LinkOptions, map_kernel_file};

use super::create::{self, NewLink};
use super::{glob, section};
use crate::{Error, Link, Program, tracefs};

/// The kernel's own types and those of its modules.
const KERNEL_BTF: &str = "/sys/kernel/btf";
/// A trampoline hands over no more parameters, and no larger ones.
const MAX_PARAMETERS: usize = 12;
const MAX_PARAMETER_BYTES: u32 = 16;

/// Functions of the kernel, or of one module, by pattern or by BTF id, in one link (7.2): for programs
/// that were loaded for it, in sections `fentry.multi`, `fexit.multi` and `fsession.multi`.
#[doc(alias = "bpf_program__attach_tracing_multi")]
#[derive(Clone, Debug)]
pub struct TracingMulti {
    places: Places,
    cookies: Vec<u64>,
}

#[derive(Clone, Debug)]
enum Places {
    Pattern {
        module: Option<String>,
        pattern: String,
    },
    Ids(Vec<u32>),
}

impl TracingMulti {
    const fn of(places: Places) -> Self {
        Self {
            places,
            cookies: Vec::new(),
        }
    }

    /// All functions that match and can be traced: `*` is any text, `?` any one character. Those of a
    /// module are `MODULE:PATTERN`, and the program must have been loaded for that module.
    #[must_use]
    pub fn pattern(pattern: &str) -> Self {
        let (module, pattern) = match pattern.split_once(':') {
            Some((module, pattern)) => (Some(module.to_owned()), pattern),
            None => (None, pattern),
        };
        Self::of(Places::Pattern {
            module,
            pattern: pattern.to_owned(),
        })
    }

    /// The functions with these ids in the BTF that the program was loaded for.
    #[must_use]
    pub fn ids(ids: impl Into<Vec<u32>>) -> Self {
        Self::of(Places::Ids(ids.into()))
    }

    /// What `bpf_get_attach_cookie` returns in the program, for each function.
    #[must_use]
    pub fn cookies(self, cookies: impl Into<Vec<u64>>) -> Self {
        Self {
            cookies: cookies.into(),
            ..self
        }
    }

    /// What `fentry.multi/[MODULE:]PATTERN` names, or with `fexit.multi` or `fsession.multi`; `None`
    /// for the prefix alone.
    ///
    /// # Errors
    /// [`Error::Section`].
    pub fn from_section(section: &str) -> Result<Option<Self>, Error> {
        let expected = "fentry.multi/[MODULE:]PATTERN";
        let prefixes = [
            "fentry.multi",
            "fentry.multi.s",
            "fexit.multi",
            "fexit.multi.s",
            "fsession.multi",
            "fsession.multi.s",
        ];
        let Some(target) = section::target(section, &prefixes, expected)? else {
            return Ok(None);
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "_.*?:".contains(c);
        match section::take_while(target, plain) {
            ("", _) => Err(Error::section(section, expected)),
            (pattern, _) => Ok(Some(Self::pattern(pattern))),
        }
    }

    fn resolve(&self, program: &Program) -> Result<Vec<u32>, Error> {
        let (module, pattern) = match &self.places {
            Places::Ids(ids) if ids.is_empty() => {
                return Err(Error::invalid(
                    program,
                    "there is no function to attach it to",
                ));
            }
            Places::Ids(ids) => {
                let (cookies, count) = (self.cookies.len(), ids.len());
                if !self.cookies.is_empty() && cookies != count {
                    return Err(Error::mismatch(program, "the cookies", cookies, count));
                }
                return Ok(ids.clone());
            }
            Places::Pattern { .. } if !self.cookies.is_empty() => {
                let what = "a pattern does not tell how many cookies it takes";
                return Err(Error::invalid(program, what));
            }
            Places::Pattern { module, pattern } => (module.as_deref(), pattern.as_str()),
        };
        let kernel = read(program, "vmlinux", None)?;
        let btf = match module {
            None | Some("vmlinux") => kernel,
            Some(module) => read(program, module, Some(kernel))?,
        };
        let is_wanted = |name: &str| glob::matches(pattern, name);
        let listed = tracefs::functions(tracefs::root(), is_wanted).ok();
        let found = matching(&btf, pattern, listed.as_ref());
        if found.is_empty() {
            let place = Path::new(KERNEL_BTF).join(module.unwrap_or("vmlinux"));
            return Err(Error::not_found("function like", pattern, place, []));
        }
        Ok(found)
    }
}

/// The types of the kernel, or of a module on top of them.
fn read(program: &Program, name: &str, base: Option<Arc<Btf>>) -> Result<Arc<Btf>, Error> {
    let path = Path::new(KERNEL_BTF).join(name);
    let file = map_kernel_file(&path).map_err(Error::call(program, "read the kernel's BTF"))?;
    let btf = match base {
        None => Btf::parse(BtfData::new(file)),
        Some(base) => Btf::parse_split(BtfData::new(file), base),
    };
    btf.map(Arc::new).map_err(Error::btf(path.display()))
}

/// The functions that match, have a type that can be traced, and are `listed` as such, if there is a
/// list.
fn matching(btf: &Btf, pattern: &str, listed: Option<&HashSet<String>>) -> Vec<u32> {
    let is_wanted = |id: &TypeId| {
        let Ok(TypeKind::Func { proto, .. }) = btf.ty(*id).map(|ty| ty.kind) else {
            return false;
        };
        btf.name(*id).is_ok_and(|name| {
            glob::matches(pattern, name) && listed.is_none_or(|listed| listed.contains(name))
        }) && is_traceable(btf, proto)
    };
    btf.own_ids().filter(is_wanted).map(|id| id.0).collect()
}

/// Whether the kernel makes a trampoline for functions of this type.
#[doc(alias = "btf_distill_func_proto")]
fn is_traceable(btf: &Btf, proto: TypeId) -> bool {
    let Ok(TypeKind::FuncProto { ret, params }) = btf.ty(proto).map(|ty| ty.kind) else {
        return false;
    };
    let kind = |id| {
        let id = btf.skip_mods_and_typedefs(id).ok()?;
        btf.ty(id).ok()?.kind.id()
    };
    let is_scalar = |kind| matches!(kind, Kind::Int | Kind::Ptr | Kind::Enum | Kind::Enum64);
    let fits = |id: TypeId| {
        let is_known = |kind| is_scalar(kind) || matches!(kind, Kind::Struct | Kind::Union);
        kind(id).is_some_and(is_known)
            && btf
                .resolve_size(id)
                .is_ok_and(|size| (1..=MAX_PARAMETER_BYTES).contains(&size))
    };
    kind(ret).is_some_and(|kind| kind == Kind::Void || is_scalar(kind))
        && params.len() <= MAX_PARAMETERS
        && params.into_iter().all(|param| fits(param.ty))
}

impl super::Target for TracingMulti {
    fn attach(&self, program: &Program) -> Result<Link, Error> {
        let attach_type = create::attach_type(program, None)?;
        let ids = self.resolve(program)?;
        let feature = match attach_type {
            AttachType::TRACE_FSESSION_MULTI => "sessions of many functions (7.2)",
            _ => "links of many functions by type (7.2)",
        };
        NewLink {
            target: AttachPoint::None,
            attach_type,
            flags: 0,
            options: LinkOptions::TracingMulti {
                ids: &ids,
                cookies: &self.cookies,
            },
            since: ((7, 2, 0), feature),
        }
        .create(program)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn section_names_module_and_pattern() {
        let read = |section| TracingMulti::from_section(section).unwrap().unwrap();
        let places = |section| match read(section).places {
            Places::Pattern { module, pattern } => (module, pattern),
            Places::Ids(_) => panic!("{section}"),
        };
        assert_eq!(places("fentry.multi/vfs_*"), (None, "vfs_*".into()));
        let of_module = places("fsession.multi.s/nf_nat:nf_*");
        assert_eq!(of_module, (Some("nf_nat".into()), "nf_*".into()));
        assert!(TracingMulti::from_section("fexit.multi").unwrap().is_none());
        for section in ["fexit.multi/", "fexit.multi/-", "fexit/f"] {
            assert!(TracingMulti::from_section(section).is_err(), "{section}");
        }
    }
}
