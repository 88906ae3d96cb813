//! Rust literals.

use std::fmt::Write as _;

/// Bytes on a line of source: four characters each, of 100.
const LINE: usize = 24;

/// Bytes as a literal over several lines.
pub(super) fn bytes(bytes: &[u8]) -> String {
    let mut text = String::from("b\"");
    for line in bytes.chunks(LINE) {
        text.push_str("\\\n    ");
        for byte in line {
            match byte {
                // A space would be lost at the start of a line.
                b' ' => text.push_str("\\x20"),
                0 => text.push_str("\\x00"),
                byte => write!(text, "{}", byte.escape_ascii()).unwrap_or_default(),
            }
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn every_byte_has_a_literal_that_is_one_line_or_more() {
        assert_eq!(
            bytes(b"a \"\\\n\xff\0"),
            "b\"\\\n    a\\x20\\\"\\\\\\n\\xff\\x00\""
        );
        assert_eq!(bytes(&[b'x'; 25]).lines().count(), 3);
        assert_eq!(bytes(&[]), "b\"\"");
    }
}
