//! CO-RE: the relocations of a real object against any kernel's BTF, and any relocations within it.

#![no_main]

use std::hint::black_box;
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use purebpf_btf::core::{KnownTargets, Resolver, types_compatible, types_match};
use purebpf_btf::ext::{BtfExt, CoreRelo};
use purebpf_btf::{Btf, TypeId};

/// Each may take a million steps.
const RELOCATIONS: usize = 64;

static OBJECT: LazyLock<(Arc<Btf>, Vec<CoreRelo>)> = LazyLock::new(|| {
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

fn resolve(local: &Arc<Btf>, main: &Arc<Btf>, relocations: impl Iterator<Item = CoreRelo>) {
    let modules = Vec::new();
    let targets = KnownTargets {
        main: Arc::clone(main),
        modules,
    };
    let mut resolver = Resolver::new(Arc::clone(local), targets);
    for relocation in relocations {
        match resolver.resolve(&relocation) {
            Ok(resolution) => black_box(resolution.tried.len()),
            Err(error) => black_box(error.to_string().len()),
        };
    }
}

fuzz_target!(|data: &[u8]| {
    let (relocations, target) = purebpf_fuzz::halves(data);
    let Ok(target) = Btf::parse(target).map(Arc::new) else {
        return;
    };
    let (local, known) = &*OBJECT;
    resolve(local, &target, known.iter().copied());
    let any = relocations
        .as_chunks::<16>()
        .0
        .iter()
        .take(RELOCATIONS)
        .map(|record| {
            let word = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|i| record[at + i]));
            CoreRelo {
                insn_off: word(0),
                type_id: TypeId(word(4)),
                access_str_off: word(8),
                kind: word(12),
            }
        });
    let any: Vec<CoreRelo> = any.collect();
    resolve(&target, &target, any.iter().copied());
    for pair in any.windows(2).take(8) {
        let [a, b] = [pair[0].type_id, pair[1].type_id];
        black_box(types_compatible(&target, a, &target, b).is_ok());
        black_box(types_match(&target, a, &target, b).is_ok());
    }
});
