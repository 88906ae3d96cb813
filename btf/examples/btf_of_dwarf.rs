//! Makes BTF of the DWARF of an ELF file, as `pahole -J --btf_encode_detached` does:
//!
//! ```text
//! btf_of_dwarf FILE BTF [all-functions|no-functions] [all-variables] [optimized] [threads=N] [base=BTF]
//! ```

#![expect(clippy::print_stdout, reason = "this is a program")]

use std::sync::Arc;
use std::time::Instant;
use std::{env, error, fs, process};

use purebpf_btf::Btf;
use purebpf_btf::dwarf::{self, Functions, Options, Variables};

fn main() -> Result<(), Box<dyn error::Error>> {
    let mut args = env::args().skip(1);
    let (Some(file), Some(output)) = (args.next(), args.next()) else {
        println!("usage: btf_of_dwarf FILE BTF [OPTION...]");
        process::exit(2);
    };
    let mut options = Options::new();
    for arg in args {
        options = match arg.as_str() {
            "all-functions" => options.functions(Functions::All),
            "no-functions" => options.functions(Functions::None),
            "all-variables" => options.variables(Variables::All),
            "optimized" => options.optimized_functions(true),
            other => match other.split_once('=') {
                Some(("threads", threads)) => options.threads(threads.parse()?),
                Some(("base", base)) => options.base(Arc::new(Btf::parse(fs::read(base)?)?)),
                _ => return Err(format!("unknown option {other}").into()),
            },
        };
    }
    let data = fs::read(&file)?;
    let start = Instant::now();
    let encoded = dwarf::encode(&data, &options)?;
    let report = &encoded.report;
    println!(
        "{} types of {} units in {:.2?}",
        encoded.btf.len(),
        report.units,
        start.elapsed()
    );
    println!("functions: {:?}", report.functions);
    println!(
        "variables: {}, structs without members: {}, dangling references: {}",
        report.variables, report.opaque, report.dangling
    );
    for unit in &report.skipped {
        println!(
            "skipped {} at {:#x}: {}",
            unit.name, unit.offset, unit.reason
        );
    }
    fs::write(&output, encoded.btf.to_bytes(encoded.endian))?;
    Ok(())
}
