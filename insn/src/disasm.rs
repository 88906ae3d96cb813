//! Instructions as text, in the form of the kernel's verifier log.
//!
//! Source: `kernel/bpf/disasm.c`.

use std::fmt;

use crate::{Insn, helpers, opcode as op};

const SIZES: [&str; 4] = ["u32", "u16", "u8", "u64"];
const SIGNED_SIZES: [&str; 4] = ["s32", "s16", "s8", "s64"];

const ALU: [&str; 16] = [
    "+=", "-=", "*=", "/=", "|=", "&=", "<<=", ">>=", "neg", "%=", "^=", "=", "s>>=", "endian", "",
    "",
];

const ATOMIC: [(u8, &str); 4] = [
    (op::ADD, "add"),
    (op::AND, "and"),
    (op::OR, "or"),
    (op::XOR, "xor"),
];

const JUMP: [&str; 16] = [
    "jmp", "==", ">", ">=", "&", "!=", "s>", "s>=", "call", "exit", "<", "<=", "s<", "s<=",
    "may_goto", "",
];

const CLASSES: [&str; 8] = ["ld", "ldx", "st", "stx", "alu", "jmp", "jmp32", "alu64"];

const FETCH: i32 = 0x01;
const XCHG: i32 = 0xe1;
const CMPXCHG: i32 = 0xf1;
const LOAD_ACQUIRE: i32 = 0x100;
const STORE_RELEASE: i32 = 0x110;

/// An instruction as text; made by [`disassemble`].
#[derive(Clone, Copy, Debug)]
pub struct Text {
    insn: Insn,
    high: i32,
}

/// The text of every instruction with its index; a 64-bit load is one text for two slots.
///
/// ```
/// use purebpf_insn::{build, disasm};
///
/// let insns = [build::mov64_imm(0, 0), build::exit()];
/// let text: Vec<_> = disasm::disassemble(&insns).map(|(i, t)| format!("{i}: {t}")).collect();
/// assert_eq!(text, ["0: (b7) r0 = 0", "1: (95) exit"]);
/// ```
pub fn disassemble(insns: &[Insn]) -> impl Iterator<Item = (usize, Text)> {
    let mut rest = insns.iter().copied().enumerate();
    std::iter::from_fn(move || {
        let (index, insn) = rest.next()?;
        let high = match insn.is_ld_imm64() {
            true => rest.next().map_or(0, |(_, second)| second.imm),
            false => 0,
        };
        Some((index, Text { insn, high }))
    })
}

fn pick<'a>(table: &[&'a str], index: u8) -> &'a str {
    table.get(usize::from(index)).copied().unwrap_or_default()
}

