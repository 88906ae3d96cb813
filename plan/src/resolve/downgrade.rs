//! What older kernels need otherwise: BTF without kinds that they do not know, helpers by their
//! older names.

use purebpf_btf::{Btf, BtfBuilder, Kind, Linkage, RawRecord, Type, TypeId};
use purebpf_elf::Binding;
use purebpf_insn::Insn;

use crate::endian::as_btf;
use crate::{Error, Feature, ObjectSpec, TargetKernel};

/// Helpers that read kernel or user memory, and what reads any memory on kernels before them.
const OLD_HELPERS: &[(i32, i32)] = &[(112, 4), (113, 4), (114, 45), (115, 45)];

/// Replaces helpers that the kernel does not have.
///
/// # Source
/// libbpf `bpf_object__sanitize_prog`.
pub(super) fn helpers(kernel: &dyn TargetKernel, insns: &mut [Insn]) {
    let is_new = |insn: &Insn| OLD_HELPERS.iter().any(|(new, _)| *new == insn.imm);
    if !insns
        .iter()
        .any(|insn| insn.is_helper_call() && is_new(insn))
        || kernel.has(Feature::ProbeReadKernel)
    {
        return;
    }
    for insn in insns.iter_mut().filter(|insn| insn.is_helper_call()) {
        if let Some((_, old)) = OLD_HELPERS.iter().find(|(new, _)| *new == insn.imm) {
            insn.imm = *old;
        }
    }
}

/// The object's BTF as this kernel takes it; nothing if it takes none.
///
/// # Source
/// libbpf `bpf_object__sanitize_and_load_btf`, `bpf_object__sanitize_btf`.
pub(super) fn btf(
    spec: &ObjectSpec,
    btf: Option<&Btf>,
    kernel: &dyn TargetKernel,
) -> Result<Option<Vec<u8>>, Error> {
    let Some(btf) = btf else {
        return Ok(None);
    };
    if !kernel.has(Feature::Btf) {
        return Ok(None);
    }
    let edit = || Error::btf("the object's BTF, edited for the kernel");
    let hidden = hidden_functions(spec, btf);
    let missing = Missing::of(btf, kernel);
    if hidden.is_empty() && missing.0.is_empty() {
        return Ok(Some(btf.to_bytes(as_btf(spec.code.endian))));
    }
    let mut builder = BtfBuilder::from_btf(btf).map_err(edit())?;
    for id in hidden {
        builder
            .set_func_linkage(id, Linkage::STATIC)
            .map_err(edit())?;
    }
    if missing.0.contains(&Feature::BtfLayout) {
        builder.drop_layout();
    }
    let mut placeholder = None;
    for id in btf.own_ids() {
        let mut record = builder.raw_record(id).map_err(edit())?;
        if missing
            .rewrite(btf, &mut builder, &mut placeholder, &mut record)
            .map_err(edit())?
        {
            builder.replace(id, &record).map_err(edit())?;
        }
    }
    let btf = builder.finish().map_err(edit())?;
    Ok(Some(btf.to_bytes(as_btf(spec.code.endian))))
}

/// Global functions that are hidden: the verifier shall check each call of them, as it does with
/// static ones.
fn hidden_functions(spec: &ObjectSpec, btf: &Btf) -> Vec<TypeId> {
    spec.code
        .routines
        .iter()
        .filter(|routine| spec.code.is_subprogram(routine))
        .filter(|routine| routine.function.hidden && routine.function.binding != Binding::Local)
        .filter_map(|routine| btf.find(&routine.function.name, Kind::Func))
        .collect()
}

/// Features that the BTF uses and the kernel lacks.
struct Missing(Vec<Feature>);

/// Which feature a kind of type needs. A section whose name begins with `?` needs one more.
const NEEDED: &[(Kind, Feature)] = &[
    (Kind::Var, Feature::BtfDatasec),
    (Kind::Datasec, Feature::BtfDatasec),
    (Kind::FuncProto, Feature::BtfFunc),
    (Kind::Func, Feature::BtfFunc),
    (Kind::Func, Feature::BtfGlobalFunc),
    (Kind::Float, Feature::BtfFloat),
    (Kind::DeclTag, Feature::BtfDeclTag),
    (Kind::TypeTag, Feature::BtfTypeTag),
    (Kind::Enum, Feature::BtfEnum64),
    (Kind::Enum64, Feature::BtfEnum64),
];

