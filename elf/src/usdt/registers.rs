//! Where registers are in what the kernel calls `pt_regs`, by machine.

use object::elf;

/// A machine whose arguments are understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Machine {
    /// x86-64.
    X86_64,
    /// ARM, 64 bits.
    Aarch64,
    /// ARM, 32 bits.
    Arm,
    /// IBM Z.
    S390x,
    /// RISC-V, 64 bits.
    Riscv64,
}

/// x86-64: names of one register, and its place in bytes. Without a name it is the instruction
/// pointer.
const X86_64: &[(&[&str], u16)] = &[
    (&["r15", "r15d", "r15w", "r15b"], 0),
    (&["r14", "r14d", "r14w", "r14b"], 8),
    (&["r13", "r13d", "r13w", "r13b"], 16),
    (&["r12", "r12d", "r12w", "r12b"], 24),
    (&["rbp", "ebp", "bp", "bpl"], 32),
    (&["rbx", "ebx", "bx", "bl"], 40),
    (&["r11", "r11d", "r11w", "r11b"], 48),
    (&["r10", "r10d", "r10w", "r10b"], 56),
    (&["r9", "r9d", "r9w", "r9b"], 64),
    (&["r8", "r8d", "r8w", "r8b"], 72),
    (&["rax", "eax", "ax", "al"], 80),
    (&["rcx", "ecx", "cx", "cl"], 88),
    (&["rdx", "edx", "dx", "dl"], 96),
    (&["rsi", "esi", "si", "sil"], 104),
    (&["rdi", "edi", "di", "dil"], 112),
    (&["rip", "eip", ""], 128),
    (&["rsp", "esp", "sp", "spl"], 152),
];

/// RISC-V: in this order, 8 bytes each. The program counter has no name in arguments.
const RISCV64: &[&str] = &[
    "", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1", "a0", "a1", "a2", "a3", "a4", "a5",
    "a6", "a7", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5",
    "t6",
];

/// ARM: names of those above `r10`, in this order.
const ARM: &[&str] = &["fp", "ip", "sp", "lr", "pc"];

/// Bytes of `pt_regs` before the general registers of IBM Z: an argument, then the status word.
const S390X_HEAD: u16 = 24;

impl Machine {
    /// The machine of an ELF header (`e_machine`).
    pub(super) fn of(machine: elf::Machine, is_64: bool) -> Option<Self> {
        Some(match (machine, is_64) {
            (elf::EM_X86_64, true) => Self::X86_64,
            (elf::EM_AARCH64, true) => Self::Aarch64,
            (elf::EM_ARM, false) => Self::Arm,
            (elf::EM_S390, true) => Self::S390x,
            (elf::EM_RISCV, true) => Self::Riscv64,
            _ => return None,
        })
    }

    /// The place of a register in `pt_regs`, bytes.
    ///
    /// # Source
    /// libbpf `calc_pt_regs_off`.
    pub(super) fn register(self, name: &str) -> Option<u16> {
        let numbered = |prefix: &str, last: u16| {
            let number = name.strip_prefix(prefix)?;
            // No sign, no zeros in front.
            let is_plain = number == "0" || number.starts_with(|c: char| matches!(c, '1'..='9'));
            let number: u16 = number.parse().ok().filter(|_| is_plain)?;
            (number <= last).then_some(number)
        };
        let words = |size: u16, index: usize| u16::try_from(index).ok()?.checked_mul(size);
        match self {
            Self::X86_64 => {
                let mut rows = X86_64.iter();
                let row = rows.find(|(names, _)| names.contains(&name));
                row.map(|(_, place)| *place)
            }
            Self::Aarch64 if name == "sp" => Some(31 * 8),
            Self::Aarch64 => numbered("x", 30)?.checked_mul(8),
            Self::S390x => numbered("r", 15)?.checked_mul(8)?.checked_add(S390X_HEAD),
            Self::Riscv64 if name.is_empty() => None,
            Self::Riscv64 => words(8, RISCV64.iter().position(|known| *known == name)?),
            Self::Arm => match ARM.iter().position(|known| *known == name) {
                Some(index) => words(4, index.checked_add(11)?),
                None => numbered("r", 10)?.checked_mul(4),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_are_where_the_kernel_has_them() {
        for (machine, name, place) in [
            (Machine::X86_64, "r15", Some(0)),
            (Machine::X86_64, "r8d", Some(72)),
            (Machine::X86_64, "al", Some(80)),
            (Machine::X86_64, "sil", Some(104)),
            (Machine::X86_64, "rsp", Some(152)),
            (Machine::X86_64, "", Some(128)),
            (Machine::X86_64, "xmm0", None),
            (Machine::Aarch64, "x0", Some(0)),
            (Machine::Aarch64, "x30", Some(240)),
            (Machine::Aarch64, "sp", Some(248)),
            (Machine::Aarch64, "x31", None),
            (Machine::Aarch64, "x+1", None),
            (Machine::S390x, "r2", Some(40)),
            (Machine::S390x, "r16", None),
            (Machine::Riscv64, "ra", Some(8)),
            (Machine::Riscv64, "a0", Some(80)),
            (Machine::Riscv64, "t6", Some(248)),
            (Machine::Riscv64, "", None),
            (Machine::Arm, "r10", Some(40)),
            (Machine::Arm, "sp", Some(52)),
            (Machine::Arm, "r11", None),
        ] {
            assert_eq!(machine.register(name), place, "{machine:?} {name}");
        }
    }
}