fn size(code: u8, names: [&'static str; 4]) -> &'static str {
    pick(&names, op::size(code) >> 3)
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let insn = self.insn;
        write!(f, "({:02x}) ", insn.code)?;
        match insn.class() {
            op::ALU | op::ALU64 => alu(f, insn),
            op::JMP | op::JMP32 => jump(f, insn),
            op::LD => self.load_immediate(f),
            op::LDX => load(f, insn),
            op::ST => store_immediate(f, insn),
            _ => store(f, insn),
        }
    }
}

fn alu(f: &mut fmt::Formatter<'_>, insn: Insn) -> fmt::Result {
    let is_wide = insn.class() == op::ALU64;
    let r = if is_wide { 'r' } else { 'w' };
    let (dst, src, imm) = (insn.dst(), insn.src(), insn.imm);
    let is_register = op::source(insn.code) == op::X;
    match op::op(insn.code) {
        op::END if is_wide => write!(f, "r{dst} = bswap{imm} r{dst}"),
        op::END => {
            let order = if is_register { "be" } else { "le" };
            write!(f, "r{dst} = {order}{imm} r{dst}")
        }
        op::NEG => write!(f, "{r}{dst} = -{r}{dst}"),
        op::MOV if is_register && is_wide && insn.off == 1 => {
            let (to, from) = (imm.cast_unsigned() >> 16, imm & 0xffff);
            write!(f, "r{dst} = addr_space_cast(r{src}, {to}, {from})")
        }
        op::MOV if is_register && is_wide && insn.off == -1 => {
            write!(f, "r{dst} = &(void __percpu *)(r{src})")
        }
        op::MOV if is_register && insn.off != 0 => {
            write!(f, "{r}{dst} = (s{}){r}{src}", insn.off)
        }
        operation => {
            let is_signed = matches!(operation, op::DIV | op::MOD) && insn.off == 1;
            let sign = if is_signed { "s" } else { "" };
            let name = pick(&ALU, operation >> 4);
            match is_register {
                true => write!(f, "{r}{dst} {sign}{name} {r}{src}"),
                false => write!(f, "{r}{dst} {sign}{name} {imm}"),
            }
        }
    }
}

fn jump(f: &mut fmt::Formatter<'_>, insn: Insn) -> fmt::Result {
    let is_wide = insn.class() == op::JMP;
    let r = if is_wide { 'r' } else { 'w' };
    let (dst, src, off, imm) = (insn.dst(), insn.src(), insn.off, insn.imm);
    let is_register = op::source(insn.code) == op::X;
    match insn.code {
        op::CALL => match src {
            op::PSEUDO_CALL => write!(f, "call pc{imm:+}"),
            op::PSEUDO_KFUNC_CALL => write!(f, "call kernel-function#{imm}"),
            _ => write!(f, "call {}#{imm}", helpers::name(imm).unwrap_or("unknown")),
        },
        op::EXIT => f.write_str("exit"),
        _ => match op::op(insn.code) {
            op::JA if is_wide && is_register => write!(f, "gotox r{dst}"),
            op::JA if is_wide => write!(f, "goto pc{off:+}"),
            op::JA => write!(f, "gotol pc{imm:+}"),
            op::JCOND => write!(f, "may_goto pc{off:+}"),
            operation => {
                let name = pick(&JUMP, operation >> 4);
                match is_register {
                    true => write!(f, "if {r}{dst} {name} {r}{src} goto pc{off:+}"),
                    false => write!(f, "if {r}{dst} {name} {imm:#x} goto pc{off:+}"),
                }
            }
        },
    }
}

impl Text {
    fn load_immediate(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let insn = self.insn;
        let name = size(insn.code, SIZES);
        match op::mode(insn.code) {
            op::ABS => write!(f, "r0 = *({name} *)skb[{}]", insn.imm),
            op::IND => write!(f, "r0 = *({name} *)skb[r{} + {}]", insn.src(), insn.imm),
            op::IMM if insn.is_ld_imm64() => {
                let high = u64::from(self.high.cast_unsigned()) << 32;
                let value = high | u64::from(insn.imm.cast_unsigned());
                write!(f, "r{} = {value:#x}", insn.dst())
            }
            _ => write!(f, "BUG_ld_{:02x}", insn.code),
        }
    }
}

fn load(f: &mut fmt::Formatter<'_>, insn: Insn) -> fmt::Result {
    let name = match op::mode(insn.code) {
        op::MEM => size(insn.code, SIZES),
        op::MEMSX => size(insn.code, SIGNED_SIZES),
        _ => return write!(f, "BUG_ldx_{:02x}", insn.code),
    };
    write!(
        f,
        "r{} = *({name} *)(r{} {:+})",
        insn.dst(),
        insn.src(),
        insn.off
    )
}

fn store_immediate(f: &mut fmt::Formatter<'_>, insn: Insn) -> fmt::Result {
    match op::mode(insn.code) {
        op::MEM => {
            let name = size(insn.code, SIZES);
            write!(
                f,
                "*({name} *)(r{} {:+}) = {}",
                insn.dst(),
                insn.off,
                insn.imm
            )
        }
        // Put in by the verifier itself.
        op::ATOMIC => f.write_str("nospec"),
        _ => write!(f, "BUG_st_{:02x}", insn.code),
    }
}

/// What a pointer and an offset point at.
struct Place<'a> {
    name: &'a str,
    dst: u8,
    off: i16,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, dst, off } = self;
        write!(f, "({name} *)(r{dst} {off:+})")
    }
}

