//! Values of the kernel's configuration, written the way a program's variables want them.

use purebpf_insn::Endian;

use crate::Error;
use crate::spec::extern_::{ConfigExtern, ConfigKind, Extern};

/// Reads the lines `CONFIG_X=value` of a configuration and hands out those that are wanted.
///
/// # Source
/// libbpf `bpf_object__process_kconfig_line`.
pub(super) fn lines(text: &str) -> impl Iterator<Item = Result<(&str, &str), Error>> {
    text.lines()
        .filter(|line| line.starts_with("CONFIG_"))
        .map(|line| {
            let fail = |what: &str| Error::Extern {
                name: line.to_owned(),
                what: what.to_owned(),
                used: None,
            };
            let (name, value) = line
                .split_once('=')
                .ok_or_else(|| fail("its line of configuration has no `=`"))?;
            match value.is_empty() {
                true => Err(fail("its line of configuration has no value")),
                false => Ok((name, value)),
            }
        })
}

/// The bytes of a value as the variable of this extern holds them.
pub(super) fn value(
    ext: &Extern,
    config: &ConfigExtern,
    text: &str,
    endian: Endian,
) -> Result<Vec<u8>, Error> {
    let misfit = |what: &str| ext.fail(format!("its value is `{text}`, {what}"));
    match text.bytes().next() {
        Some(letter @ (b'y' | b'n' | b'm')) => {
            let number = match (config.kind, letter) {
                (ConfigKind::Char, letter) => u64::from(letter),
                (ConfigKind::Bool | ConfigKind::Tristate, b'y') => 1,
                (ConfigKind::Bool | ConfigKind::Tristate, b'n') => 0,
                (ConfigKind::Tristate, _) => 2,
                _ => {
                    return Err(misfit(
                        "but its type is not bool, char or enum libbpf_tristate",
                    ));
                }
            };
            Ok(bytes(number, config.size, endian))
        }
        Some(b'"') => {
            if config.kind != ConfigKind::CharArray {
                return Err(misfit("but its type is not an array of char"));
            }
            let inner = text
                .strip_prefix('"')
                .and_then(|text| text.strip_suffix('"'))
                .ok_or_else(|| misfit("a text without its closing quote"))?;
            let size = usize::try_from(config.size).unwrap_or(0);
            let mut value: Vec<u8> = inner.bytes().take(size.saturating_sub(1)).collect();
            value.resize(size, 0);
            Ok(value)
        }
        _ => {
            if !matches!(config.kind, ConfigKind::Int | ConfigKind::Char) {
                return Err(misfit("but its type is not an integer"));
            }
            let number =
                integer(text).ok_or_else(|| misfit("expected a number, a text, y, n or m"))?;
            self::number(ext, config, number, endian)
        }
    }
}

/// The bytes of a number that the loader itself makes up, checked against the variable's range.
pub(super) fn number(
    ext: &Extern,
    config: &ConfigExtern,
    value: u64,
    endian: Endian,
) -> Result<Vec<u8>, Error> {
    let fits = match config.kind {
        ConfigKind::Bool => value <= 1,
        ConfigKind::Int | ConfigKind::Char => in_range(value, config.size, config.is_signed),
        ConfigKind::Tristate | ConfigKind::CharArray => false,
    };
    if !fits {
        return Err(ext.fail(format!("its value {value} does not fit its type")));
    }
    Ok(bytes(value, config.size, endian))
}

fn in_range(value: u64, size: u32, is_signed: bool) -> bool {
    let bits = size.saturating_mul(8);
    let (Some(limit), Some(half)) = (
        1u64.checked_shl(bits),
        1u64.checked_shl(bits.saturating_sub(1)),
    ) else {
        return true;
    };
    match is_signed {
        true => value.wrapping_add(half) < limit,
        false => value < limit,
    }
}

/// The low bytes of a number, of which there are 1, 2, 4 or 8.
fn bytes(value: u64, size: u32, endian: Endian) -> Vec<u8> {
    let size = usize::try_from(size).unwrap_or(8);
    let mut bytes: Vec<u8> = value.to_le_bytes().into_iter().take(size).collect();
    if endian == Endian::Big {
        bytes.reverse();
    }
    bytes
}

/// A number as C writes it: decimal, `0x`, or octal with a leading 0; perhaps negative.
fn integer(text: &str) -> Option<u64> {
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let hex = digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"));
    let value = match (hex, digits.strip_prefix('0')) {
        (Some(hex), _) => u64::from_str_radix(hex, 16),
        (None, Some(octal)) if !octal.is_empty() => u64::from_str_radix(octal, 8),
        _ => digits.parse(),
    };
    let value = value.ok()?;
    Some(if is_negative {
        value.wrapping_neg()
    } else {
        value
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_c_does() {
        assert_eq!(integer("1000"), Some(1000));
        assert_eq!(integer("0x1F"), Some(31));
        assert_eq!(integer("010"), Some(8));
        assert_eq!(integer("0"), Some(0));
        assert_eq!(integer("-1"), Some(u64::MAX));
        assert_eq!(integer("1z"), None);
        assert_eq!(integer(""), None);
    }

    #[test]
    fn a_number_is_in_the_byte_order_of_the_variable() {
        assert_eq!(bytes(0x0102, 2, Endian::Big), [1, 2]);
        assert_eq!(bytes(0x0102, 4, Endian::Little), [2, 1, 0, 0]);
        assert_eq!(bytes(u64::MAX - 1, 1, Endian::Big), [0xfe]);
        assert_eq!(bytes(1, 8, Endian::Big), 1u64.to_be_bytes());
    }

    #[test]
    fn ranges_follow_size_and_sign() {
        assert!(in_range(255, 1, false));
        assert!(!in_range(256, 1, false));
        assert!(in_range(u64::MAX, 1, true));
        assert!(!in_range(128, 1, true));
        assert!(in_range(u64::MAX, 8, false));
    }

    #[test]
    fn lines_that_are_no_settings_are_passed_over() {
        let text = "# CONFIG_A is not set\n\nCONFIG_B=y\nCONFIG_C=\"x y\"\n";
        let read: Vec<_> = lines(text).map(Result::unwrap).collect();
        assert_eq!(read, [("CONFIG_B", "y"), ("CONFIG_C", "\"x y\"")]);
        assert!(lines("CONFIG_B").next().unwrap().is_err());
        assert!(lines("CONFIG_B=").next().unwrap().is_err());
    }
}
