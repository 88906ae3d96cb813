//! Prints every byte of the plans of the fixtures: `cargo xtask foreign` compares what machines of
//! either byte order make of them.

#![allow(clippy::print_stdout, reason = "that is what it is for")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use purebpf_btf::Btf;
use purebpf_insn::Endian;
use purebpf_plan::{DescribedKernel, Info, MapPlan, ObjectSpec, Plan, ProgramPlan};

const LINUX_7_2: u32 = 0x07_02_00;
const CONFIG: &str = "CONFIG_HZ=250\nCONFIG_BPF_SYSCALL=y\nCONFIG_DEFAULT_HOSTNAME=\"(none)\"\n";

fn main() -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/bpf");
    let paths = std::fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path()));
    let mut paths: Vec<PathBuf> = paths.collect::<Result<_, _>>()?;
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "o"));
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match planned(&path) {
            Ok(plan) => show(&name, &plan),
            Err(error) => println!("{name}: {error}"),
        }
    }
    Ok(())
}

/// For a kernel that has the object's own types.
fn planned(path: &Path) -> Result<Plan, purebpf_plan::Error> {
    let spec = ObjectSpec::open(path)?;
    let mut kernel = DescribedKernel::new(LINUX_7_2).config(CONFIG).symbols("");
    if let Some(btf) = spec.btf() {
        kernel = kernel.btf(Arc::<Btf>::clone(btf));
    }
    spec.plan(&kernel)
}

fn show(name: &str, plan: &Plan) {
    println!(
        "{name}: {} {} {}",
        plan.endian, plan.license, plan.kernel_version
    );
    println!(
        "{name} BTF: {}",
        hex(plan.btf.as_deref().unwrap_or_default())
    );
    for map in &plan.maps {
        println!("{name} map {}", text(map));
    }
    for program in &plan.programs {
        show_program(
            &format!("{name} program {}", program.name),
            program,
            plan.endian,
        );
    }
}

fn text(map: &MapPlan) -> String {
    let mut map = map.clone();
    let contents = map.contents.take().as_deref().map(hex);
    format!("{map:?} {contents:?}")
}

fn show_program(name: &str, program: &ProgramPlan, endian: Endian) {
    let (target, code) = (&program.attach_to, &program.code);
    println!("{name}: {} {target:?}", program.program_type);
    let code = match code {
        Ok(code) => code,
        Err(error) => return println!("{name}: {error}"),
    };
    let insns = code.insns.iter().flat_map(|insn| insn.to_bytes(endian));
    println!("{name} code: {}", hex(&insns.collect::<Vec<_>>()));
    println!(
        "{name} refers to {:?} {:?}",
        code.references, code.jump_tables
    );
    println!("{name} lacks {:?}", code.poisons);
    for (kind, info) in [("functions", &code.func_info), ("lines", &code.line_info)] {
        let bytes = info.as_ref().map(|info: &Info| info.to_bytes(endian));
        println!("{name} {kind}: {}", hex(&bytes.unwrap_or_default()));
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut hex = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _infallible = write!(hex, "{byte:02x}");
    }
    hex
}
