//! Kernel functions and variables, found and written into the instructions of a program.

use std::collections::HashMap;

use purebpf_btf::Kind;
use purebpf_insn::build::{load, mov64_imm, mov64_reg, store, store_imm};
use purebpf_insn::opcode::{self as op, B, DW, H, W};
use purebpf_insn::{Endian, Insn};

use super::builder::{
    Builder, Jump, MAX_FUNCTIONS, MAX_MAPS, PATCHED, Place, RESULT, SPARE, helper, unsupported,
    upper_half,
};
use crate::Error;
use crate::resolve::deferred::{Symbol, Wants};

/// Where fields of an instruction are, in bytes; of the second half of a 64-bit load, 8 further on.
const REGISTERS: i16 = 1;
const OFFSET: i16 = 2;
const IMM: i16 = 4;
const SECOND_IMM: i16 = 12;

const ENOENT: i32 = 2;

/// The symbols of one program. Each is looked for once, and copied from its first instruction then.
///
/// # Source
/// libbpf `emit_relos`.
pub(super) struct Symbols<'a> {
    insns: Place,
    /// The first instruction that needs it.
    known: HashMap<(&'a str, Wants), Place>,
    /// Where fds are that have to be closed.
    opened: Vec<Place>,
    functions: u32,
}

impl<'a> Symbols<'a> {
    /// For a program whose instructions are at this place.
    pub(super) fn new(insns: Place) -> Self {
        Self {
            insns,
            known: HashMap::new(),
            opened: Vec::new(),
            functions: 0,
        }
    }

    /// Writes a symbol into an instruction. `failures` are taken if the kernel lacks a strong one.
    pub(super) fn find(
        &mut self,
        builder: &mut Builder,
        symbol: &Symbol<'a>,
        failures: &mut Vec<Jump>,
    ) -> Result<(), Error> {
        let offset = u32::try_from(symbol.insn.saturating_mul(Insn::SIZE)).unwrap_or(u32::MAX);
        let insn = self.insns.at(offset);
        builder.address(PATCHED, insn);
        let key = (symbol.name, symbol.wants);
        if let Some(first) = self.known.get(&key) {
            return again(builder, symbol, insn, *first);
        }
        self.known.insert(key, insn);
        match symbol.wants {
            Wants::Call => self.call(builder, symbol, failures),
            Wants::Typed(kind) => {
                self.opened.push(insn.at(SECOND_IMM.unsigned_abs().into()));
                typed(builder, symbol, kind, failures)
            }
            Wants::Address => address(builder, symbol, failures),
        }
    }

    /// Closes what was opened for them.
    pub(super) fn close(self, builder: &mut Builder) -> Result<(), Error> {
        self.opened
            .into_iter()
            .try_for_each(|place| builder.close(place))
    }

    /// A function: its id, and the place of the fd of its module's BTF, if it is one's.
    fn call(
        &mut self,
        builder: &mut Builder,
        symbol: &Symbol<'_>,
        failures: &mut Vec<Jump>,
    ) -> Result<(), Error> {
        let fd = self.fd(builder)?;
        let index = i16::try_from(fd.fd_index()).map_err(|_| {
            unsupported(format!(
                "kernel function `{}`: it is one too many",
                symbol.name
            ))
        })?;
        self.opened.push(fd);
        builder.find(symbol.name, Kind::Func)?;
        // A weak one that is missing stays a call of function 0, which may not be reached.
        let missing = builder.jump(op::JSLT, RESULT, 0);
        builder.emit(&[
            store(W, PATCHED, IMM, RESULT),
            mov64_reg(SPARE, RESULT),
            upper_half(SPARE),
        ]);
        builder.put(fd, W, SPARE);
        let is_kernel = builder.jump(op::JEQ, SPARE, 0);
        builder.emit(&[store_imm(H, PATCHED, OFFSET, index.into())]);
        builder.land(is_kernel)?;
        match symbol.is_weak {
            true => builder.land(missing)?,
            false => failures.push(missing),
        }
        Ok(())
    }

    /// A place for an fd: in the fd array, or behind it, where offsets of calls still reach.
    fn fd(&mut self, builder: &mut Builder) -> Result<Place, Error> {
        let [first, most] = [MAX_MAPS, MAX_FUNCTIONS].map(|n| u32::try_from(n).unwrap_or(0));
        if self.functions == most {
            return builder.add(&[0; 4]);
        }
        let place = Place::fd(first.saturating_add(self.functions));
        self.functions = self.functions.saturating_add(1);
        Ok(place)
    }
}

/// A variable, or the address of a function: its id and the fd of its module's BTF.
fn typed(
    builder: &mut Builder,
    symbol: &Symbol<'_>,
    kind: Kind,
    failures: &mut Vec<Jump>,
) -> Result<(), Error> {
    builder.find(symbol.name, kind)?;
    let missing = builder.jump(op::JSLT, RESULT, 0);
    builder.emit(&[
        store(W, PATCHED, IMM, RESULT),
        mov64_reg(SPARE, RESULT),
        upper_half(SPARE),
        store(W, PATCHED, SECOND_IMM, SPARE),
    ]);
    if !symbol.is_weak {
        failures.push(missing);
        return Ok(());
    }
    let found = builder.jump(op::JA, 0, 0);
    builder.land(missing)?;
    load_zero(builder);
    builder.land(found)
}

/// A symbol that has no type: its address.
fn address(
    builder: &mut Builder,
    symbol: &Symbol<'_>,
    failures: &mut Vec<Jump>,
) -> Result<(), Error> {
    let (name, len) = builder.text(symbol.name)?;
    let found = builder.add(&[0; 8])?;
    builder.address(1, name);
    builder.emit(&[mov64_imm(2, len), mov64_imm(3, 0)]);
    builder.address(4, found);
    builder.call(helper::KALLSYMS_LOOKUP_NAME);
    let missing = symbol
        .is_weak
        .then(|| builder.jump(op::JEQ, RESULT, -ENOENT));
    failures.push(builder.jump(op::JSLT, RESULT, 0));
    builder.fetch(DW, SPARE, 1, found);
    builder.emit(&[
        store(W, PATCHED, IMM, SPARE),
        upper_half(SPARE),
        store(W, PATCHED, SECOND_IMM, SPARE),
    ]);
    match missing {
        Some(missing) => builder.land(missing),
        None => Ok(()),
    }
}

/// Copies a symbol that was found before.
fn again(
    builder: &mut Builder,
    symbol: &Symbol<'_>,
    insn: Place,
    first: Place,
) -> Result<(), Error> {
    let mut copy = |size, field: i16| {
        let field = field.unsigned_abs().into();
        builder.copy(insn.at(field), size, first.at(field));
    };
    if symbol.wants == Wants::Call {
        copy(W, IMM);
        copy(H, OFFSET);
        return Ok(());
    }
    copy(W, SECOND_IMM);
    copy(W, IMM);
    if symbol.is_weak && symbol.wants != Wants::Address {
        // The id is still in register 0.
        let found = builder.jump(op::JNE, 0, 0);
        load_zero(builder);
        builder.land(found)?;
    }
    Ok(())
}

/// Lets a load of a type's address be one of a plain number, which is zero.
fn load_zero(builder: &mut Builder) {
    let destination = match builder.endian {
        Endian::Little => 0x0f,
        Endian::Big => 0xf0,
    };
    builder.emit(&[
        load(B, SPARE, PATCHED, REGISTERS),
        Insn::new(op::ALU | op::AND | op::K, SPARE, 0, 0, destination),
        store(B, PATCHED, REGISTERS, SPARE),
    ]);
}