const INT_8_BITS: u32 = 8;

impl Missing {
    fn of(btf: &Btf, kernel: &dyn TargetKernel) -> Self {
        let kinds = btf.own_kinds();
        let needed = NEEDED.iter().filter(|(kind, _)| kinds.contains(*kind));
        let mut used: Vec<_> = needed.map(|(_, feature)| *feature).collect();
        used.dedup();
        let is_odd = |ty: Type<'_>| btf.name_at(ty.name_off).is_ok_and(|n| n.starts_with('?'));
        if btf.own_of(Kind::Datasec).any(is_odd) {
            used.push(Feature::BtfQmarkDatasec);
        }
        if btf.has_layout() {
            used.push(Feature::BtfLayout);
        }
        used.retain(|feature| !kernel.has(*feature));
        Self(used)
    }

    fn lacks(&self, feature: Feature) -> bool {
        self.0.contains(&feature)
    }

    /// Turns a record into one of the same length that the kernel knows; whether it did.
    fn rewrite(
        &self,
        btf: &Btf,
        builder: &mut BtfBuilder,
        placeholder: &mut Option<TypeId>,
        record: &mut RawRecord,
    ) -> Result<bool, purebpf_btf::Error> {
        match record.kind {
            Kind::Var if self.lacks(Feature::BtfDatasec) => become_byte(record),
            Kind::DeclTag if self.lacks(Feature::BtfDeclTag) => become_byte(record),
            Kind::Datasec if self.lacks(Feature::BtfDatasec) => {
                let name = btf.name_at(record.name_off)?.replace(['.', '?'], "_");
                record.name_off = builder.add_str(&name)?;
                record.kind = Kind::Struct;
                for entry in record.extra.as_chunks_mut::<3>().0 {
                    let [var, offset, _size] = *entry;
                    let name = btf.ty(TypeId(var)).map_or(0, |ty| ty.name_off);
                    *entry = [name, var, offset.wrapping_mul(8)];
                }
            }
            Kind::Datasec if self.lacks(Feature::BtfQmarkDatasec) => {
                let name = btf.name_at(record.name_off)?;
                let Some(rest) = name.strip_prefix('?') else {
                    return Ok(false);
                };
                record.name_off = builder.add_str(&format!("_{rest}"))?;
            }
            Kind::FuncProto if self.lacks(Feature::BtfFunc) => {
                // Parameters are read as enumerators then, whose values do not matter.
                record.kind = Kind::Enum;
                record.size_or_type = 4;
            }
            Kind::Func if self.lacks(Feature::BtfFunc) => {
                record.kind = Kind::Typedef;
                record.vlen = 0;
            }
            Kind::Func if self.lacks(Feature::BtfGlobalFunc) => record.vlen = Linkage::STATIC.0,
            Kind::Float if self.lacks(Feature::BtfFloat) => {
                record.kind = Kind::Struct;
                record.name_off = 0;
                record.vlen = 0;
            }
            Kind::TypeTag if self.lacks(Feature::BtfTypeTag) => {
                record.kind = Kind::Const;
                record.name_off = 0;
                record.kind_flag = false;
            }
            Kind::Enum if self.lacks(Feature::BtfEnum64) => record.kind_flag = false,
            Kind::Enum64 if self.lacks(Feature::BtfEnum64) => {
                let byte = match *placeholder {
                    Some(byte) => byte,
                    None => {
                        let encoding = purebpf_btf::IntEncoding::UNSIGNED;
                        builder.add_int("enum64_placeholder", 1, encoding)?
                    }
                };
                *placeholder = Some(byte);
                record.kind = Kind::Union;
                record.kind_flag = false;
                for entry in record.extra.as_chunks_mut::<3>().0 {
                    let [name, ..] = *entry;
                    *entry = [name, byte.0, 0];
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// An unsigned integer of one byte, which is as long as a variable or a tag.
fn become_byte(record: &mut RawRecord) {
    record.kind = Kind::Int;
    record.kind_flag = false;
    record.vlen = 0;
    record.size_or_type = 1;
    record.extra = vec![INT_8_BITS];
}
