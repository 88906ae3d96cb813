//! Shows what differs between two BTFs, which may both continue a third:
//!
//! ```text
//! btf_diff A B [BASE]
//! ```

#![expect(clippy::print_stdout, reason = "this is a program")]

use std::sync::Arc;
use std::{env, error, fs, io, process};

use purebpf_btf::{Btf, diff::diff};

fn main() -> Result<(), Box<dyn error::Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let (a, b) = match args.as_slice() {
        [a, b] => (Btf::parse(fs::read(a)?)?, Btf::parse(fs::read(b)?)?),
        [a, b, base] => {
            let base = Arc::new(Btf::parse(fs::read(base)?)?);
            let split =
                |file| Btf::parse_split(fs::read(file)?, base.clone()).map_err(io::Error::other);
            (split(a)?, split(b)?)
        }
        _ => {
            println!("usage: btf_diff A B [BASE]");
            process::exit(2);
        }
    };
    print!("{}", diff(&a, &b)?);
    Ok(())
}
