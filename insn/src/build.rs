//! Instructions by name, for feature probes and tests.
//!
//! Registers are numbers: 0 result, 1 to 5 arguments, 6 to 9 saved, 10 frame pointer.

use crate::{Insn, opcode as op};

/// `dst = imm`, sign-extended to 64 bits.
#[must_use]
pub const fn mov64_imm(dst: u8, imm: i32) -> Insn {
    Insn::new(op::ALU64 | op::MOV | op::K, dst, 0, 0, imm)
}

/// `dst = src`.
#[must_use]
pub const fn mov64_reg(dst: u8, src: u8) -> Insn {
    Insn::new(op::ALU64 | op::MOV | op::X, dst, src, 0, 0)
}

/// `dst += imm`.
#[must_use]
pub const fn add64_imm(dst: u8, imm: i32) -> Insn {
    Insn::new(op::ALU64 | op::ADD | op::K, dst, 0, 0, imm)
}

/// `dst = *(size *)(src + off)`; `size` is one of the size bits of [`crate::opcode`].
#[must_use]
pub const fn load(size: u8, dst: u8, src: u8, off: i16) -> Insn {
    Insn::new(op::LDX | op::MEM | size, dst, src, off, 0)
}

/// `*(size *)(dst + off) = src`.
#[must_use]
pub const fn store(size: u8, dst: u8, off: i16, src: u8) -> Insn {
    Insn::new(op::STX | op::MEM | size, dst, src, off, 0)
}

/// `*(size *)(dst + off) = imm`.
#[must_use]
pub const fn store_imm(size: u8, dst: u8, off: i16, imm: i32) -> Insn {
    Insn::new(op::ST | op::MEM | size, dst, 0, off, imm)
}

/// Both slots of `dst = imm`, 64 bits; `src` is 0 or one of the `PSEUDO_` kinds.
#[must_use]
pub const fn ld_imm64(dst: u8, src: u8, imm: u64) -> [Insn; 2] {
    let [a, b, c, d, e, f, g, h] = imm.to_le_bytes();
    [
        Insn::new(op::LD_IMM64, dst, src, 0, i32::from_le_bytes([a, b, c, d])),
        Insn::new(0, 0, 0, 0, i32::from_le_bytes([e, f, g, h])),
    ]
}

/// A call of the helper `id`.
#[must_use]
pub const fn call(id: i32) -> Insn {
    Insn::new(op::CALL, 0, 0, 0, id)
}

/// A call of the subprogram that starts `rel` instructions after the next one.
#[must_use]
pub const fn call_rel(rel: i32) -> Insn {
    Insn::new(op::CALL, 0, op::PSEUDO_CALL, 0, rel)
}

/// Return.
#[must_use]
pub const fn exit() -> Insn {
    Insn::new(op::EXIT, 0, 0, 0, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ld_imm64_splits_the_value() {
        let [low, high] = ld_imm64(1, op::PSEUDO_MAP_VALUE, 0x8000_0001_ffff_fffe);
        assert_eq!((low.imm, low.src(), low.dst()), (-2, 2, 1));
        assert_eq!(high, Insn::new(0, 0, 0, 0, 0x8000_0001u32.cast_signed()));
    }
}
