//! Any text as what `purebpf attach --at` takes: a program and the place for it.

#![no_main]

use std::hint::black_box;

use libfuzzer_sys::fuzz_target;
use purebpf_fuzz::limits;

#[allow(dead_code, reason = "texts for people are not fuzzed")]
#[path = "../../cli/src/attach/place.rs"]
mod place;

use place::{At, Place};

fuzz_target!(|text: &str| {
    let _limits = limits::arm(text, 1 << 20, 32);
    let Ok(at) = At::parse(text) else {
        return;
    };
    assert_eq!(format!("{}={}", at.program, at.place), text);
    match at.read() {
        Err(error) => drop(black_box(format!("{error:#}"))),
        // What is a name is there as it was written.
        Ok(
            Place::Xdp(name, _)
            | Place::Tcx(name, _)
            | Place::Tc(name, ..)
            | Place::Netkit(name, _)
            | Place::Cgroup(name)
            | Place::Netns(name)
            | Place::Sockmap(name)
            | Place::Source(name, _),
        ) => {
            let (kind, rest) = at.place.split_once('/').unwrap_or((&at.place, ""));
            assert!(rest.starts_with(name) && !kind.is_empty());
            assert!(at.expected().is_some());
        }
        Ok(Place::Section(section)) => assert_eq!((section, at.expected()), (&*at.place, None)),
        Ok(place) => drop(black_box(place)),
    }
});
