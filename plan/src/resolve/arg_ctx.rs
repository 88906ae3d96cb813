//! The tag `arg:ctx` on kernels that do not know it (before 6.8): functions that take the context
//! by another type get BTF that says what the verifier expects.

use std::collections::HashMap;

use purebpf_btf::{
    Btf, BtfBuilder, Kind, Linkage, NewParam, Param, RawRecord, Type, TypeId, TypeKind,
};
use purebpf_insn::ProgramType;

use crate::plan::{Info, ProgramPlan};
use crate::{Error, Feature, ObjectSpec, TargetKernel};

const TAG: &str = "arg:ctx";

/// What the verifier of older kernels takes for the context of each type of program.
const CONTEXTS: &[(ProgramType, &str)] = &[
    (ProgramType::CGROUP_DEVICE, "bpf_cgroup_dev_ctx"),
    (ProgramType::CGROUP_SKB, "__sk_buff"),
    (ProgramType::CGROUP_SOCK, "bpf_sock"),
    (ProgramType::CGROUP_SOCK_ADDR, "bpf_sock_addr"),
    (ProgramType::CGROUP_SOCKOPT, "bpf_sockopt"),
    (ProgramType::CGROUP_SYSCTL, "bpf_sysctl"),
    (ProgramType::FLOW_DISSECTOR, "__sk_buff"),
    (ProgramType::KPROBE, USER_REGISTERS),
    (ProgramType::LWT_IN, "__sk_buff"),
    (ProgramType::LWT_OUT, "__sk_buff"),
    (ProgramType::LWT_SEG6LOCAL, "__sk_buff"),
    (ProgramType::LWT_XMIT, "__sk_buff"),
    (ProgramType::NETFILTER, "bpf_nf_ctx"),
    (ProgramType::PERF_EVENT, "bpf_perf_event_data"),
    (ProgramType::RAW_TRACEPOINT, "bpf_raw_tracepoint_args"),
    (
        ProgramType::RAW_TRACEPOINT_WRITABLE,
        "bpf_raw_tracepoint_args",
    ),
    (ProgramType::SCHED_ACT, "__sk_buff"),
    (ProgramType::SCHED_CLS, "__sk_buff"),
    (ProgramType::SK_LOOKUP, "bpf_sk_lookup"),
    (ProgramType::SK_MSG, "sk_msg_md"),
    (ProgramType::SK_REUSEPORT, "sk_reuseport_md"),
    (ProgramType::SK_SKB, "__sk_buff"),
    (ProgramType::SOCK_OPS, "bpf_sock_ops"),
    (ProgramType::SOCKET_FILTER, "__sk_buff"),
    (ProgramType::XDP, "xdp_md"),
];

/// The typedef that kprobes and perf events may take as it is.
const USER_REGISTERS: &str = "bpf_user_pt_regs_t";

/// What that typedef stands for, by architecture; none but one's own is ever used.
const REGISTERS: [&str; 3] = ["pt_regs", "user_pt_regs", "user_regs_struct"];

/// Qualifiers of one type that are looked through; a file may have them in a circle.
const MAX_QUALIFIERS: usize = 32;

/// A tag on a parameter of a global function.
struct Tag {
    function: TypeId,
    proto: TypeId,
    parameter: usize,
}

/// Lets the function information of programs refer to functions whose context has the type that
/// the verifier expects; returns the BTF that has them, if any is needed.
///
/// # Source
/// libbpf `bpf_program_fixup_func_info`.
pub(super) fn emulate(
    spec: &ObjectSpec,
    kernel: &dyn TargetKernel,
    programs: &mut [ProgramPlan],
) -> Result<Option<Btf>, Error> {
    let Some(btf) = spec.btf() else {
        return Ok(None);
    };
    let tags = tags(btf);
    if tags.is_empty() || kernel.has(Feature::ArgCtxTag) {
        return Ok(None);
    }
    let edit = || Error::btf("the object's BTF, edited for the kernel");
    let mut builder = BtfBuilder::from_btf(btf).map_err(edit())?;
    let before = builder.len();
    for program in programs {
        let context = CONTEXTS
            .iter()
            .find(|(program_type, _)| *program_type == program.program_type);
        let Ok(code) = &mut program.code else {
            continue;
        };
        if let (Some((program_type, name)), Some(info)) = (context, &mut code.func_info) {
            let mut functions = Functions {
                btf,
                builder: &mut builder,
                program_type: *program_type,
                context: name,
                pointer: None,
                clones: HashMap::new(),
            };
            functions.mend(&tags, info).map_err(edit())?;
        }
    }
    if builder.len() == before {
        return Ok(None);
    }
    let btf = builder.finish().and_then(|btf| btf.with_pointer_size(8));
    btf.map(Some).map_err(edit())
}

/// The tags of the object, in the order of its types.
fn tags(btf: &Btf) -> Vec<Tag> {
    let tag = |tag: Type<'_>| {
        let TypeKind::DeclTag { ty, component } = tag.kind else {
            return None;
        };
        let TypeKind::Func { proto, linkage } = btf.ty(ty).ok()?.kind else {
            return None;
        };
        let name = btf.name_at(tag.name_off);
        let is_meant = linkage == Linkage::GLOBAL && name.is_ok_and(|name| name == TAG);
        Some(Tag {
            function: ty,
            proto,
            parameter: usize::try_from(component).ok().filter(|_| is_meant)?,
        })
    };
    btf.own_of(Kind::DeclTag).filter_map(tag).collect()
}

