//! Instructions and data of a loader program.
//!
//! Registers: 6 is the context, 7 the result of the last call that can fail, 8 the instruction that
//! is being patched, 9 is spare; 0 to 5 last until the next call.

use purebpf_btf::Kind;
use purebpf_insn::build::{
    add64_imm, call, exit, ld_imm64, load, mov64_imm, mov64_reg, store, store_imm,
};
use purebpf_insn::opcode::{self as op, DW, W};
use purebpf_insn::{Endian, Insn};

use super::attr::{Attr, Command, Endianness as _};
use super::context::ContextLayout;
use crate::Error;

/// Most maps of an object, as in libbpf.
pub(super) const MAX_MAPS: usize = 64;
/// Most programs of an object, as in libbpf.
pub(super) const MAX_PROGRAMS: usize = 32;
/// Kernel functions of one program whose BTF has a place in the fd array; others get one behind it.
pub(super) const MAX_FUNCTIONS: usize = 256;

/// Most bytes of data. It holds every value of every variable, whose number costs the file nothing.
const MAX_DATA: usize = 64 << 20;

pub(super) const CONTEXT: u8 = 6;
pub(super) const RESULT: u8 = 7;
pub(super) const PATCHED: u8 = 8;
pub(super) const SPARE: u8 = 9;
const FRAME: u8 = 10;

/// Helpers, by their number.
pub(super) mod helper {
    pub(in super::super) const PROBE_READ_KERNEL: i32 = 113;
    pub(in super::super) const COPY_FROM_USER: i32 = 148;
    pub(in super::super) const SYS_BPF: i32 = 166;
    pub(in super::super) const BTF_FIND_BY_NAME_KIND: i32 = 167;
    pub(in super::super) const SYS_CLOSE: i32 = 168;
    pub(in super::super) const KALLSYMS_LOOKUP_NAME: i32 = 179;
}

/// A place in the data: bytes from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(u32);

impl Place {
    /// The place so many bytes further on.
    pub(super) const fn at(self, offset: u32) -> Self {
        Self(self.0.saturating_add(offset))
    }

    /// An entry of the fd array, with which the data begins.
    pub(super) const fn fd(index: u32) -> Self {
        Self(index.saturating_mul(4))
    }

    /// Which entry of the fd array this is, or would be if that went on so far.
    pub(super) const fn fd_index(self) -> u32 {
        self.0 / 4
    }
}

/// A number of 32 bits on the stack of the program.
#[derive(Clone, Copy, Debug)]
pub(super) enum Slot {
    Btf,
    InnerMap,
    Program(usize),
}

impl Slot {
    /// Bytes of all of them.
    const ALL: i16 = 4 * (2 + MAX_PROGRAMS as i16);

    /// Where it is from the frame pointer.
    fn offset(self) -> i16 {
        let index = match self {
            Self::Btf => 0,
            Self::InnerMap => 1,
            Self::Program(index) => i16::try_from(index).unwrap_or(i16::MAX).saturating_add(2),
        };
        index.saturating_mul(4).saturating_sub(Self::ALL)
    }
}

/// A jump forward whose end is not known yet.
#[must_use]
pub(super) struct Jump(usize);

/// A loader program that is being written.
pub(super) struct Builder {
    pub(super) endian: Endian,
    pub(super) layout: ContextLayout,
    data: Vec<u8>,
    insns: Vec<Insn>,
    /// Where everything is closed after an error.
    cleanup: usize,
}

impl Builder {
    /// A program with its first part: it clears its stack, and passes over what is done on errors.
    pub(super) fn new(endian: Endian, maps: usize, programs: usize) -> Result<Self, Error> {
        let mut new = Self {
            endian,
            layout: ContextLayout::new(maps, programs),
            data: Vec::new(),
            insns: Vec::new(),
            cleanup: 0,
        };
        new.add(&[0; 4 * (MAX_MAPS + MAX_FUNCTIONS)])?;
        new.emit(&[
            mov64_reg(CONTEXT, 1),
            mov64_reg(1, FRAME),
            add64_imm(1, -i32::from(Slot::ALL)),
            mov64_imm(2, Slot::ALL.into()),
            // Reading address 0 fails, and then the helper fills with zeros.
            mov64_imm(3, 0),
            call(helper::PROBE_READ_KERNEL),
        ]);
        let start = new.jump(op::JA, 0, 0);
        new.cleanup = new.insns.len();
        let slots = [Slot::Btf, Slot::InnerMap];
        for slot in slots.into_iter().chain((0..programs).map(Slot::Program)) {
            new.close_slot(slot)?;
        }
        for index in 0..maps {
            new.close(Self::map_fd(index))?;
        }
        new.emit(&[mov64_reg(0, RESULT), exit()]);
        new.land(start)?;
        Ok(new)
    }

