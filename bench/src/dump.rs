//! Types as C and values as text, type by type against libbpf, and how much work it is.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use clap::ValueEnum as _;
use purebpf::btf::dump::{CDump, ValueText};
use purebpf::btf::{Btf, Kind, SecInfo, TypeId, TypeKind};

use crate::Who;
use crate::libbpf_dump::{Dump, ValueStyle};
use crate::speed;

/// The types of the running kernel.
const KERNEL: &str = "/sys/kernel/btf/vmlinux";
/// Those who can print types.
const PRINTERS: [Who; 3] = [Who::Nobody, Who::Libbpf, Who::Purebpf];
const EINVAL: i32 = 22;
/// Values larger than this are left out.
const MAX_VALUE: u32 = 1 << 16;

#[derive(clap::Args)]
pub struct Arguments {
    /// BTF, raw or in ELF files; the running kernel's if there are none
    files: Vec<PathBuf>,
    /// The BTF that they continue
    #[arg(long)]
    base: Option<PathBuf>,
    /// How many differences to show
    #[arg(long, default_value_t = 3)]
    show: usize,
    /// How many times each prints for the time, of which the median counts
    #[arg(long, default_value_t = 20)]
    runs: usize,
}

/// Bytes and options with which every value is printed.
struct Pattern {
    name: &'static str,
    byte: fn(usize) -> u8,
    style: ValueStyle,
}

const PATTERNS: [Pattern; 4] = [
    Pattern {
        name: "lines",
        // Where a bit is zero, libbpf leaves out what is not.
        byte: |_| 0xff,
        style: style(false, false),
    },
    Pattern {
        name: "counted",
        byte: |index| (index % 31) as u8 + 1,
        style: style(true, true),
    },
    Pattern {
        name: "letters",
        byte: |index| b'A' + (index % 26) as u8,
        style: style(true, true),
    },
    Pattern {
        name: "zeroes",
        byte: |index| u8::from(index % 16 == 0),
        style: style(true, true),
    },
];

const fn style(compact: bool, emit_zeroes: bool) -> ValueStyle {
    ValueStyle {
        compact,
        skip_names: false,
        emit_zeroes,
        emit_strings: false,
    }
}

/// Counts of one comparison.
#[derive(Default)]
struct Tally {
    same: usize,
    /// Different because libbpf's text is wrong, in a way that is known.
    mended: usize,
    different: usize,
    /// Only one side prints it.
    refused: usize,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let base = arguments.base.as_deref().map(read).transpose()?;
    let kernel = [PathBuf::from(KERNEL)];
    let files = match arguments.files.as_slice() {
        [] => &kernel,
        files => files,
    };
    let mut types = Tally::default();
    let mut values: Vec<Tally> = PATTERNS.iter().map(|_| Tally::default()).collect();
    let mut left = arguments.show;
    for file in files {
        let data = read(file).with_context(|| format!("reading {}", file.display()))?;
        let ours = parse(&data, base.as_deref())
            .with_context(|| format!("the BTF of {}", file.display()))?;
        let name = file.display().to_string();
        compare_types(&name, &data, base.as_deref(), &ours, &mut types, &mut left)?;
        for (pattern, tally) in PATTERNS.iter().zip(&mut values) {
            let mut theirs = Dump::new(&data, base.as_deref())?;
            compare_values(&name, &mut theirs, &ours, pattern, tally, &mut left);
        }
    }
    println!("files                        {}", files.len());
    types.print("types as C");
    for (pattern, tally) in PATTERNS.iter().zip(&values) {
        tally.print(&format!("values, {}", pattern.name));
    }
    match files {
        [file] => work(file, arguments.base.as_deref(), arguments.runs),
        _ => Ok(()),
    }
}

/// Prints all types of a file once, for a profiler to count.
pub fn print_all(who: Who, file: &Path, base: Option<&Path>) -> anyhow::Result<()> {
    let data = read(file)?;
    let base = base.map(read).transpose()?;
    match who {
        Who::Libbpf => {
            let mut dump = Dump::new(&data, base.as_deref())?;
            let count = parse(&data, base.as_deref())?.len();
            for id in 1..count {
                let text = dump.dump_type(id);
                std::hint::black_box(text.map_err(std::io::Error::from_raw_os_error)?);
            }
        }
        Who::Purebpf => {
            let btf = parse(&data, base.as_deref())?;
            let mut text = String::new();
            CDump::new(&btf).dump_all(&mut text)?;
            std::hint::black_box(text);
        }
        // What it costs to read the file and to see what is in it.
        _ => {
            std::hint::black_box(parse(&data, base.as_deref())?);
        }
    }
    Ok(())
}

/// The content of a file, or of its section `.BTF`.
fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let data = std::fs::read(path).with_context(|| path.display().to_string())?;
    if !data.starts_with(b"\x7fELF") {
        return Ok(data);
    }
    let section = purebpf::elf::find_section(&data, ".BTF")?;
    Ok(section.context("no section .BTF")?.to_vec())
}

