//! Inputs to begin with, made of the compiled fixtures: `cargo run --example seeds -- CORPUS`.

use std::fs;
use std::path::Path;

use purebpf_elf::{Object, find_section};
use purebpf_fuzz::{join, skeleton};
use purebpf_insn::Endian;
use purebpf_plan::ObjectSpec;

/// What an object gives that is good for no more: one without programs, for instance.
fn whole(file: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let targets = [
        "elf_open",
        "elf_differs",
        "object_plan",
        "host_symbols",
        "btf_file",
    ];
    targets.map(|target| (target, file.to_vec())).into()
}

/// What one object gives each target.
fn inputs(file: &[u8]) -> Option<Vec<(&'static str, Vec<u8>)>> {
    let object = Object::parse(file).ok()?;
    let btf = find_section(file, ".BTF").ok()??;
    let ext = find_section(file, ".BTF.ext").ok()??;
    let text = object.functions.iter().flat_map(|function| &function.insns);
    let text = text
        .flat_map(|insn| insn.to_bytes(Endian::Little))
        .collect();
    // An empty BTF that continues the object's own.
    let mut split = btf.get(..24)?.to_vec();
    split.get_mut(8..24)?.fill(0);
    let last = (btf.len() % 251) as u8;
    let value = [&[last, 0], &btf[..btf.len().min(512)]].concat();
    let core = purebpf_btf::ext::BtfExt::parse(ext).ok()?;
    let relocations = core
        .core_relos()
        .sections()
        .flat_map(|section| section.bytes.to_vec());
    let relocations = join(&relocations.collect::<Vec<u8>>(), btf);
    let mut inputs = vec![
        ("btf_differs", btf.to_vec()),
        ("btf_minimal", relocations.clone()),
        ("btf_parse", btf.to_vec()),
        ("btf_split", join(btf, &split)),
        ("btf_split", join(btf, btf)),
        ("btf_diff", join(btf, btf)),
        ("btf_dedup", join(&[], btf)),
        ("btf_dedup", join(btf, btf)),
        ("btf_relocate", join(btf, btf)),
        ("btf_lenient", btf.to_vec()),
        ("btf_file", [b"code", btf].concat()),
        ("btf_c", join(btf, &split)),
        ("btf_ext", ext.to_vec()),
        ("core_relo", relocations),
        ("btf_value", join(btf, &value)),
        ("disasm", text),
    ];
    let sections = object.functions.iter().map(|function| function.section);
    inputs.extend(sections.map(|section| {
        let name = object.section_name(section);
        ("section_names", name.as_bytes().to_vec())
    }));
    inputs.extend(whole(file));
    // Not all objects are of such a simple form.
    let parts = skeleton::input(file, &object)?;
    if ObjectSpec::parse(skeleton::object(&parts)).is_ok() {
        inputs.push(("object_parts", parts));
    }
    Some(inputs)
}

fn main() -> std::io::Result<()> {
    let corpus = std::env::args().nth(1).expect("the folder for the corpus");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for entry in fs::read_dir(root.join("btf/tests/dwarf"))? {
        let path = entry?.path();
        let is_elf = path.extension().is_some_and(|e| e == "o" || e == "so");
        if let Some(name) = path.file_name().filter(|_| is_elf) {
            let folder = Path::new(&corpus).join("dwarf");
            fs::create_dir_all(&folder)?;
            fs::copy(&path, folder.join(name))?;
        }
    }
    let fixtures = root.join("tests/bpf");
    for entry in fs::read_dir(fixtures)? {
        let path = entry?.path();
        let Some(name) = path
            .file_name()
            .filter(|_| path.extension().is_some_and(|e| e == "o"))
        else {
            continue;
        };
        let file = fs::read(&path)?;
        let inputs = inputs(&file).unwrap_or_else(|| whole(&file));
        for (index, (target, bytes)) in inputs.into_iter().enumerate() {
            let folder = Path::new(&corpus).join(target);
            fs::create_dir_all(&folder)?;
            fs::write(folder.join(format!("{}.{index}", name.display())), bytes)?;
        }
    }
    Ok(())
}