    /// The program and its data, once what it made is in the context.
    pub(super) fn finish(
        mut self,
        maps: usize,
        programs: usize,
    ) -> Result<(Vec<u8>, Vec<Insn>), Error> {
        self.close_slot(Slot::Btf)?;
        for index in 0..programs {
            self.emit(&[load(W, 0, FRAME, Slot::Program(index).offset())]);
            self.give(W, self.layout.program_fd(index));
        }
        for index in 0..maps {
            self.fetch(W, 0, 1, Self::map_fd(index));
            self.give(W, self.layout.map_fd(index));
        }
        self.emit(&[mov64_imm(0, 0), exit()]);
        Ok((self.data, self.insns))
    }

    /// Where the fd of a map is.
    pub(super) fn map_fd(index: usize) -> Place {
        Place::fd(u32::try_from(index).unwrap_or(u32::MAX))
    }

    /// Adds bytes to the data, at a multiple of 8.
    pub(super) fn add(&mut self, bytes: &[u8]) -> Result<Place, Error> {
        self.room(bytes, bytes.len())
    }

    /// Adds so many bytes, of which these are the first and zeros the rest.
    pub(super) fn room(&mut self, bytes: &[u8], size: usize) -> Result<Place, Error> {
        let place = self.data.len();
        let size = size.max(bytes.len());
        let end = place.saturating_add(size).saturating_add(7) / 8 * 8;
        if end > MAX_DATA {
            return Err(unsupported(format!("{end} bytes of data, of {MAX_DATA}")));
        }
        self.data.extend_from_slice(bytes);
        self.data.resize(end, 0);
        Ok(Place(u32::try_from(place).unwrap_or(u32::MAX)))
    }

    /// Adds a text with a zero behind it; its length is with that.
    pub(super) fn text(&mut self, text: &str) -> Result<(Place, i32), Error> {
        let bytes: Vec<u8> = text.bytes().chain([0]).collect();
        let place = self.add(&bytes)?;
        Ok((place, i32::try_from(bytes.len()).unwrap_or(i32::MAX)))
    }

    /// Adds the attributes of a call.
    pub(super) fn attr(&mut self, attr: &Attr) -> Result<Place, Error> {
        self.add(&attr.bytes)
    }

    /// Words in the byte order of this machine, as the kernel has them.
    pub(super) fn words(&self, bytes: &[u8]) -> Vec<u8> {
        let (words, _) = bytes.as_chunks::<4>();
        let words = words
            .iter()
            .map(|word| self.endian.word(u32::from_ne_bytes(*word)));
        words.flatten().collect()
    }

    pub(super) fn emit(&mut self, insns: &[Insn]) {
        self.insns.extend_from_slice(insns);
    }

    /// Loads the address of a place into a register.
    pub(super) fn address(&mut self, register: u8, place: Place) {
        let value = u64::from(place.0) << 32;
        self.emit(&ld_imm64(register, op::PSEUDO_MAP_IDX_VALUE, value));
    }

    /// Loads a number from the data, by way of another register or the same.
    pub(super) fn fetch(&mut self, size: u8, register: u8, by: u8, place: Place) {
        self.address(by, place);
        self.emit(&[load(size, register, by, 0)]);
    }

    /// Writes a register into the data.
    pub(super) fn put(&mut self, to: Place, size: u8, register: u8) {
        self.address(1, to);
        self.emit(&[store(size, 1, 0, register)]);
    }

    /// Writes register 0 into the context.
    fn give(&mut self, size: u8, field: usize) {
        self.emit(&[store(size, CONTEXT, offset(field), 0)]);
    }

    /// Copies a number inside the data; it stays in register 0.
    pub(super) fn copy(&mut self, to: Place, size: u8, from: Place) {
        self.fetch(size, 0, 2, from);
        self.put(to, size, 0);
    }

