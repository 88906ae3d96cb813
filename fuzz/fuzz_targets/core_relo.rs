//! CO-RE: the relocations of a real object against any kernel's BTF, and any relocations within it.

#![no_main]

use std::hint::black_box;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use purebpf_btf::Btf;
use purebpf_btf::core::{KnownTargets, Resolver, types_compatible, types_match};
use purebpf_btf::ext::CoreRelo;
use purebpf_fuzz::{limits, mutate, relocations};

fn resolve(local: &Arc<Btf>, main: &Arc<Btf>, relocations: &[CoreRelo]) {
    let modules = Vec::new();
    let targets = KnownTargets {
        main: Arc::clone(main),
        modules,
    };
    let mut resolver = Resolver::new(Arc::clone(local), targets);
    for relocation in relocations {
        match resolver.resolve(relocation) {
            Ok(resolution) => black_box(resolution.tried.len()),
            Err(error) => black_box(error.to_string().len()),
        };
    }
}

fuzz_target!(|data: &[u8]| {
    let (local, known) = &*relocations::OBJECT;
    let _limits = limits::arm(data, 1 << 20, 32);
    let (any, target) = purebpf_fuzz::halves(data);
    let Ok(target) = Btf::parse(target).map(Arc::new) else {
        return;
    };
    resolve(local, &target, known);
    let any = relocations::of(any);
    resolve(&target, &target, &any);
    for pair in any.windows(2).take(8) {
        let [a, b] = [pair[0].type_id, pair[1].type_id];
        black_box(types_compatible(&target, a, &target, b).is_ok());
        black_box(types_match(&target, a, &target, b).is_ok());
    }
});

purebpf_fuzz::mutator!(mutate::parts::relocations);