fn store(f: &mut fmt::Formatter<'_>, insn: Insn) -> fmt::Result {
    let name = size(insn.code, SIZES);
    let (dst, src, off) = (insn.dst(), insn.src(), insn.off);
    let wide = if op::size(insn.code) == op::DW {
        "64"
    } else {
        ""
    };
    let place = Place { name, dst, off };
    match op::mode(insn.code) {
        op::MEM => return write!(f, "*{place} = r{src}"),
        op::ATOMIC => {}
        _ => return write!(f, "BUG_{}_{:02x}", pick(&CLASSES, insn.class()), insn.code),
    }
    match insn.imm {
        CMPXCHG => return write!(f, "r0 = atomic{wide}_cmpxchg({place}, r0, r{src})"),
        XCHG => return write!(f, "r{src} = atomic{wide}_xchg({place}, r{src})"),
        LOAD_ACQUIRE => return write!(f, "r{dst} = load_acquire(({name} *)(r{src} {off:+}))"),
        STORE_RELEASE => return write!(f, "store_release({place}, r{src})"),
        _ => {}
    }
    let operation = u8::try_from(insn.imm & !FETCH).ok();
    let known = ATOMIC.iter().find(|(code, _)| Some(*code) == operation);
    match known {
        Some((code, _)) if insn.imm & FETCH == 0 => {
            write!(f, "lock *{place} {} r{src}", pick(&ALU, code >> 4))
        }
        Some((_, verb)) => write!(f, "r{src} = atomic{wide}_fetch_{verb}({place}, r{src})"),
        None => write!(f, "BUG_{:02x}", insn.code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build;

    fn text(insn: Insn) -> String {
        disassemble(&[insn, Insn::default()])
            .next()
            .unwrap()
            .1
            .to_string()
    }

    #[test]
    fn texts_are_the_kernels() {
        for (insn, expected) in [
            (Insn::new(0xb7, 1, 0, 0, -5), "(b7) r1 = -5"),
            (Insn::new(0xbf, 6, 1, 0, 0), "(bf) r6 = r1"),
            (Insn::new(0x0c, 2, 3, 0, 0), "(0c) w2 += w3"),
            (Insn::new(0x37, 2, 0, 1, 7), "(37) r2 s/= 7"),
            (Insn::new(0xbf, 2, 3, 8, 0), "(bf) r2 = (s8)r3"),
            (
                Insn::new(0xbf, 2, 3, 1, 0x1_0000),
                "(bf) r2 = addr_space_cast(r3, 1, 0)",
            ),
            (Insn::new(0x87, 2, 0, 0, 0), "(87) r2 = -r2"),
            (Insn::new(0xdc, 2, 0, 0, 16), "(dc) r2 = be16 r2"),
            (Insn::new(0xd7, 2, 0, 0, 32), "(d7) r2 = bswap32 r2"),
            (Insn::new(0x61, 1, 2, 4, 0), "(61) r1 = *(u32 *)(r2 +4)"),
            (Insn::new(0x91, 1, 2, -1, 0), "(91) r1 = *(s8 *)(r2 -1)"),
            (Insn::new(0x7b, 10, 1, -8, 0), "(7b) *(u64 *)(r10 -8) = r1"),
            (Insn::new(0x62, 10, 0, -4, 9), "(62) *(u32 *)(r10 -4) = 9"),
            (
                Insn::new(0xdb, 1, 2, 0, 0),
                "(db) lock *(u64 *)(r1 +0) += r2",
            ),
            (
                Insn::new(0xdb, 1, 2, 0, 1),
                "(db) r2 = atomic64_fetch_add((u64 *)(r1 +0), r2)",
            ),
            (
                Insn::new(0xc3, 1, 2, 0, 0xf1),
                "(c3) r0 = atomic_cmpxchg((u32 *)(r1 +0), r0, r2)",
            ),
            (
                Insn::new(0x85, 0, 0, 0, 1),
                "(85) call bpf_map_lookup_elem#1",
            ),
            (Insn::new(0x85, 0, 0, 0, 9999), "(85) call unknown#9999"),
            (Insn::new(0x85, 0, 1, 0, -3), "(85) call pc-3"),
            (
                Insn::new(0x15, 0, 0, 2, -1),
                "(15) if r0 == 0xffffffff goto pc+2",
            ),
            (Insn::new(0x1e, 1, 2, -2, 0), "(1e) if w1 == w2 goto pc-2"),
            (Insn::new(0x05, 0, 0, 7, 0), "(05) goto pc+7"),
            (Insn::new(0x06, 0, 0, 0, 70), "(06) gotol pc+70"),
            (Insn::new(0x30, 0, 0, 0, 14), "(30) r0 = *(u8 *)skb[14]"),
            (Insn::new(0x50, 0, 3, 0, 2), "(50) r0 = *(u8 *)skb[r3 + 2]"),
        ] {
            assert_eq!(text(insn), expected);
        }
        let [low, high] = build::ld_imm64(3, 0, 0x1_0000_0002);
        let both = [low, high, build::exit()];
        let texts: Vec<_> = disassemble(&both)
            .map(|(i, t)| format!("{i} {t}"))
            .collect();
        assert_eq!(texts, ["0 (18) r3 = 0x100000002", "2 (95) exit"]);
    }

    #[test]
    fn every_opcode_has_some_text() {
        for code in 0..=u8::MAX {
            for imm in [0, 1, 0xe1, -1] {
                assert!(text(Insn::new(code, 15, 15, -1, imm)).len() > 5);
            }
        }
    }
}
