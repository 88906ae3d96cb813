//! Shows what differs between two BTFs, raw or, with the feature `elf`, in ELF files:
//!
//! ```text
//! btf_diff A B
//! ```

#![expect(clippy::print_stdout, reason = "this is a program")]

use std::{env, error, fs, process};

use purebpf_btf::{Btf, diff::diff};

fn main() -> Result<(), Box<dyn error::Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [a, b] = args.as_slice() else {
        println!("usage: btf_diff A B");
        process::exit(2);
    };
    let (a, b) = (Btf::parse(fs::read(a)?)?, Btf::parse(fs::read(b)?)?);
    print!("{}", diff(&a, &b)?);
    Ok(())
}
