//! Whether the parameters of a function come in the registers that its prototype says.

use object::Architecture;

/// How functions of a machine get their parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Abi {
    /// How many parameters come in registers.
    count: usize,
    /// Those registers by their DWARF numbers; empty if they are not known.
    registers: &'static [u16],
    /// Whether what is larger than one register can come in two.
    pairs: bool,
    /// Bytes of a register.
    width: u64,
}

/// Where a parameter is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Location {
    /// There is a location, whether or not it is understood.
    pub(super) is_there: bool,
    /// It is a constant instead.
    pub(super) is_constant: bool,
    /// The register of a parameter that fits into one, by its DWARF number.
    pub(super) whole: Option<u16>,
    /// The first register of a parameter that takes two.
    pub(super) split: Option<u16>,
}

/// A parameter as the caller sees it and as the function does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passed {
    /// Bytes.
    pub(super) size: u64,
    pub(super) location: Location,
    pub(super) is_struct: bool,
}

/// How much the compiler may have changed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Compiler {
    /// It is clang, which says so when it changes a signature.
    pub(super) is_clang: bool,
    /// It says that it has changed this one.
    pub(super) has_changed: bool,
}

/// What became of the parameters of a function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// One is in a register where its place is not.
    pub(super) is_elsewhere: bool,
    /// One is not passed at all, as far as one can see.
    pub(super) is_missing: bool,
}

impl Abi {
    pub(super) fn new(machine: Architecture, width: u32) -> Self {
        let (count, registers, pairs): (_, &[u16], _) = match machine {
            Architecture::X86_64 => (6, &[5, 4, 1, 2, 8, 9], true),
            Architecture::Aarch64 | Architecture::Arm => (8, &[0, 1, 2, 3, 4, 5, 6, 7], true),
            Architecture::S390x => (5, &[2, 3, 4, 5, 6], false),
            Architecture::Sparc64 => (6, &[], true),
            Architecture::PowerPc
            | Architecture::PowerPc64
            | Architecture::Riscv32
            | Architecture::Riscv64
            | Architecture::Mips
            | Architecture::Mips64 => (8, &[], true),
            _ => (0, &[], true),
        };
        Self {
            count,
            registers,
            pairs,
            width: u64::from(width).max(1),
        }
    }

    /// Registers that a parameter takes.
    fn slots(&self, size: u64) -> usize {
        match self.pairs && size > self.width {
            true => size.div_ceil(self.width) as usize,
            false => 1,
        }
    }

    fn is_in_memory(&self, size: u64) -> bool {
        size > self.width.saturating_mul(if self.pairs { 2 } else { 1 })
    }

    fn register(&self, passed: &Passed) -> Option<u16> {
        match self.pairs && passed.size > self.width {
            true => passed.location.split,
            false => passed.location.whole,
        }
    }

    /// Judges the parameters of a function by where they are when it is entered.
    pub(super) fn judge(&self, params: &[Passed], compiler: Compiler) -> Verdict {
        let mut verdict = match compiler.is_clang && !compiler.has_changed {
            true => self.judge_usual(params),
            false => self.judge_changed(params, compiler),
        };
        verdict.is_missing |= params.iter().any(|param| !param.location.is_there);
        // A struct may come in pieces, and then the registers of all others are anybody's guess.
        verdict.is_elsewhere &= !params.iter().any(|param| param.is_struct);
        verdict
    }

    /// Looks for parameters outside of the registers that each could be in.
    fn judge_usual(&self, params: &[Passed]) -> Verdict {
        let mut verdict = Verdict::default();
        let mut next = 0usize;
        for param in params.iter().filter(|p| !self.is_in_memory(p.size)) {
            let slots = self.slots(param.size);
            if let (Some(found), Some(left)) = (self.register(param), self.registers.get(next..))
                && !left.is_empty()
            {
                verdict.is_elsewhere |= !left.iter().take(slots).any(|slot| *slot == found);
            }
            next = next.saturating_add(slots);
        }
        verdict
    }

    /// Looks for parameters in another register than the one that the place of each has.
    fn judge_changed(&self, params: &[Passed], compiler: Compiler) -> Verdict {
        let mut verdict = Verdict::default();
        let mut next = 0usize;
        for param in params {
            let location = param.location;
            if location.is_there {
                if next >= self.count {
                    continue;
                }
                match (self.register(param), self.registers.get(next)) {
                    (None, _) => verdict.is_missing = true,
                    (Some(found), Some(expected)) => verdict.is_elsewhere |= found != *expected,
                    (Some(_), None) => {}
                }
            } else {
                verdict.is_missing |= location.is_constant && !compiler.is_clang;
            }
            let slots = match self.is_in_memory(param.size) {
                true => 1,
                false => self.slots(param.size),
            };
            next = next.saturating_add(slots);
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GCC: Compiler = Compiler {
        is_clang: false,
        has_changed: false,
    };
    const CLANG: Compiler = Compiler {
        is_clang: true,
        ..GCC
    };

    fn passed(size: u64, register: Option<u16>) -> Passed {
        Passed {
            size,
            location: Location {
                is_there: true,
                is_constant: false,
                whole: register,
                split: register,
            },
            is_struct: false,
        }
    }

    fn judge(params: &[Passed], compiler: Compiler) -> (bool, bool) {
        let verdict = Abi::new(Architecture::X86_64, 8).judge(params, compiler);
        (verdict.is_elsewhere, verdict.is_missing)
    }

    #[test]
    fn parameters_are_expected_in_the_order_of_the_registers() {
        let usual = [passed(8, Some(5)), passed(4, Some(4))];
        assert_eq!(judge(&usual, GCC), (false, false));
        let moved = [passed(8, Some(4)), passed(4, Some(5))];
        assert_eq!(judge(&moved, GCC), (true, false));
        assert_eq!(judge(&moved, CLANG), (true, false));
        // The first is gone, and the others have moved up.
        let mut gone = [passed(8, None), passed(8, Some(5))];
        gone[0].location = Location::default();
        assert_eq!(judge(&gone, GCC), (true, true));
        gone[0].is_struct = true;
        assert_eq!(judge(&gone, GCC), (false, true));
    }

    #[test]
    fn parameter_of_two_registers_takes_both() {
        let params = [passed(16, Some(5)), passed(8, Some(1))];
        assert_eq!(judge(&params, GCC), (false, false));
        let params = [passed(16, Some(4)), passed(8, Some(1))];
        assert_eq!(judge(&params, CLANG), (false, false), "in its second one");
        let params = [passed(24, None), passed(8, Some(5))];
        assert!(!judge(&params, CLANG).0, "the first is in memory");
    }

    #[test]
    fn parameters_past_the_registers_can_be_anywhere() {
        let registers = [5, 4, 1, 2, 8, 9].map(|number| passed(8, Some(number)));
        let mut params = registers.to_vec();
        params.push(passed(8, None));
        assert_eq!(judge(&params, GCC), (false, false));
        let unknown = Abi::new(Architecture::LoongArch64, 8).judge(&params, GCC);
        assert_eq!(unknown, Verdict::default());
    }
}
