//! The text that says where a probe's arguments are, such as `-4@-20(%rbp) 8@%rax 4@$7`.

use super::Machine;

/// Arguments of a probe that are understood; there is room for no more.
const MOST: usize = 12;
/// Characters of a register's name.
const LONGEST_REGISTER: usize = 15;

/// Where an argument is. Places of registers are offsets in `pt_regs`, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operand {
    /// It is this number.
    Constant(i64),
    /// It is in a register.
    Register(u16),
    /// It is in memory, `offset` bytes from where a register points to.
    Memory {
        /// The register.
        register: u16,
        /// Bytes from there.
        offset: i64,
    },
    /// It is in memory, `offset` bytes and `index << shift` bytes from where a register points to.
    Indexed {
        /// The register.
        register: u16,
        /// Bytes from there.
        offset: i64,
        /// The register with the index.
        index: u16,
        /// Bits by which the index is shifted: 0 to 3.
        shift: u8,
    },
}

/// One argument of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argument {
    /// Bytes: 1, 2, 4 or 8.
    pub size: u8,
    /// Whether it is signed.
    pub is_signed: bool,
    /// Where it is.
    pub operand: Operand,
}

/// Text that is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("argument {index} of `{text}`: {what}")]
pub struct ArgumentError {
    /// The whole text.
    pub text: String,
    /// Which argument, from 0.
    pub index: usize,
    /// What is wrong with it.
    pub what: &'static str,
}

/// Reads the arguments of a note.
///
/// # Errors
/// More than 12, or one that is not understood.
///
/// # Source
/// libbpf `parse_usdt_spec`, `parse_usdt_arg`.
pub fn arguments(machine: Machine, text: &str) -> Result<Vec<Argument>, ArgumentError> {
    let mut all = Vec::new();
    let mut scan = Scan(text);
    scan.space();
    while !scan.0.is_empty() {
        let fail = |what| ArgumentError {
            text: text.to_owned(),
            index: all.len(),
            what,
        };
        if all.len() == MOST {
            return Err(fail("there are more than 12"));
        }
        let argument = scan.argument(machine).map_err(fail)?;
        all.push(argument);
        scan.space();
    }
    Ok(all)
}

/// What is left of the text.
struct Scan<'a>(&'a str);

const UNKNOWN: &str = "it is of no known form";

