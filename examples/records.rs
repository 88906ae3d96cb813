//! Loads an object, attaches all its programs, and prints what arrives in one of its ring buffers.
//!
//! ```sh
//! cargo run --example records -- FILE MAP [COUNT]
//! cargo run --example records -- cli/bpf/processes.bpf.o processes 10
//! ```

#![allow(clippy::print_stdout, reason = "it is what the example is for")]

use std::error::Error;

use purebpf::{ObjectSpec, RingBuffer};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(file), Some(map)) = (arguments.next(), arguments.next()) else {
        return Err("usage: records FILE MAP [COUNT]".into());
    };
    let count = arguments
        .next()
        .map_or(Ok(usize::MAX), |text| text.parse())?;

    let object = purebpf::load(&ObjectSpec::open(file)?)?;
    let mut ring = RingBuffer::new(&object.map(&map)?)?;
    let _links = object.attach_all()?; // what the section names say

    let mut seen = 0;
    while seen < count && ring.wait(None)? {
        while let Some(record) = ring.next()? {
            println!("{} bytes: {:02x?}", record.len(), &*record);
            seen += 1;
        }
    }
    Ok(())
}
