//! All units, in parallel, to one BTF.

use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use gimli::constants as c;

use super::emit::{Emitter, Settings};
use super::finish;
use super::graph::Graph;
use super::image::Image;
use super::names::Names;
use super::options::{Languages, Options, Progress};
use super::read;
use super::report::{Encoded, Report, SkipReason, SkippedUnit};
use super::sections::Dwarf;
use super::subjects::Subjects;
use super::unit::{Root, Unit};
use super::units::{self, Place, Tables, Units};
use crate::btf::Btf;
use crate::builder::BtfBuilder;
use crate::error::{Error, Result};
use crate::id::TypeId;
use crate::raw::Endian;

/// Bytes of `.debug_info` that are read at a time. Most types of a chunk are in many of its units,
/// so a larger one leaves fewer duplicates; a smaller one takes less memory.
const CHUNK: u64 = 8 << 20;

/// Bytes of the name of a skipped unit that are kept.
const MAX_UNIT_NAME: usize = 512;

/// Makes BTF of the DWARF of an ELF file.
///
/// A unit that cannot be read is left out, and named in the report.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use purebpf_btf::dwarf::{Options, encode};
///
/// let encoded = encode(&std::fs::read("vmlinux")?, &Options::new())?;
/// for unit in &encoded.report.skipped {
///     println!("{}: {}", unit.name, unit.reason);
/// }
/// std::fs::write("vmlinux.btf", encoded.btf.to_bytes(encoded.endian))?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::DebugInfo`] if the file or its debug sections cannot be read, [`Error::NoDebugInfo`] if
/// it has none, [`Error::Unsupported`] if they are of a kind that cannot be read (split DWARF), and
/// [`Error::TooLarge`] if there are more types than BTF can number.
#[doc(alias = "pahole")]
#[doc(alias = "btf_encoder")]
pub fn encode(data: &[u8], options: &Options) -> Result<Encoded> {
    encode_in_chunks(data, options, CHUNK)
}

/// The same with chunks of this many bytes.
pub(super) fn encode_in_chunks(data: &[u8], options: &Options, chunk: u64) -> Result<Encoded> {
    let image = Image::parse(data, options.optimized_functions)?;
    let dwarf = image.dwarf();
    let units = Units::new(&dwarf);
    if units.all.is_empty() {
        return Err(Error::NoDebugInfo {
            problem: "its .debug_info has no units",
        });
    }
    let job = Job {
        settings: Settings::new(options, &image),
        options,
        image: &image,
        dwarf: &dwarf,
        units: &units,
        done: AtomicUsize::new(0),
        stop: AtomicBool::new(false),
    };
    let parts = match job.run(&units.chunks(chunk))? {
        Some(parts) => parts,
        // Units refer to each other, as after link-time optimization: all are read as one.
        None => job.run(&[&units.all])?.unwrap_or_default(),
    };
    job.finish(parts)
}

/// What all threads work on.
struct Job<'j, 'd> {
    settings: Settings,
    options: &'j Options,
    image: &'j Image<'d>,
    dwarf: &'j Dwarf<'j>,
    units: &'j Units<'j>,
    /// Units that were read.
    done: AtomicUsize,
    /// Somebody found out that it is of no use to go on.
    stop: AtomicBool,
}

/// What became of a chunk.
struct Part<'d> {
    btf: Btf,
    subjects: Subjects<'d>,
    report: Report,
}

