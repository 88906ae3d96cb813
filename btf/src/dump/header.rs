//! A whole header: a guard, the types, the kernel's functions for BPF programs.
//!
//! What stands around the types is what `bpftool btf dump format c` prints, so that sources written
//! for its `vmlinux.h` compile.

use std::collections::HashSet;

use crate::btf::Btf;
use crate::error::{Error, Result};
use crate::id::TypeId;
use crate::name;
use crate::types::TypeKind;

use super::c::{CDump, DeclOptions};
use super::sort::{self, ids_from};

const BEFORE_TYPES: &str = "\
#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)
#endif

#ifndef __ksym
#define __ksym __attribute__((section(\".ksyms\")))
#endif

#ifndef __weak
#define __weak __attribute__((weak))
#endif

#ifndef __bpf_fastcall
#if __has_attribute(bpf_fastcall)
#define __bpf_fastcall __attribute__((bpf_fastcall))
#else
#define __bpf_fastcall
#endif
#endif

";

const AFTER_TYPES: &str = "\
#ifndef BPF_NO_PRESERVE_ACCESS_INDEX
#pragma clang attribute pop
#endif

";

/// What a tag on a function says of it.
const KFUNC: &[u8] = b"bpf_kfunc";
const FASTCALL: &[u8] = b"bpf_fastcall";

/// A C header of a BTF, such as `vmlinux.h`.
///
/// Unless told otherwise it has all types, those of the base included, sorted so that the text does
/// not depend on the order of the types in the BTF, and a prototype for each kfunc.
#[derive(Clone, Debug)]
pub struct Header<'a> {
    btf: &'a Btf,
    guard: &'a str,
    sorted: bool,
    own: bool,
    roots: &'a [TypeId],
    expand_unnamed: bool,
    max_text: Option<usize>,
}

impl<'a> Header<'a> {
    /// A header of all types.
    #[must_use]
    pub fn new(btf: &'a Btf) -> Self {
        Self {
            btf,
            guard: "__VMLINUX_H__",
            sorted: true,
            own: false,
            roots: &[],
            expand_unnamed: false,
            max_text: None,
        }
    }

    /// Sets the macro that keeps the header from being read twice; otherwise `__VMLINUX_H__`.
    #[must_use]
    pub fn guard(mut self, name: &'a str) -> Self {
        self.guard = name;
        self
    }

    /// Sets whether the types are sorted, or come in the order of their ids.
    #[must_use]
    pub fn sorted(mut self, sorted: bool) -> Self {
        self.sorted = sorted;
        self
    }

    /// Only what the base does not have, and what that needs.
    #[must_use]
    pub fn own(mut self) -> Self {
        self.own = true;
        self
    }

    /// Only these types, in this order, and what they need, without kfuncs; all if there are none.
    #[must_use]
    pub fn roots(mut self, ids: &'a [TypeId]) -> Self {
        self.roots = ids;
        self
    }

    /// Sets whether the header compiles without `-fms-extensions`, as
    /// [`CDump::expand_unnamed`].
    #[must_use]
    pub fn expand_unnamed(mut self, expand: bool) -> Self {
        self.expand_unnamed = expand;
        self
    }

    /// Sets how many bytes the types may take, as [`CDump::max_text`].
    #[must_use]
    pub fn max_text(mut self, bytes: usize) -> Self {
        self.max_text = Some(bytes);
        self
    }

    /// The header.
    ///
    /// # Errors
    /// As [`CDump::dump_type`].
    pub fn to_text(&self) -> Result<String> {
        let mut out = format!("#ifndef {0}\n#define {0}\n\n", self.guard);
        out.push_str(BEFORE_TYPES);
        let mut dump = CDump::new(self.btf).expand_unnamed(self.expand_unnamed);
        if let Some(bytes) = self.max_text {
            dump = dump.max_text(bytes);
        }
        if self.roots.is_empty() {
            let first = if self.own {
                self.btf.start_id()
            } else {
                TypeId(1)
            };
            match self.sorted {
                true => dump.dump_types(sort::definitions(self.btf, first)?, &mut out)?,
                false => dump.dump_types(ids_from(self.btf, first), &mut out)?,
            }
            kfuncs(self.btf, first, &mut dump, &mut out)?;
        } else {
            dump.dump_types(self.roots.iter().copied(), &mut out)?;
        }
        out.push_str(AFTER_TYPES);
        out.push_str("#endif /* ");
        out.push_str(self.guard);
        out.push_str(" */\n");
        Ok(out)
    }
}

/// Prints prototypes of the functions that carry the tag of a kfunc, by name.
fn kfuncs(btf: &Btf, first: TypeId, dump: &mut CDump<'_>, out: &mut String) -> Result<()> {
    let mut kfuncs = Vec::new();
    let mut fastcalls = HashSet::new();
    for id in ids_from(btf, first) {
        let tag = btf.ty(id)?;
        let TypeKind::DeclTag { ty, component: -1 } = tag.kind else {
            continue;
        };
        let func = btf.ty(ty)?;
        let TypeKind::Func { proto, .. } = func.kind else {
            continue;
        };
        let text = btf.strings_from(tag.name_off);
        if name::is(text, KFUNC) {
            kfuncs.push((btf.name_at(func.name_off)?, ty, proto));
        } else if name::is(text, FASTCALL) {
            fastcalls.insert(ty);
        }
    }
    kfuncs.sort_by_key(|(name, ..)| *name);
    out.push_str("\n/* BPF kfuncs */\n#ifndef BPF_NO_KFUNC_PROTOTYPES\n");
    let start = out.len();
    for (name, func, proto) in kfuncs {
        // Each declaration has its own limit, all together have that of the types.
        if out.len().saturating_sub(start) > dump.text_limit() {
            return Err(Error::TextTooLong {
                id: func,
                limit: dump.text_limit(),
            });
        }
        out.push_str("extern ");
        if fastcalls.contains(&func) {
            out.push_str("__bpf_fastcall ");
        }
        dump.type_decl(proto, &DeclOptions::named(name), out)?;
        out.push_str(" __weak __ksym;\n");
    }
    out.push_str("#endif\n\n");
    Ok(())
}
