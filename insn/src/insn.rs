//! One instruction: 8 bytes, in the byte order of this machine once read.

use bytemuck::{Pod, Zeroable};

use crate::opcode;

/// The byte order of an object file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endian {
    /// Least significant byte first (`ELFDATA2LSB`).
    Little,
    /// Most significant byte first (`ELFDATA2MSB`).
    Big,
}

impl Endian {
    /// The byte order of the machine that this code runs on.
    pub const HOST: Self = if cfg!(target_endian = "little") {
        Self::Little
    } else {
        Self::Big
    };

    /// A number that was written in this order.
    #[must_use]
    #[inline]
    pub const fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }

    /// A number that was written in this order.
    #[must_use]
    #[inline]
    pub const fn u64(self, bytes: [u8; 8]) -> u64 {
        match self {
            Self::Little => u64::from_le_bytes(bytes),
            Self::Big => u64::from_be_bytes(bytes),
        }
    }

    /// Whether data of this order can be used here as it is.
    #[must_use]
    pub const fn is_host(self) -> bool {
        matches!(
            (self, Self::HOST),
            (Self::Little, Self::Little) | (Self::Big, Self::Big)
        )
    }
}

impl std::fmt::Display for Endian {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Little => "little-endian",
            Self::Big => "big-endian",
        })
    }
}

/// Bytes that are no sequence of instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InsnError {
    /// The length is not a multiple of 8.
    #[error("{len} bytes of instructions, expected a multiple of 8")]
    Length {
        /// Bytes found.
        len: usize,
    },
}

/// One BPF instruction, laid out as the running kernel wants it (`struct bpf_insn`).
///
/// A 64-bit immediate load takes two of them; the second holds the high half in `imm`.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Pod, Zeroable)]
#[repr(C)]
pub struct Insn {
    /// Opcode: class in the low three bits, see [`opcode`].
    pub code: u8,
    regs: u8,
    /// Signed offset: bytes for memory access, instructions for jumps.
    pub off: i16,
    /// Signed immediate.
    pub imm: i32,
}

const _: () = assert!(size_of::<Insn>() == 8);

impl Insn {
    /// Bytes of one instruction.
    pub const SIZE: usize = 8;

    /// An instruction from its five fields; only the low four bits of a register number count.
    #[must_use]
    pub const fn new(code: u8, dst: u8, src: u8, off: i16, imm: i32) -> Self {
        Self {
            code,
            regs: Self::pack(dst, src),
            off,
            imm,
        }
    }

    // The two nibbles are C bit-fields, so their order follows the byte order of the machine.
    const fn pack(dst: u8, src: u8) -> u8 {
        match Endian::HOST {
            Endian::Little => (src & 15) << 4 | dst & 15,
            Endian::Big => (dst & 15) << 4 | src & 15,
        }
    }

    /// Destination register, 0 to 15.
    #[must_use]
    pub const fn dst(self) -> u8 {
        match Endian::HOST {
            Endian::Little => self.regs & 15,
            Endian::Big => self.regs >> 4,
        }
    }

    /// Source register, or the kind of a pseudo instruction, 0 to 15.
    #[must_use]
    pub const fn src(self) -> u8 {
        match Endian::HOST {
            Endian::Little => self.regs >> 4,
            Endian::Big => self.regs & 15,
        }
    }

    /// Replaces the source register.
    pub const fn set_src(&mut self, src: u8) {
        self.regs = Self::pack(self.dst(), src);
    }

    /// Replaces the destination register.
    pub const fn set_dst(&mut self, dst: u8) {
        self.regs = Self::pack(dst, self.src());
    }

    /// The same instruction with another immediate.
    #[must_use]
    pub const fn with_imm(self, imm: i32) -> Self {
        Self { imm, ..self }
    }

    /// The class, the low three bits of the opcode.
    #[must_use]
    pub const fn class(self) -> u8 {
        opcode::class(self.code)
    }

    /// Whether this is the first half of a 64-bit immediate load.
    #[must_use]
    pub const fn is_ld_imm64(self) -> bool {
        self.code == opcode::LD_IMM64
    }

    /// Whether this is a call of any kind (helper, subprogram, kfunc).
    #[must_use]
    pub const fn is_call(self) -> bool {
        self.code == opcode::CALL
    }

    /// Whether this calls a helper by number.
    #[must_use]
    pub const fn is_helper_call(self) -> bool {
        self.is_call() && self.regs == 0
    }

    /// Reads one instruction written in `endian`.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::SIZE], endian: Endian) -> Self {
        let [code, regs, o0, o1, i0, i1, i2, i3] = bytes;
        let (off, imm, dst, src) = match endian {
            Endian::Little => (
                i16::from_le_bytes([o0, o1]),
                i32::from_le_bytes([i0, i1, i2, i3]),
                regs & 15,
                regs >> 4,
            ),
            Endian::Big => (
                i16::from_be_bytes([o0, o1]),
                i32::from_be_bytes([i0, i1, i2, i3]),
                regs >> 4,
                regs & 15,
            ),
        };
        Self::new(code, dst, src, off, imm)
    }

    /// Writes this instruction in `endian`.
    #[must_use]
    pub const fn to_bytes(self, endian: Endian) -> [u8; Self::SIZE] {
        let (regs, o, i) = match endian {
            Endian::Little => (
                self.src() << 4 | self.dst(),
                self.off.to_le_bytes(),
                self.imm.to_le_bytes(),
            ),
            Endian::Big => (
                self.dst() << 4 | self.src(),
                self.off.to_be_bytes(),
                self.imm.to_be_bytes(),
            ),
        };
        [self.code, regs, o[0], o[1], i[0], i[1], i[2], i[3]]
    }

    /// Reads a whole function written in `endian`.
    ///
    /// # Errors
    /// [`InsnError::Length`] if the bytes are not a multiple of 8.
    pub fn read_all(bytes: &[u8], endian: Endian) -> Result<Vec<Self>, InsnError> {
        let (chunks, []) = bytes.as_chunks::<{ Self::SIZE }>() else {
            return Err(InsnError::Length { len: bytes.len() });
        };
        Ok(chunks
            .iter()
            .map(|chunk| Self::from_bytes(*chunk, endian))
            .collect())
    }
}

impl std::fmt::Debug for Insn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Insn({:#04x} dst={} src={} off={} imm={})",
            self.code,
            self.dst(),
            self.src(),
            self.off,
            self.imm
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_orders_read_the_same_instruction() {
        let insn = Insn::new(0x61, 3, 9, -8, -1_000_000);
        for endian in [Endian::Little, Endian::Big] {
            assert_eq!(Insn::from_bytes(insn.to_bytes(endian), endian), insn);
        }
        assert_eq!(insn.to_bytes(Endian::Little)[1], 0x93);
        assert_eq!(insn.to_bytes(Endian::Big)[1], 0x39);
    }

    #[test]
    fn memory_layout_is_the_kernels() {
        let insn = Insn::new(0x61, 3, 9, -8, 7);
        assert_eq!(bytemuck::bytes_of(&insn), insn.to_bytes(Endian::HOST));
    }

    #[test]
    fn odd_length_is_an_error() {
        assert_eq!(
            Insn::read_all(&[0; 9], Endian::Little),
            Err(InsnError::Length { len: 9 })
        );
        assert_eq!(Insn::read_all(&[0; 16], Endian::Big).unwrap().len(), 2);
    }
}