impl Scan<'_> {
    fn space(&mut self) {
        self.0 = self.0.trim_ascii_start();
    }

    /// Takes a character, and the space around it; whether it was there.
    fn take(&mut self, wanted: char) -> bool {
        let text = self.0.trim_ascii_start();
        match text.strip_prefix(wanted) {
            Some(rest) => {
                self.0 = rest.trim_ascii_start();
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, wanted: char) -> Result<(), &'static str> {
        self.take(wanted).then_some(()).ok_or(UNKNOWN)
    }

    /// Takes a decimal number, if there is one.
    fn number(&mut self) -> Option<i64> {
        let text = self.0.trim_ascii_start();
        let sign = usize::from(text.starts_with(['-', '+']));
        let digits = text.get(sign..)?;
        let end = digits
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(digits.len());
        let end = end.checked_add(sign)?;
        let number = text.get(..end)?.parse().ok()?;
        self.0 = text.get(end..)?;
        Some(number)
    }

    /// Takes a register's name.
    fn register(&mut self, machine: Machine) -> Result<u16, &'static str> {
        let text = self.0.trim_ascii_start();
        let is_end = |c: char| c.is_ascii_whitespace() || matches!(c, ',' | ')' | ']' | '(');
        let end = text.find(is_end).unwrap_or(text.len());
        let (name, rest) = text.split_at_checked(end).ok_or(UNKNOWN)?;
        if name.len() > LONGEST_REGISTER {
            return Err("its register has too long a name");
        }
        let place = machine.register(name);
        self.0 = rest;
        place.ok_or("its register is unknown")
    }

    fn argument(&mut self, machine: Machine) -> Result<Argument, &'static str> {
        let size = self.number().ok_or("it has no size")?;
        self.expect('@')?;
        let operand = match machine {
            Machine::X86_64 => self.x86(machine),
            Machine::Aarch64 => self.arm(machine, false),
            Machine::Arm => self.arm(machine, true),
            Machine::S390x => self.plain(machine, true),
            Machine::Riscv64 => self.plain(machine, false),
        }?;
        let bytes = match size.unsigned_abs() {
            bytes @ (1 | 2 | 4 | 8) => u8::try_from(bytes).unwrap_or(8),
            _ => return Err("its size is not 1, 2, 4 or 8 bytes"),
        };
        Ok(Argument {
            size: bytes,
            is_signed: size < 0,
            operand,
        })
    }

    /// `$NUMBER`, `%REG`, `OFF(%REG)`, `OFF(%REG,%REG,SCALE)`; offset and scale may be left out.
    fn x86(&mut self, machine: Machine) -> Result<Operand, &'static str> {
        if self.take('$') {
            return self.number().map(Operand::Constant).ok_or(UNKNOWN);
        }
        if self.take('%') {
            return self.register(machine).map(Operand::Register);
        }
        let offset = self.number().unwrap_or(0);
        self.expect('(')?;
        self.expect('%')?;
        let register = self.register(machine)?;
        if self.take(')') {
            return Ok(Operand::Memory { register, offset });
        }
        self.expect(',')?;
        self.expect('%')?;
        let index = self.register(machine)?;
        let scale = match self.take(',') {
            true => self.number().ok_or(UNKNOWN)?,
            false => 1,
        };
        self.expect(')')?;
        let shift = match scale {
            1 => 0,
            2 => 1,
            4 => 2,
            8 => 3,
            _ => return Err("its scale is not 1, 2, 4 or 8"),
        };
        Ok(Operand::Indexed {
            register,
            offset,
            index,
            shift,
        })
    }

    /// `[REG,OFF]`, `[REG]`, `NUMBER`, `REG`; on 32 bits numbers begin with `#`.
    fn arm(&mut self, machine: Machine, has_sign: bool) -> Result<Operand, &'static str> {
        if self.take('[') {
            let register = self.register(machine)?;
            let mut offset = 0;
            if self.take(',') {
                if has_sign {
                    self.expect('#')?;
                }
                offset = self.number().ok_or(UNKNOWN)?;
            }
            self.expect(']')?;
            return Ok(Operand::Memory { register, offset });
        }
        let is_number = !has_sign || self.take('#');
        match self.number().filter(|_| is_number) {
            Some(number) => Ok(Operand::Constant(number)),
            None => self.register(machine).map(Operand::Register),
        }
    }

    /// `OFF(REG)`, `NUMBER`, `REG`; where `has_percent`, registers begin with `%`.
    fn plain(&mut self, machine: Machine, has_percent: bool) -> Result<Operand, &'static str> {
        let register = |scan: &mut Self| {
            if has_percent {
                scan.expect('%')?;
            }
            scan.register(machine)
        };
        let Some(number) = self.number() else {
            return register(self).map(Operand::Register);
        };
        if !self.take('(') {
            return Ok(Operand::Constant(number));
        }
        let register = register(self)?;
        self.expect(')')?;
        Ok(Operand::Memory {
            register,
            offset: number,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(machine: Machine, text: &str) -> Argument {
        let all = arguments(machine, text).unwrap();
        assert_eq!(all.len(), 1, "{text}");
        all[0]
    }

    fn memory(register: u16, offset: i64) -> Operand {
        Operand::Memory { register, offset }
    }

    fn indexed(offset: i64, shift: u8) -> Operand {
        Operand::Indexed {
            register: 32,
            offset,
            index: 80,
            shift,
        }
    }

    #[test]
    fn every_form_of_every_machine_is_read() {
        use Machine::{Aarch64, Arm, Riscv64, S390x, X86_64};
        use Operand::{Constant, Register};
        for (machine, text, operand) in [
            (X86_64, "-4@%eax", Register(80)),
            (X86_64, "8@$-71", Constant(-71)),
            (X86_64, "-4@-20(%rbp)", memory(32, -20)),
            (X86_64, "8@(%rsp)", memory(152, 0)),
            (X86_64, " 1 @ -96 ( %rbp , %rax , 8 ) ", indexed(-96, 3)),
            (X86_64, "1@(%rbp,%rax,4)", indexed(0, 2)),
            (X86_64, "1@-96(%rbp,%rax)", indexed(-96, 0)),
            (X86_64, "1@(%rbp,%rax)", indexed(0, 0)),
            (X86_64, "8@16(%)", memory(128, 16)),
            (Aarch64, "-4@x2", Register(16)),
            (Aarch64, "8@[sp,96]", memory(248, 96)),
            (Aarch64, "8@[x1, -8]", memory(8, -8)),
            (Aarch64, "8@[x1]", memory(8, 0)),
            (Aarch64, "-4@5", Constant(5)),
            (S390x, "-4@160(%r15)", memory(144, 160)),
            (S390x, "-4@%r2", Register(40)),
            (S390x, "8@7", Constant(7)),
            (Riscv64, "-8@-88(s0)", memory(64, -88)),
            (Riscv64, "-4@5", Constant(5)),
            (Riscv64, "8@a1", Register(88)),
            (Arm, "-4@[fp,#-16]", memory(44, -16)),
            (Arm, "-4@[r1]", memory(4, 0)),
            (Arm, "-4@#5", Constant(5)),
            (Arm, "4@r2", Register(8)),
        ] {
            assert_eq!(one(machine, text).operand, operand, "{text}");
        }
    }

    #[test]
    fn sizes_have_a_sign() {
        let all = arguments(Machine::X86_64, "-4@%eax 8@%rbx  1@%cl").unwrap();
        let sizes: Vec<_> = all.iter().map(|a| (a.size, a.is_signed)).collect();
        assert_eq!(sizes, [(4, true), (8, false), (1, false)]);
        assert_eq!(arguments(Machine::X86_64, " "), Ok(Vec::new()));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (text, what) in [
            ("4", UNKNOWN),
            ("@%eax", "it has no size"),
            ("3@%eax", "its size is not 1, 2, 4 or 8 bytes"),
            (
                "-9223372036854775808@%eax",
                "its size is not 1, 2, 4 or 8 bytes",
            ),
            ("4@%xyz", "its register is unknown"),
            ("4@%0123456789abcdef", "its register has too long a name"),
            ("4@(%rax", UNKNOWN),
            ("4@(%rax,%rbx,3)", "its scale is not 1, 2, 4 or 8"),
            ("4@$", UNKNOWN),
        ] {
            let error = arguments(Machine::X86_64, text).unwrap_err();
            assert_eq!((error.index, error.what), (0, what), "{text}");
        }
        let many = "4@%eax ".repeat(13);
        let error = arguments(Machine::X86_64, &many).unwrap_err();
        assert_eq!(error.what, "there are more than 12");
    }
}
