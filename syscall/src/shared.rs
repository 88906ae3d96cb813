//! Structs that are shared with the kernel: their fields, and where each one is, in one place.
//!
//! A struct is written as the place of its twin in the kernel's types, the size, and each field by the
//! kernel's name after its offset. The offsets are checked here when this is compiled, and by a test
//! with the types of the running kernel, to which a table of all fields is made of the same lines.
//!
//! A place is a type, or members of it: `bpf_attr/link_create/tcx`. Of the structs without a name that a
//! union has, it is the one with the first of the fields. Offsets are counted from the start of
//! the type. Fields that are no member are called `pad`, `head` and `body` (what structs of their own tell),
//! and `bits` (the place of many bit-fields).

/// Declares plain structs that are laid out as the kernel's.
macro_rules! shared {
    ($(
        $(#[$doc:meta])*
        $name:ident = $($place:literal)|+, $size:literal {
            $($offset:literal $field:ident: $type:ty,)*
        }
    )*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, Default, bytemuck::Pod, bytemuck::Zeroable)]
            #[repr(C)]
            pub(crate) struct $name {
                $(pub(crate) $field: $type,)*
            }

            const _: () = {
                assert!(size_of::<$name>() == $size);
                $(assert!(std::mem::offset_of!($name, $field) == $offset);)*
            };
        )*

        #[cfg(test)]
        pub(crate) const LAYOUTS: &[crate::layout::Layout] = &[$(
            crate::layout::Layout {
                name: stringify!($name),
                places: &[$($place),+],
                fields: &[$((stringify!($field), $offset, size_of::<$type>()),)*],
            },
        )*];
    };
}

pub(crate) use shared;

#[cfg(test)]
mod tests {
    use purebpf_insn::Insn;

    use crate::layout::{Kernel, Layout};
    use crate::{attr, info, link_block, perf};

    /// Records that are no structs here, but read and written word by word, and those of other crates.
    const RECORDS: &[Layout] = &[
        Layout {
            name: "Insn",
            places: &["bpf_insn"],
            fields: &[
                ("code", std::mem::offset_of!(Insn, code), 1),
                ("bits", 1, 1),
                ("off", std::mem::offset_of!(Insn, off), 2),
                ("imm", std::mem::offset_of!(Insn, imm), 4),
            ],
        },
        Layout {
            name: "func_info",
            places: &["bpf_func_info"],
            fields: &[("insn_off", 0, 4), ("type_id", 4, 4)],
        },
        Layout {
            name: "line_info",
            places: &["bpf_line_info"],
            fields: &[
                ("insn_off", 0, 4),
                ("file_name_off", 4, 4),
                ("line_off", 8, 4),
                ("line_col", 12, 4),
            ],
        },
        Layout {
            name: "core_relo",
            places: &["bpf_core_relo"],
            fields: &[
                ("insn_off", 0, 4),
                ("type_id", 4, 4),
                ("access_str_off", 8, 4),
                ("kind", 12, 4),
            ],
        },
    ];

    #[test]
    fn what_is_shared_with_the_kernel_lies_where_the_kernel_has_it() {
        let all = [
            attr::LAYOUTS,
            info::LAYOUTS,
            link_block::LAYOUTS,
            perf::LAYOUTS,
            RECORDS,
        ];
        let all: Vec<_> = all.into_iter().flatten().collect();
        Kernel::check(&all);
    }

    #[test]
    fn bits_of_a_perf_event_are_numbered_as_the_kernel_does() {
        let Some(kernel) = Kernel::read() else { return };
        let members = kernel.members("perf_event_attr", "type").unwrap();
        let start = std::mem::offset_of!(perf::Attr, bits) as u32 * 8;
        for (name, number) in [("freq", perf::FREQ), ("watermark", perf::WATERMARK)] {
            let found = members.iter().find(|member| member.name == name);
            assert_eq!(found.map(|found| found.bit), Some(start + number), "{name}");
        }
    }
}
