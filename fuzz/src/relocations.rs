//! Relocations of CO-RE: those of a real object, and any.

use std::sync::{Arc, LazyLock};

use purebpf_btf::ext::{BtfExt, CoreRelo};
use purebpf_btf::{Btf, TypeId};

/// Each may take a million steps.
const MOST: usize = 64;

/// The types of a fixture, and its relocations.
pub static OBJECT: LazyLock<(Arc<Btf>, Vec<CoreRelo>)> = LazyLock::new(|| {
    let file: &[u8] = include_bytes!("../../tests/bpf/core.bpf.o");
    let section = |name| {
        purebpf_elf::find_section(file, name)
            .ok()
            .flatten()
            .expect(name)
    };
    let btf = Btf::parse(section(".BTF")).expect("the fixture's BTF");
    let ext = BtfExt::parse(section(".BTF.ext")).expect("the fixture's relocations");
    let relocations = ext
        .core_relos()
        .sections()
        .flat_map(|section| section.iter())
        .collect();
    (Arc::new(btf), relocations)
});

/// Any bytes as relocations, so many at most.
#[must_use]
pub fn of(bytes: &[u8]) -> Vec<CoreRelo> {
    let records = bytes.as_chunks::<16>().0.iter().take(MOST);
    records
        .map(|record| {
            let word = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|i| record[at + i]));
            CoreRelo {
                insn_off: word(0),
                type_id: TypeId(word(4)),
                access_str_off: word(8),
                kind: word(12),
            }
        })
        .collect()
}
