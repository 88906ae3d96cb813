//! The types of any BTF as C.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use purebpf_btf::Btf;
use purebpf_btf::dump::{CDump, DeclOptions, Header};
use purebpf_fuzz::{limits, mutate};

/// Bytes of text asked for at most.
const LIMIT: usize = 1 << 18;
/// What may be printed before the length is looked at again, beside a name.
const PIECE: usize = 1 << 12;
/// How many types are printed one by one; each may take all steps that there are.
const SINGLE: usize = 16;

fuzz_target!(|data: &[u8]| {
    let _limits = limits::arm(data, 16 * LIMIT, 32);
    let (first, second) = purebpf_fuzz::halves(data);
    let Ok(btf) = Btf::parse(first) else {
        return;
    };
    let btf = Arc::new(btf);
    print(&btf, data.len());
    if let Ok(split) = Btf::parse_split(second, Arc::clone(&btf)) {
        print(&split, data.len());
    }
});

fn print(btf: &Btf, names: usize) {
    let most = LIMIT + PIECE + names;
    let mut dump = CDump::new(btf).max_text(LIMIT);
    let mut text = String::new();
    if dump.dump_own(&mut text).is_ok() {
        assert!(text.len() <= most, "{} bytes", text.len());
        let len = text.len();
        dump.dump_own(&mut text).expect("it was printed before");
        assert_eq!(text.len(), len, "each type is printed once");
    } else {
        assert!(text.is_empty(), "an error leaves the text alone");
    }
    for id in btf.ids().take(SINGLE) {
        let mut text = String::new();
        let mut dump = CDump::new(btf).max_text(LIMIT).expand_unnamed(true);
        let result = dump.dump_type(id, &mut text);
        assert!(result.is_err() || text.len() <= most);
        let strip = id.0 % 2 == 0;
        let options = DeclOptions::named("name").indent(id.0).strip_mods(strip);
        let mut text = String::new();
        let result = dump.type_decl(id, &options, &mut text);
        assert!(result.is_err() || text.len() <= most);
    }
    let header = || Header::new(btf).max_text(LIMIT).to_text();
    match (header(), header()) {
        (Ok(first), Ok(second)) => assert_eq!(first, second),
        (first, second) => assert!(first.is_err() && second.is_err()),
    }
}

purebpf_fuzz::mutator!(mutate::parts::pair);
