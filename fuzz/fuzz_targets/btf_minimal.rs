//! The smallest BTF for the relocations of a real object, and for any within the BTF itself.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use purebpf_btf::core::{KnownTargets, Outcome, RelocationKind, Resolver};
use purebpf_btf::ext::CoreRelo;
use purebpf_btf::{Btf, MinimalBtf};
use purebpf_fuzz::{limits, mutate, relocations};

fn resolver(local: &Arc<Btf>, target: &Arc<Btf>) -> Resolver<KnownTargets> {
    let targets = KnownTargets {
        main: Arc::clone(target),
        modules: Vec::new(),
    };
    Resolver::new(Arc::clone(local), targets)
}

fn minimal(local: &Arc<Btf>, target: &Arc<Btf>, relocations: &[CoreRelo]) {
    let mut whole = resolver(local, target);
    let mut minimal = MinimalBtf::new(Arc::clone(target));
    let mut kept = Vec::new();
    for relocation in relocations {
        if let Ok(resolution) = whole.resolve(relocation)
            && minimal.add(&resolution).is_ok()
        {
            kept.push((relocation, resolution));
        }
    }
    let Ok(small) = minimal.finish() else {
        return;
    };
    assert!(small.len() <= target.len());
    let mut small = resolver(local, &Arc::new(small));
    for (relocation, before) in kept {
        // What nothing was found for may be refused for another reason where there is less.
        let Ok(after) = small.resolve(relocation) else {
            continue;
        };
        let is_id = before.kind == RelocationKind::TypeIdTarget;
        if let (Outcome::Value { .. }, false) = (&before.outcome, is_id) {
            assert_eq!(
                format!("{:?}", before.outcome),
                format!("{:?}", after.outcome),
                "{}",
                before.spec_text
            );
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let (local, known) = &*relocations::OBJECT;
    let _limits = limits::arm(data, 1 << 20, 32);
    let (any, target) = purebpf_fuzz::halves(data);
    let Ok(target) = Btf::parse(target).map(Arc::new) else {
        return;
    };
    minimal(local, &target, known);
    minimal(&target, &target, &relocations::of(any));
});

purebpf_fuzz::mutator!(mutate::parts::relocations);
