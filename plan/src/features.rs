//! What kernels came to offer over time, as far as loading depends on it.
//!
//! The running kernel is probed, since distributions carry features back; the version here serves
//! kernels that are only described.

macro_rules! features {
    ($($(#[doc = $doc:literal])* $name:ident $text:literal ($major:literal, $minor:literal);)*) => {
        /// A kernel feature that changes what is loaded.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Feature {
            $($(#[doc = $doc])* $name,)*
        }

        impl Feature {
            /// Every feature, in libbpf's order.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// A short name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The first version with it: major and minor.
            #[must_use]
            pub const fn since(self) -> (u32, u32) {
                match self { $(Self::$name => ($major, $minor),)* }
            }
        }
    };
}

features! {
    /// Maps and programs have names.
    ProgramName "prog_name" (4, 15);
    /// Programs may read and write an array's value at an address: global variables.
    GlobalData "global_data" (5, 2);
    /// BTF can be loaded.
    Btf "btf" (4, 18);
    /// BTF with functions, and function and line information.
    BtfFunc "btf_func" (5, 0);
    /// BTF with global functions.
    BtfGlobalFunc "btf_global_func" (5, 6);
    /// BTF with variables and data sections.
    BtfDatasec "btf_datasec" (5, 2);
    /// Arrays can be mapped into user memory.
    ArrayMmap "array_mmap" (5, 5);
    /// The expected attach type is checked at load.
    ExpectedAttachType "expected_attach_type" (4, 17);
    /// Helpers that read kernel and user memory apart.
    ProbeReadKernel "probe_read_kernel" (5, 5);
    /// A program can keep a map that it does not use.
    ProgramBindMap "prog_bind_map" (5, 10);
    /// Modules have BTF.
    ModuleBtf "module_btf" (5, 11);
    /// BTF with floating point numbers.
    BtfFloat "btf_float" (5, 13);
    /// Links of perf events.
    PerfLink "perf_link" (5, 15);
    /// BTF with tags of declarations.
    BtfDeclTag "btf_decl_tag" (5, 16);
    /// BTF with tags of types.
    BtfTypeTag "btf_type_tag" (5, 17);
    /// Memory of maps is charged to a cgroup, not to `RLIMIT_MEMLOCK`.
    MemcgAccount "memcg_account" (5, 11);
    /// Probes carry a cookie.
    BpfCookie "bpf_cookie" (5, 15);
    /// BTF with 64-bit enumerations.
    BtfEnum64 "btf_enum64" (6, 0);
    /// System calls are functions with a wrapper for each architecture.
    SyscallWrapper "syscall_wrapper" (4, 17);
    /// Links of many uprobes.
    UprobeMultiLink "uprobe_multi_link" (6, 6);
    /// The verifier knows `arg:ctx` tags.
    ArgCtxTag "arg_ctx_tag" (6, 8);
    /// BTF with data sections whose name begins with a question mark.
    BtfQmarkDatasec "btf_qmark_datasec" (6, 9);
    /// Addresses in a map's value may have any offset.
    LdImm64FullRangeOffset "ldimm64_full_range_off" (7, 0);
    /// The uprobe system call.
    UprobeSyscall "uprobe_syscall" (6, 18);
    /// BTF that describes its own layout.
    BtfLayout "btf_layout" (7, 1);
    /// Every command of `bpf(2)` takes a log.
    CommonAttributes "bpf_syscall_common_attrs" (7, 1);
}

impl Feature {
    /// Whether a kernel of this version (`LINUX_VERSION_CODE`) has it.
    #[must_use]
    pub const fn is_in(self, version: u32) -> bool {
        let (major, minor) = self.since();
        version >= (major << 16) | (minor << 8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_decide() {
        assert!(!Feature::BtfEnum64.is_in(0x05_13_ff));
        assert!(Feature::BtfEnum64.is_in(0x06_00_00));
        assert!(Feature::BtfFloat.is_in(0x05_0f_00));
        assert_eq!(Feature::ALL.len(), 26);
    }
}
