//! Any bytes as BTF, with a base or without, whose equal types are made one.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use purebpf_btf::{Btf, Kind, TypeId};
use purebpf_fuzz::{limits, mutate};

fuzz_target!(|data: &[u8]| {
    let _limits = limits::arm(data, 1 << 20, 32);
    let (base, own) = purebpf_fuzz::halves(data);
    let btf = match Btf::parse(base) {
        Ok(base) => Btf::parse_split(own, Arc::new(base)),
        Err(_) => Btf::parse(own),
    };
    let Ok(btf) = btf else { return };
    if let Ok(dedup) = btf.dedup() {
        assert!(dedup.btf.len() <= btf.len());
        assert_eq!(dedup.ids.len(), btf.own_ids().count());
        let kind = |btf: &Btf, id| btf.ty(id).expect("ids are there").kind.id();
        for (old, new) in btf.own_ids().zip(&dedup.ids) {
            let (before, after) = (kind(&btf, old), kind(&dedup.btf, *new));
            let is_declared = matches!(before, Some(Kind::Fwd | Kind::Enum | Kind::Enum64));
            assert!(before == after || is_declared, "{old} {before:?} {after:?}");
            assert_eq!(btf.name(old).ok(), dedup.btf.name(*new).ok());
        }
        purebpf_fuzz::walk(&dedup.btf);
    }
    let sorted = btf.sorted_ids();
    if let Ok(permuted) = btf.permute(&sorted) {
        let back: Vec<TypeId> = {
            let mut back = vec![TypeId::VOID; sorted.len()];
            for (old, new) in btf.own_ids().zip(&sorted) {
                back[(new.0 - btf.start_id().0) as usize] = old;
            }
            back
        };
        let again = permuted
            .permute(&back)
            .expect("what was permuted can be again");
        for id in btf.own_ids() {
            assert_eq!(again.name(id).ok(), btf.name(id).ok());
        }
    }
});

purebpf_fuzz::mutator!(mutate::parts::pair);
