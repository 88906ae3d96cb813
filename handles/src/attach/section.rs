//! The parts of a section name: a prefix, and after a `/` what it is to be attached to.

use crate::Error;

/// What follows the prefix, which is one of `prefixes`: `None` if nothing does.
///
/// # Errors
/// Another prefix, or a `/` with nothing after it; the error cites `expected`.
pub(super) fn target<'a>(
    section: &'a str,
    prefixes: &[&str],
    expected: &'static str,
) -> Result<Option<&'a str>, Error> {
    let (prefix, rest) = match section.split_once('/') {
        Some((prefix, rest)) => (prefix, Some(rest)),
        None => (section, None),
    };
    if prefixes.contains(&prefix) && rest != Some("") {
        Ok(rest)
    } else {
        Err(Error::section(section, expected))
    }
}

/// The prefix of a section name.
pub(super) fn prefix(section: &str) -> &str {
    section
        .split_once('/')
        .map_or(section, |(prefix, _)| prefix)
}

/// The longest start of `text` of which `accepts` every character, and the rest.
pub(super) fn take_while(text: &str, accepts: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|c| !accepts(c)).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// A number with its sign as C's `strtol` reads it with base 0: `16`, `0x10`, `020`; and the rest.
pub(super) fn integer(text: &str) -> Option<(i64, &str)> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let hex = digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"));
    let (radix, digits) = match hex {
        Some(hex) => (16, hex),
        None if digits.starts_with('0') => (8, digits),
        None => (10, digits),
    };
    let (number, rest) = take_while(digits, |c| c.is_digit(radix));
    let number = i64::from_str_radix(number, radix).ok()?;
    Some((
        if negative {
            number.checked_neg()?
        } else {
            number
        },
        rest,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn target_needs_a_known_prefix() {
        let target = |section| target(section, &["tp", "tp.s"], "tp/X");
        assert_eq!(target("tp").unwrap(), None);
        assert_eq!(target("tp.s/a/b").unwrap(), Some("a/b"));
        for section in ["tp/", "tps/a", "tp.w/a", ""] {
            let error = target(section).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("section `{section}`: expected `tp/X`")
            );
        }
    }

    #[test]
    fn integers_as_c_reads_them() {
        assert_eq!(integer("+0x10"), Some((16, "")));
        assert_eq!(integer("-5x"), Some((-5, "x")));
        assert_eq!(integer("010"), Some((8, "")));
        assert_eq!(integer("0"), Some((0, "")));
        for text in ["", "+", "x", "0x", "99999999999999999999"] {
            assert_eq!(integer(text), None, "{text}");
        }
    }
}