impl<'j> Job<'j, '_> {
    /// Encodes each chunk; nothing comes out if one refers to another.
    fn run(&self, chunks: &[&[Place<'j>]]) -> Result<Option<Vec<Part<'j>>>> {
        self.done.store(0, Ordering::Relaxed);
        self.stop.store(false, Ordering::Relaxed);
        let threads = match NonZero::new(self.options.threads) {
            Some(threads) => threads,
            None => thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN),
        };
        let next = AtomicUsize::new(0);
        let work = || {
            let mut parts = Vec::new();
            while !self.stop.load(Ordering::Relaxed) {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(chunk) = chunks.get(number) else {
                    break;
                };
                let part = self.chunk(chunk, chunks.len() > 1);
                if !matches!(part, Ok(Some(_))) {
                    self.stop.store(true, Ordering::Relaxed);
                }
                parts.push((number, part));
            }
            parts
        };
        let mut parts = thread::scope(|scope| {
            let count = threads.get().min(chunks.len());
            let workers: Vec<_> = (1..count).map(|_| scope.spawn(work)).collect();
            let mut parts = work();
            for worker in workers {
                // A panic goes on in the thread that waits.
                parts.extend(
                    worker
                        .join()
                        .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                );
            }
            parts
        });
        parts.sort_by_key(|(number, _)| *number);
        parts.into_iter().map(|(_, part)| part).collect()
    }

    /// Encodes some units; nothing comes out if they refer to others that there are.
    fn chunk(&self, places: &[Place<'j>], others: bool) -> Result<Option<Part<'j>>> {
        let mut btf = self.builder();
        let range = units::range(places);
        let bytes = range.end.saturating_sub(range.start) as usize;
        let mut names = Names::new(self.dwarf, bytes);
        let mut graph = Graph::new(range);
        let mut tables = Tables::new();
        let mut report = Report::default();
        for place in places {
            let before = graph.checkpoint();
            let skipped = self.unit(place, &mut graph, &mut names, &mut tables, &mut btf);
            match skipped {
                Ok(true) if others => return Ok(None),
                Ok(_) => {}
                Err(skipped) => {
                    report.skipped.push(skipped);
                    graph.rollback(before, place.start..place.end());
                }
            }
            let done = self.done.fetch_add(1, Ordering::Relaxed).saturating_add(1);
            let total = self.units.all.len();
            self.options.report(Progress { done, total });
        }
        drop((names, tables));
        let mut emitter = Emitter::run(&graph, &mut btf, self.settings)?;
        let mut subjects = Subjects::collect(&mut emitter, self.image, self.options)?;
        (report.opaque, report.dangling) = (emitter.opaque, emitter.dangling());
        drop(graph);
        let btf = dedup(btf, &mut subjects)?;
        Ok(Some(Part {
            btf,
            subjects,
            report,
        }))
    }

    /// Reads one unit; the result is whether it refers to entries that the graph does not cover.
    fn unit(
        &self,
        place: &Place<'j>,
        graph: &mut Graph<'j>,
        names: &mut Names,
        tables: &mut Tables,
        btf: &mut BtfBuilder,
    ) -> Result<bool, SkippedUnit> {
        let mut skipped = SkippedUnit {
            name: String::new(),
            offset: place.start,
            reason: SkipReason::Split,
        };
        let broken = |problem: &dyn std::error::Error| {
            let cause = problem.source().map(|cause| format!(": {cause}"));
            SkipReason::Broken(format!("{problem}{}", cause.unwrap_or_default()))
        };
        let table = self.units.abbreviations(self.dwarf, place, tables);
        let unit = table.and_then(|table| {
            let signatures = &self.units.signatures;
            let mut unit = Unit::new(self.dwarf, &place.header, table, signatures, place.start);
            let root = unit.root()?;
            Ok((unit, root))
        });
        let (unit, root) = match unit {
            Ok(unit) => unit,
            Err(problem) => {
                skipped.reason = broken(&problem);
                return Err(skipped);
            }
        };
        let name = root.name.bytes(self.dwarf);
        let name = name.get(..MAX_UNIT_NAME).unwrap_or(name);
        skipped.name = String::from_utf8_lossy(name).into_owned();
        if root.is_split {
            return Err(skipped);
        }
        if let Some(language) = self.unwanted(&root) {
            skipped.reason = SkipReason::Language(language);
            return Err(skipped);
        }
        read::read(&unit, graph, names, btf).map_err(|problem| {
            skipped.reason = broken(&problem);
            skipped
        })
    }

    /// The language of a unit, if it is not to be encoded.
    fn unwanted(&self, root: &Root<'_>) -> Option<String> {
        let wanted = self.options.languages == Languages::All || is_like_c(root.language);
        (!wanted).then(|| root.language.to_string())
    }

    fn builder(&self) -> BtfBuilder {
        let builder = match &self.options.base {
            Some(base) => BtfBuilder::new_split(base.clone()),
            None => BtfBuilder::new(),
        };
        builder
            .pointer_size(self.image.pointer_size)
            .endian(Endian::from(self.image))
    }

    /// Puts the parts together.
    fn finish(&self, parts: Vec<Part<'j>>) -> Result<Encoded> {
        let mut report = Report {
            units: self.units.all.len(),
            ..Report::default()
        };
        let mut builder = self.builder();
        let mut all = Subjects::default();
        let own = builder.len();
        for part in parts {
            let Part {
                btf,
                mut subjects,
                report: of_part,
            } = part;
            let first = builder.add_btf(&btf)?;
            subjects.renumber(|id| match id.0.checked_sub(own) {
                Some(number) => TypeId(first.0.saturating_add(number)),
                None => id,
            });
            all.append(subjects);
            report.add(of_part);
        }
        report.skipped.extend(self.units.broken.iter().cloned());
        let is_split = |unit: &SkippedUnit| unit.reason == SkipReason::Split;
        if report.skipped.len() >= report.units && report.skipped.iter().any(is_split) {
            return Err(Error::Unsupported {
                what: "split DWARF, whose content is in .dwo files",
            });
        }
        let types = dedup(builder, &mut all)?;
        let btf = finish::finish(
            &types,
            all,
            self.image,
            self.settings,
            self.options,
            &mut report,
        )?;
        Ok(Encoded {
            btf: btf.with_pointer_size(self.image.pointer_size)?,
            endian: Endian::from(self.image),
            report,
        })
    }
}

/// Makes equal types one, and lets the subjects know.
fn dedup(btf: BtfBuilder, subjects: &mut Subjects<'_>) -> Result<Btf> {
    let btf = btf.finish()?;
    let first = btf.start_id().0;
    let unique = btf.dedup()?;
    subjects.renumber(|id| {
        let own = id.0.checked_sub(first);
        let new = own.and_then(|number| unique.ids.get(number as usize));
        new.copied().unwrap_or(id)
    });
    Ok(unique.btf)
}

/// Whether C can express what types of a language are.
fn is_like_c(language: gimli::DwLang) -> bool {
    matches!(
        language,
        // Not said: it is an old compiler, and of C.
        gimli::DwLang(0)
            | c::DW_LANG_C89
            | c::DW_LANG_C
            | c::DW_LANG_C99
            | c::DW_LANG_C11
            | c::DW_LANG_C17
            | c::DW_LANG_C_plus_plus
            | c::DW_LANG_C_plus_plus_03
            | c::DW_LANG_C_plus_plus_11
            | c::DW_LANG_C_plus_plus_14
            | c::DW_LANG_C_plus_plus_17
            | c::DW_LANG_C_plus_plus_20
            | c::DW_LANG_ObjC
            | c::DW_LANG_ObjC_plus_plus
            | c::DW_LANG_OpenCL
            // `DW_LANG_Assembly`.
            | gimli::DwLang(0x31)
            | c::DW_LANG_Mips_Assembler
    )
}
