//! The bits of the opcode byte, by the kernel's names.
//!
//! Source: `include/uapi/linux/bpf_common.h` and `bpf.h`.

/// The class of an opcode.
#[must_use]
pub const fn class(code: u8) -> u8 {
    code & 0x07
}

/// The access size bits of a load or store.
#[must_use]
pub const fn size(code: u8) -> u8 {
    code & 0x18
}

/// The mode bits of a load or store.
#[must_use]
pub const fn mode(code: u8) -> u8 {
    code & 0xe0
}

/// The operation bits of an arithmetic or jump instruction.
#[must_use]
pub const fn op(code: u8) -> u8 {
    code & 0xf0
}

/// The source bit: [`K`] or [`X`].
#[must_use]
pub const fn source(code: u8) -> u8 {
    code & 0x08
}

/// Bytes that a load or store of these size bits moves: 1, 2, 4 or 8.
#[must_use]
pub const fn size_bytes(code: u8) -> u8 {
    match size(code) {
        B => 1,
        H => 2,
        W => 4,
        _ => 8,
    }
}

/// The size bits for an access of `bytes` bytes, if there are any.
#[must_use]
pub const fn size_of_bytes(bytes: u32) -> Option<u8> {
    match bytes {
        1 => Some(B),
        2 => Some(H),
        4 => Some(W),
        8 => Some(DW),
        _ => None,
    }
}

macro_rules! constants {
    ($($(#[doc = $doc:literal])* $name:ident = $value:literal;)*) => {
        $($(#[doc = $doc])* pub const $name: u8 = $value;)*
    };
}

constants! {
    /// Class: non-standard load.
    LD = 0x00;
    /// Class: load into a register.
    LDX = 0x01;
    /// Class: store an immediate.
    ST = 0x02;
    /// Class: store a register.
    STX = 0x03;
    /// Class: 32-bit arithmetic.
    ALU = 0x04;
    /// Class: 64-bit jumps.
    JMP = 0x05;
    /// Class: 32-bit jumps.
    JMP32 = 0x06;
    /// Class: 64-bit arithmetic.
    ALU64 = 0x07;

    /// Size: 4 bytes.
    W = 0x00;
    /// Size: 2 bytes.
    H = 0x08;
    /// Size: 1 byte.
    B = 0x10;
    /// Size: 8 bytes.
    DW = 0x18;

    /// Mode: immediate.
    IMM = 0x00;
    /// Mode: packet, absolute.
    ABS = 0x20;
    /// Mode: packet, indirect.
    IND = 0x40;
    /// Mode: memory.
    MEM = 0x60;
    /// Mode: memory, sign-extended.
    MEMSX = 0x80;
    /// Mode: atomic.
    ATOMIC = 0xc0;

    /// Source: the immediate.
    K = 0x00;
    /// Source: the register.
    X = 0x08;

    /// Add.
    ADD = 0x00;
    /// Subtract.
    SUB = 0x10;
    /// Multiply.
    MUL = 0x20;
    /// Divide.
    DIV = 0x30;
    /// Or.
    OR = 0x40;
    /// And.
    AND = 0x50;
    /// Shift left.
    LSH = 0x60;
    /// Shift right, filling with zeros.
    RSH = 0x70;
    /// Negate.
    NEG = 0x80;
    /// Remainder.
    MOD = 0x90;
    /// Exclusive or.
    XOR = 0xa0;
    /// Move.
    MOV = 0xb0;
    /// Shift right, filling with the sign.
    ARSH = 0xc0;
    /// Change of byte order.
    END = 0xd0;

    /// Jump always.
    JA = 0x00;
    /// Jump if equal.
    JEQ = 0x10;
    /// Jump if greater.
    JGT = 0x20;
    /// Jump if greater or equal.
    JGE = 0x30;
    /// Jump if any bit is set.
    JSET = 0x40;
    /// Jump if not equal.
    JNE = 0x50;
    /// Jump if greater, signed.
    JSGT = 0x60;
    /// Jump if greater or equal, signed.
    JSGE = 0x70;
    /// Jump if less.
    JLT = 0xa0;
    /// Jump if less or equal.
    JLE = 0xb0;
    /// Jump if less, signed.
    JSLT = 0xc0;
    /// Jump if less or equal, signed.
    JSLE = 0xd0;
    /// Jump of conditional kind (`may_goto`).
    JCOND = 0xe0;

    /// A whole opcode: 64-bit immediate load, first of two slots.
    LD_IMM64 = 0x18;
    /// A whole opcode: call.
    CALL = 0x85;
    /// A whole opcode: return from the function.
    EXIT = 0x95;

    /// `ld_imm64` source: a map by fd (`BPF_PSEUDO_MAP_FD`).
    PSEUDO_MAP_FD = 1;
    /// `ld_imm64` source: an address inside a map's value.
    PSEUDO_MAP_VALUE = 2;
    /// `ld_imm64` source: a kernel variable by BTF id.
    PSEUDO_BTF_ID = 3;
    /// `ld_imm64` source: the address of a subprogram.
    PSEUDO_FUNC = 4;
    /// `ld_imm64` source: a map by index in the fd array.
    PSEUDO_MAP_IDX = 5;
    /// `ld_imm64` source: an address in a value of a map by index.
    PSEUDO_MAP_IDX_VALUE = 6;
    /// Call source: a subprogram.
    PSEUDO_CALL = 1;
    /// Call source: a kernel function by BTF id.
    PSEUDO_KFUNC_CALL = 2;
}