    /// Writes an address into the data.
    pub(super) fn point(&mut self, field: Place, to: Place) {
        self.address(0, to);
        self.put(field, DW, 0);
    }

    /// Loads a number of the context into a register.
    pub(super) fn given(&mut self, size: u8, register: u8, field: usize) {
        self.emit(&[load(size, register, CONTEXT, offset(field))]);
    }

    /// Copies a number of the context into the data.
    pub(super) fn take(&mut self, to: Place, size: u8, field: usize) {
        self.given(size, 0, field);
        self.put(to, size, 0);
    }

    /// The same, unless the number is zero.
    pub(super) fn take_some(&mut self, to: Place, size: u8, field: usize) -> Result<(), Error> {
        self.given(size, 0, field);
        let none = self.jump(op::JEQ, 0, 0);
        self.put(to, size, 0);
        self.land(none)
    }

    /// Copies a slot into the data.
    pub(super) fn take_slot(&mut self, to: Place, slot: Slot) {
        self.emit(&[load(W, 0, FRAME, slot.offset())]);
        self.put(to, W, 0);
    }

    /// Lets the kernel's log of a call go where the context says.
    pub(super) fn take_log(&mut self, level: Place, size: Place, buffer: Place) {
        self.take(level, W, ContextLayout::LOG_LEVEL);
        self.take(size, W, ContextLayout::LOG_SIZE);
        self.take(buffer, DW, ContextLayout::LOG_BUFFER);
    }

    /// Calls a helper that can fail.
    pub(super) fn call(&mut self, helper: i32) {
        self.emit(&[call(helper), mov64_reg(RESULT, 0)]);
    }

    /// Looks a name up in the BTF of the kernel and its modules: the lower half of the result is its
    /// id, the upper half an fd of the module's BTF, or 0 for the kernel's own.
    pub(super) fn find(&mut self, name: &str, kind: Kind) -> Result<(), Error> {
        let (name, len) = self.text(name)?;
        self.address(1, name);
        self.emit(&[
            mov64_imm(2, len),
            mov64_imm(3, i32::from(kind as u8)),
            mov64_imm(4, 0),
        ]);
        self.call(helper::BTF_FIND_BY_NAME_KIND);
        Ok(())
    }

    /// Makes a system call.
    pub(super) fn bpf(&mut self, command: &Command, attr: Place) {
        self.emit(&[mov64_imm(1, command.number)]);
        self.address(2, attr);
        let len = i32::try_from(command.len).unwrap_or(i32::MAX);
        self.emit(&[mov64_imm(3, len)]);
        self.call(helper::SYS_BPF);
    }

    /// Ends the program if the last call failed; everything that it made is closed then.
    pub(super) fn check(&mut self) -> Result<(), Error> {
        let jump = self.insns.len();
        let off = distance(jump, self.cleanup)?;
        self.emit(&[Insn::new(op::JMP | op::JSLT | op::K, RESULT, 0, off, 0)]);
        Ok(())
    }

    /// Keeps the result of the last call in a slot.
    pub(super) fn keep(&mut self, slot: Slot) {
        self.emit(&[store(W, FRAME, slot.offset(), RESULT)]);
    }

    /// Closes the fd in a slot, if there is one, and forgets it.
    pub(super) fn close_slot(&mut self, slot: Slot) -> Result<(), Error> {
        let off = slot.offset();
        self.emit(&[load(W, 1, FRAME, off), store_imm(W, FRAME, off, 0)]);
        self.close_register()
    }

    /// Closes the fd in the data, if there is one, and forgets it.
    pub(super) fn close(&mut self, place: Place) -> Result<(), Error> {
        self.fetch(W, 1, 0, place);
        self.emit(&[store_imm(W, 0, 0, 0)]);
        self.close_register()
    }

    fn close_register(&mut self) -> Result<(), Error> {
        let none = self.jump(op::JSLE, 1, 0);
        self.emit(&[call(helper::SYS_CLOSE)]);
        self.land(none)
    }

    /// Jumps forward, to where [`Self::land`] says.
    pub(super) fn jump(&mut self, condition: u8, register: u8, imm: i32) -> Jump {
        let jump = Jump(self.insns.len());
        self.emit(&[Insn::new(op::JMP | condition | op::K, register, 0, 0, imm)]);
        jump
    }

