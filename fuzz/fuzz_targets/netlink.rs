//! Any bytes as what a netlink socket receives.

#![no_main]

use std::hint::black_box;

use libfuzzer_sys::fuzz_target;
use purebpf_fuzz::limits;
use purebpf_handles::messages::{Device, Filter, take};

/// The number of the request.
const SEQUENCE: u32 = 1;

fuzz_target!(|data: &[u8]| {
    let _limits = limits::arm(data, 1 << 20, 32);
    let mut answers = Vec::new();
    match take("RTM_GETLINK", SEQUENCE, data, &mut answers) {
        Ok(_) => {}
        Err(error) => drop(black_box(error.to_string())),
    }
    // A message has a header of 16 bytes.
    assert!(answers.len() * 16 <= data.len());
    for answer in &answers {
        black_box(Device::from(answer));
        black_box(Filter::from(answer));
    }
});