/// The functions of one program.
struct Functions<'a> {
    btf: &'a Btf,
    builder: &'a mut BtfBuilder,
    program_type: ProgramType,
    context: &'static str,
    /// A pointer to the context, once one was needed.
    pointer: Option<TypeId>,
    /// The copies of functions, with their prototypes.
    clones: HashMap<TypeId, (TypeId, TypeId)>,
}

impl Functions<'_> {
    fn mend(&mut self, tags: &[Tag], info: &mut Info) -> Result<(), purebpf_btf::Error> {
        // The id of the type is the second word of a record.
        let size = usize::try_from(info.record_size).unwrap_or(0).max(8);
        let id = |record: &[u8]| {
            Some(TypeId(u32::from_ne_bytes(
                record.get(4..8)?.try_into().ok()?,
            )))
        };
        let mut records = HashMap::new();
        for (index, record) in info.records.chunks_exact(size).enumerate() {
            if let Some(id) = id(record) {
                records.entry(id).or_insert(index);
            }
        }
        for tag in tags {
            let Some(index) = records.get(&tag.function) else {
                continue;
            };
            let TypeKind::FuncProto { ret, params } = self.btf.ty(tag.proto)?.kind else {
                continue;
            };
            let Some(parameter) = params.get(tag.parameter) else {
                continue;
            };
            if !self.needs_another(parameter)? {
                continue;
            }
            let (function, proto) = match self.clones.get(&tag.function) {
                Some(clone) => *clone,
                None => {
                    let params: Vec<Param> = params.iter().collect();
                    let clone = self.clone(tag.function, ret, &params)?;
                    self.clones.insert(tag.function, clone);
                    let place = index.saturating_mul(size).saturating_add(4);
                    let place = info.records.get_mut(place..place.saturating_add(4));
                    if let Some(place) = place {
                        place.copy_from_slice(&clone.0.0.to_ne_bytes());
                    }
                    clone
                }
            };
            let pointer = match self.pointer {
                Some(pointer) => pointer,
                None => {
                    let context = self.builder.add_struct(self.context, 0, &[])?;
                    *self.pointer.insert(self.builder.add_ptr(context)?)
                }
            };
            let component = i32::try_from(tag.parameter).unwrap_or(i32::MAX);
            self.builder.add_decl_tag(TAG, function, component)?;
            let mut record: RawRecord = self.builder.raw_record(proto)?;
            // A parameter is two words: name and type.
            let word = tag.parameter.saturating_mul(2).saturating_add(1);
            if let Some(ty) = record.extra.get_mut(word) {
                *ty = pointer.0;
            }
            self.builder.replace(proto, &record)?;
        }
        Ok(())
    }

    fn clone(
        &mut self,
        function: TypeId,
        ret: TypeId,
        params: &[Param],
    ) -> Result<(TypeId, TypeId), purebpf_btf::Error> {
        let mut copies = Vec::with_capacity(params.len());
        for Param { name_off, ty } in params {
            let name = self.btf.name_at(*name_off)?;
            copies.push(NewParam { name, ty: *ty });
        }
        let proto = self.builder.add_func_proto(ret, &copies)?;
        let name = self.btf.name(function)?;
        let function = self.builder.add_func(name, Linkage::GLOBAL, proto)?;
        Ok((function, proto))
    }

    /// Whether a context of this type is one that the verifier does not know, but that it is.
    fn needs_another(&self, parameter: Param) -> Result<bool, purebpf_btf::Error> {
        let btf = self.btf;
        let pointer = btf.skip_mods_and_typedefs(parameter.ty)?;
        let TypeKind::Ptr(mut to) = btf.ty(pointer)?.kind else {
            return Ok(false);
        };
        for _ in 0..MAX_QUALIFIERS {
            match btf.ty(to)?.kind {
                TypeKind::Const(ty) | TypeKind::Volatile(ty) | TypeKind::Restrict(ty) => to = ty,
                _ => break,
            }
        }
        let takes_registers = matches!(
            self.program_type,
            ProgramType::KPROBE | ProgramType::PERF_EVENT
        );
        if takes_registers
            && matches!(btf.ty(to)?.kind, TypeKind::Typedef(_))
            && btf.name(to)? == USER_REGISTERS
        {
            return Ok(false);
        }
        let to = btf.skip_mods_and_typedefs(to)?;
        let name = btf.name(to)?;
        Ok(match (btf.ty(to)?.kind, self.program_type) {
            (TypeKind::Void, _) => true,
            (TypeKind::Struct(_), _) if name == self.context => false,
            (TypeKind::Struct(_), ProgramType::KPROBE) => name == "pt_regs",
            (TypeKind::Struct(_), ProgramType::PERF_EVENT) => REGISTERS.contains(&name),
            (
                TypeKind::Int { size, .. },
                ProgramType::RAW_TRACEPOINT | ProgramType::RAW_TRACEPOINT_WRITABLE,
            ) => size == 8,
            _ => false,
        })
    }
}
