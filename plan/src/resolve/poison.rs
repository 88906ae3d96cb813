//! Instructions for what is missing: calls of functions that no kernel has, so that the verifier
//! complains if it meets one. The numbers are libbpf's; tools know them.

use purebpf_insn::{Insn, opcode};

/// A CO-RE relocation that nothing on the kernel satisfies.
pub(super) const CORE: i32 = 0x0bad_2310;

/// A map that is not created; its position is added.
pub(super) const MAP: i32 = 2_001_000_000;

/// A kernel function that is not there; the position of the extern is added.
pub(super) const KFUNC: i32 = 2_002_000_000;

/// A call that no kernel accepts.
pub(super) const fn poison(imm: i32) -> Insn {
    Insn::new(opcode::CALL, 0, 0, 0, imm)
}