    /// Lets a jump end here.
    pub(super) fn land(&mut self, jump: Jump) -> Result<(), Error> {
        let off = distance(jump.0, self.insns.len())?;
        if let Some(insn) = self.insns.get_mut(jump.0) {
            insn.off = off;
        }
        Ok(())
    }
}

/// A jump is counted from the instruction behind it, in 16 bits.
fn distance(from: usize, to: usize) -> Result<i16, Error> {
    let signed = |at| i64::try_from(at).unwrap_or(i64::MAX);
    let off = signed(to).saturating_sub(signed(from)).saturating_sub(1);
    i16::try_from(off)
        .map_err(|_| unsupported(format!("a jump over {off} instructions, of {}", i16::MAX)))
}

/// What loader programs cannot have.
pub(super) fn unsupported(what: String) -> Error {
    Error::Unsupported {
        what: format!("a loader program with {what}"),
    }
}

/// `register >>= 32`
pub(super) const fn upper_half(register: u8) -> Insn {
    Insn::new(op::ALU64 | op::RSH | op::K, register, 0, 0, 32)
}

/// A field of the context is near its start, whatever the object.
fn offset(field: usize) -> i16 {
    i16::try_from(field).unwrap_or(i16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder() -> Builder {
        Builder::new(Endian::HOST, 1, 1).unwrap()
    }

    #[test]
    fn the_stack_holds_one_number_for_each_thing_that_is_opened() {
        assert_eq!(Slot::Btf.offset(), -136);
        assert_eq!(Slot::InnerMap.offset(), -132);
        assert_eq!(Slot::Program(MAX_PROGRAMS - 1).offset(), -4);
    }

    #[test]
    fn the_program_begins_behind_its_cleanup_and_errors_go_there() {
        let mut builder = builder();
        let over = builder.insns[builder.cleanup - 1];
        let end = builder.cleanup + usize::try_from(over.off).unwrap();
        assert_eq!((over.code, end), (op::JMP | op::JA, builder.insns.len()));
        assert_eq!(builder.insns[end - 1], exit());
        builder.check().unwrap();
        let off = builder.insns[end].off;
        assert_eq!(end as i64 + 1 + i64::from(off), builder.cleanup as i64);
    }

    #[test]
    fn a_jump_ends_where_it_lands() {
        let mut builder = builder();
        let start = builder.insns.len();
        let jump = builder.jump(op::JEQ, 3, 7);
        builder.emit(&[exit(), exit()]);
        builder.land(jump).unwrap();
        let expected = Insn::new(op::JMP | op::JEQ | op::K, 3, 0, 2, 7);
        assert_eq!(builder.insns[start], expected);
    }

    #[test]
    fn a_jump_that_does_not_fit_its_instruction_is_an_error() {
        let mut near = builder();
        let jump = near.jump(op::JA, 0, 0);
        near.emit(&[exit(); 0x7fff]);
        near.land(jump).unwrap();
        let mut far = builder();
        let jump = far.jump(op::JA, 0, 0);
        far.emit(&[exit(); 0x8000]);
        assert!(matches!(far.land(jump), Err(Error::Unsupported { .. })));
        assert!(matches!(far.check(), Err(Error::Unsupported { .. })));
    }

    #[test]
    fn data_is_aligned_and_limited() {
        let mut builder = builder();
        let fds = 4 * (MAX_MAPS + MAX_FUNCTIONS);
        let (text, len) = builder.text("name").unwrap();
        assert_eq!((text.0 as usize, len), (fds, 5));
        let value = builder.room(&[7], 12).unwrap();
        assert_eq!(value.0 as usize, fds + 8);
        assert_eq!(builder.data.len(), fds + 24);
        assert_eq!(
            builder.data[fds + 8..],
            [[7, 0, 0, 0], [0; 4], [0; 4], [0; 4]].concat()
        );
        assert!(builder.room(&[], MAX_DATA).is_err());
        assert!(builder.room(&[], usize::MAX).is_err());
    }

    #[test]
    fn numbers_have_the_byte_order_of_the_kernel() {
        assert_eq!(Endian::Big.word(1), [0, 0, 0, 1]);
        assert_eq!(Endian::Little.long(1), [1, 0, 0, 0, 0, 0, 0, 0]);
        let builder = Builder::new(Endian::Big, 0, 0).unwrap();
        assert_eq!(builder.words(&2u32.to_ne_bytes()), [0, 0, 0, 2]);
    }
}
