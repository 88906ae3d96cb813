//! Differences from libbpf that are on purpose, or its version's, and why.

struct Known {
    file: &'static str,
    /// A program or map; the whole object if empty.
    name: &'static str,
    why: &'static str,
}

const RING_WITH_TYPE: &str = "libbpf passes on the size of a ring buffer's records as the size of \
    its values, which the kernel refuses";
const EMPTY_SLOT: &str = "libbpf puts what is not loaded or created into a slot, which the kernel \
    refuses; here the slot stays empty";
const SINCE_1_8: &str = "libbpf knows this section from 1.8 on, here is 1.7";

#[rustfmt::skip]
const KNOWN: &[Known] = &[
    Known { file: "map_kinds.bpf.o", name: "typed_ring", why: RING_WITH_TYPE },
    Known { file: "sections.bpf.o", name: "on_tracepoint_s", why: SINCE_1_8 },
    Known { file: "sections.bpf.o", name: "on_tp_s", why: SINCE_1_8 },
    Known { file: "sections.bpf.o", name: "on_raw_tracepoint_s", why: SINCE_1_8 },
    Known { file: "sections.bpf.o", name: "on_raw_tp_s", why: SINCE_1_8 },
    Known { file: "sections.bpf.o", name: "on_tp_btf_s", why: SINCE_1_8 },
    Known { file: "sections.bpf.o", name: "on_fsession_multi", why: SINCE_1_8 },
    Known { file: "sections.bpf.o", name: "on_fsession_multi_s", why: SINCE_1_8 },
    Known { file: "sections.bpf.o", name: "on_fentry_multi", why: SINCE_1_8 },
    Known { file: "sections.bpf.o", name: "on_fentry_multi_s", why: SINCE_1_8 },
    Known { file: "sections.bpf.o", name: "on_fexit_multi", why: SINCE_1_8 },
    Known { file: "sections.bpf.o", name: "on_fexit_multi_s", why: SINCE_1_8 },
];

/// What libbpf says where it fails for a reason that is known, in any file.
const SAID: &[(&str, &str)] = &[("failed to initialize slot [", EMPTY_SLOT)];

/// Why something of a file may differ, of which this is said.
pub fn reason(file: &str, name: &str, said: &str) -> Option<&'static str> {
    let of_file = KNOWN
        .iter()
        .find(|known| known.file == file && known.name == name)
        .map(|known| known.why);
    of_file.or_else(|| {
        let said = SAID.iter().find(|(part, _)| said.contains(part));
        said.map(|(_, why)| *why)
    })
}