fn parse(data: &[u8], base: Option<&[u8]>) -> anyhow::Result<Btf> {
    Ok(match base {
        Some(base) => Btf::parse_split(data, Arc::new(Btf::parse(base)?))?,
        None => Btf::parse(data)?,
    })
}

fn compare_types(
    file: &str,
    data: &[u8],
    base: Option<&[u8]>,
    btf: &Btf,
    tally: &mut Tally,
    left: &mut usize,
) -> anyhow::Result<()> {
    let mut theirs = Dump::new(data, base)?;
    let mut ours = CDump::new(btf);
    for id in btf.ids() {
        let mut text = String::new();
        let result = ours.dump_type(id, &mut text);
        match (theirs.dump_type(id.0), result) {
            (Ok(theirs), Ok(())) if theirs == text => tally.same += usize::from(!text.is_empty()),
            (Ok(theirs), Ok(())) => {
                tally.different += 1;
                show(left, &format!("{file} type {id}"), &theirs, &text);
            }
            (Err(_), Err(_)) => {}
            (theirs, result) => {
                tally.refused += 1;
                let text = result.map_or_else(|error| error.to_string(), |()| text);
                show(
                    left,
                    &format!("{file} type {id}"),
                    &format!("{theirs:?}"),
                    &text,
                );
            }
        }
    }
    Ok(())
}

fn compare_values(
    file: &str,
    theirs: &mut Dump,
    btf: &Btf,
    pattern: &Pattern,
    tally: &mut Tally,
    left: &mut usize,
) {
    let style = pattern.style;
    let mut ours = ValueText::new(btf)
        .compact(style.compact)
        .skip_names(style.skip_names)
        .emit_zeroes(style.emit_zeroes)
        .emit_strings(style.emit_strings);
    for id in btf.own_ids() {
        let Some(size) = size_of(btf, id).filter(|size| *size <= MAX_VALUE) else {
            continue;
        };
        let bytes: Vec<u8> = (0..size as usize).map(pattern.byte).collect();
        let text = ours.to_text(id, &bytes);
        let (theirs, errno) = theirs.value(id.0, &bytes, style);
        // glibc's `%p`, and a name that is not there.
        let theirs = theirs.replace("(nil)", "0x0").replace("enum )", "enum)");
        match text {
            Ok(text) if errno == 0 && text == theirs => tally.same += 1,
            Ok(text) if errno == 0 && !Traits::of(btf, id, 0).is_mended(pattern) => {
                tally.different += 1;
                let title = format!("{file} value of {id}, {}", pattern.name);
                show(left, &title, &theirs, &text);
            }
            Ok(_) if errno == 0 => tally.mended += 1,
            // An array of what has no size ends libbpf's text.
            Ok(text) if errno == EINVAL && text.contains("[]") => tally.mended += 1,
            Err(_) if errno != 0 => {}
            text => {
                tally.refused += 1;
                let text = text.unwrap_or_else(|error| error.to_string());
                let title = format!("{file} value of {id}, {}, errno {errno}", pattern.name);
                show(left, &title, &theirs, &text);
            }
        }
    }
}

/// Bytes of what may be a value.
fn size_of(btf: &Btf, id: TypeId) -> Option<u32> {
    match btf.ty(id).ok()?.kind {
        TypeKind::Struct(_) | TypeKind::Union(_) | TypeKind::Typedef(_) => {
            btf.resolve_size(id).ok()
        }
        // Before it is loaded, an object does not say how large its sections are.
        TypeKind::Datasec { secinfos, .. } => {
            let end = |info: SecInfo| info.offset.checked_add(btf.resolve_size(info.ty).ok()?);
            secinfos
                .iter()
                .map(end)
                .try_fold(0, |most, end| Some(end?.max(most)))
        }
        _ => None,
    }
}

/// What in a type makes libbpf print something wrong.
#[derive(Clone, Copy, Default)]
struct Traits {
    /// An array of one-byte integers, which makes all that follow characters.
    byte_array: bool,
    /// A signed enum, of which the sign or what follows it is lost.
    signed_enum: bool,
    /// A bit-field that reaches beyond its storage, of which the end is lost.
    wide_bitfield: bool,
    /// An array or struct of no size, or an enum in a bit-field, which counts as zero.
    apparent_zero: bool,
    /// A variable with a flexible array, of which the elements are left out.
    flexible_variable: bool,
    /// A floating point number that depends on the machine.
    wide_float: bool,
    /// An enumerator of 2^31 or more, which is not found.
    large_enumerator: bool,
}

impl Traits {
    fn of(btf: &Btf, id: TypeId, depth: usize) -> Self {
        let mut traits = Self::default();
        let id = btf.skip_mods_and_typedefs(id).unwrap_or_default();
        let Ok(ty) = btf.ty(id) else { return traits };
        if depth > 32 {
            return traits;
        }
        match ty.kind {
            TypeKind::Struct(composite) | TypeKind::Union(composite) => {
                traits.apparent_zero |= composite.size == 0;
                for member in composite.members {
                    let inner = btf.skip_mods_and_typedefs(member.ty).unwrap_or_default();
                    if let (Ok(size), true) = (btf.resolve_size(inner), member.bitfield_size > 0) {
                        let end = member.bit_offset % 8 + u32::from(member.bitfield_size);
                        traits.wide_bitfield |= end > size * 8 || size > 8;
                        let kind = btf.ty(inner).ok().and_then(|ty| ty.kind.id());
                        traits.apparent_zero |= kind.is_some_and(Kind::is_enum);
                    }
                    traits.add(Self::of(btf, inner, depth + 1));
                }
            }
            TypeKind::Array { elem, nelems, .. } => {
                traits.apparent_zero |= nelems == 0;
                let inner = btf.skip_mods_and_typedefs(elem).unwrap_or_default();
                traits.byte_array |= btf.resolve_size(inner).is_ok_and(|size| size == 1)
                    && btf
                        .ty(inner)
                        .is_ok_and(|ty| ty.kind.id() == Some(Kind::Int));
                traits.add(Self::of(btf, inner, depth + 1));
            }
            TypeKind::Datasec { secinfos, .. } => {
                for secinfo in secinfos {
                    let size = btf.resolve_size(secinfo.ty).unwrap_or(0);
                    traits.flexible_variable |= secinfo.size > size;
                    traits.add(Self::of(btf, secinfo.ty, depth + 1));
                }
            }
            TypeKind::Var { ty, .. } => traits.add(Self::of(btf, ty, depth + 1)),
            TypeKind::Float { size } => traits.wide_float = size > 8,
            TypeKind::Enum { signed: true, .. } | TypeKind::Enum64 { signed: true, .. } => {
                traits.signed_enum = true;
            }
            TypeKind::Enum { values, .. } => {
                traits.large_enumerator = values.iter().any(|value| value.value >> 31 != 0)
            }
            _ => {}
        }
        traits
    }

    fn add(&mut self, other: Self) {
        self.byte_array |= other.byte_array;
        self.signed_enum |= other.signed_enum;
        self.wide_bitfield |= other.wide_bitfield;
        self.apparent_zero |= other.apparent_zero;
        self.flexible_variable |= other.flexible_variable;
        self.wide_float |= other.wide_float;
        self.large_enumerator |= other.large_enumerator;
    }

    /// Whether libbpf's text of these bytes may be wrong.
    fn is_mended(self, pattern: &Pattern) -> bool {
        let has = |wanted: fn(u8) -> bool| (0..256).any(|index| wanted((pattern.byte)(index)));
        (self.byte_array && has(|byte| byte == 0 || (b' '..=b'~').contains(&byte)))
            || self.signed_enum
            || self.wide_bitfield
            || self.flexible_variable
            || self.wide_float
            || (self.apparent_zero && !pattern.style.emit_zeroes)
            || self.large_enumerator
    }
}

impl Tally {
    fn print(&self, what: &str) {
        let Self {
            same,
            mended,
            different,
            refused,
        } = self;
        println!(
            "{what:<28} {same} same, {different} differ, {mended} mended, {refused} of one side only"
        );
    }
}

/// Prints where two texts differ first.
fn show(left: &mut usize, title: &str, theirs: &str, ours: &str) {
    if *left == 0 {
        return;
    }
    *left -= 1;
    let at = theirs
        .bytes()
        .zip(ours.bytes())
        .take_while(|(a, b)| a == b)
        .count();
    let part = |text: &str| {
        let bytes = text.as_bytes();
        let start = at.saturating_sub(60).min(bytes.len());
        let end = (at + 60).min(bytes.len());
        String::from_utf8_lossy(&bytes[start..end]).into_owned()
    };
    println!(
        "{title}\n  libbpf:  {:?}\n  purebpf: {:?}",
        part(theirs),
        part(ours)
    );
}

/// Prints how much work it is to print all types of a file.
fn work(file: &Path, base: Option<&Path>, runs: usize) -> anyhow::Result<()> {
    println!("printer     instructions  without reading  of libbpf's    time, ms");
    let mut rows = Vec::new();
    for who in PRINTERS {
        let value = who.to_possible_value().context("a printer has a name")?;
        let mut arguments = vec!["print".into(), value.get_name().into(), file.into()];
        if let Some(base) = base {
            arguments.extend(["--base".into(), base.into()]);
        }
        let instructions = speed::instructions(&arguments)?;
        let times = (0..runs)
            .map(|_| speed::time(Command::new(std::env::current_exe()?).args(&arguments)))
            .collect::<anyhow::Result<Vec<_>>>()?;
        rows.push((value, instructions, speed::median(&times)));
    }
    let [(_, reading, _), (_, libbpf, _), _] = rows.as_slice() else {
        return Ok(());
    };
    ensure!(libbpf > reading, "libbpf does something");
    for (value, instructions, time) in &rows {
        println!(
            "{:<10}  {instructions:>12}  {:>15}  {:>11.3}  {:>10.2}",
            value.get_name(),
            instructions.saturating_sub(*reading),
            *instructions as f64 / *libbpf as f64,
            time.as_secs_f64() * 1e3,
        );
    }
    Ok(())
}
