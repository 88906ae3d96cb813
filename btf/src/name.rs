//! Names as bytes: flavours, comparison, hashing, each bounded whatever the string section holds.

/// No more bytes than this of a name are looked at for a flavour, or to put names in order: the
/// kernel takes no names of 512 bytes or more (`KSYM_NAME_LEN`).
pub(crate) const MAX_NAME: usize = 512;

/// Bytes of a name that its hash depends on.
const HASHED: usize = 64;

/// The name without its flavour (`bpf_core_essential_name_len`): what comes before the last `___`
/// that stands between two other characters.
///
/// `task_struct___v2` and `task_struct` are the same type to CO-RE.
#[must_use]
pub fn essential_name(name: &str) -> &str {
    name.get(..essential_len(name.as_bytes())).unwrap_or(name)
}

/// The same of bytes.
pub(crate) fn essential(name: &[u8]) -> &[u8] {
    name.get(..essential_len(name)).unwrap_or(name)
}

pub(crate) fn essential_len(name: &[u8]) -> usize {
    if name.len() >= MAX_NAME {
        return name.len();
    }
    name.windows(5)
        .rposition(|at| matches!(at, [a, b'_', b'_', b'_', z] if *a != b'_' && *z != b'_'))
        .map_or(name.len(), |before| before + 1)
}

/// The name that starts these bytes, or the first [`MAX_NAME`] bytes of it.
pub(crate) fn bounded(bytes: &[u8]) -> &[u8] {
    let window = bytes.get(..MAX_NAME).unwrap_or(bytes);
    let len = window
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(window.len());
    window.get(..len).unwrap_or_default()
}

/// The string that starts these bytes, all of them if there is no NUL.
#[inline]
pub(crate) fn up_to_nul(bytes: &[u8]) -> &[u8] {
    let mut len = 0;
    for chunk in bytes.as_chunks::<8>().0 {
        let nul = zero_bytes(u64::from_le_bytes(*chunk));
        if nul != 0 {
            let before = nul.trailing_zeros() as usize / 8;
            return bytes.get(..len + before).unwrap_or_default();
        }
        len += 8;
    }
    let rest = bytes.get(len..).unwrap_or_default();
    let before = rest.iter().position(|byte| *byte == 0);
    bytes
        .get(..len + before.unwrap_or(rest.len()))
        .unwrap_or_default()
}

/// Whether the string that starts these bytes is `name`.
pub(crate) fn is(bytes: &[u8], name: &[u8]) -> bool {
    bytes
        .strip_prefix(name)
        .is_some_and(|rest| rest.first() == Some(&0))
}

/// Whether the string that starts these bytes is `essential`, or a flavour of it.
pub(crate) fn is_flavour_of(bytes: &[u8], essential: &[u8]) -> bool {
    match bytes.strip_prefix(essential) {
        Some([0, ..]) => essential_len(essential) == essential.len(),
        Some([b'_', b'_', b'_', ..]) => essential_len(bounded(bytes)) == essential.len(),
        _ => false,
    }
}

/// The hash of a name that has no flavour.
pub(crate) fn hash(essential: &[u8]) -> u32 {
    let mut state = 0;
    for chunk in essential.get(..HASHED).unwrap_or(essential).chunks(8) {
        let mut word = [0; 8];
        for (to, from) in word.iter_mut().zip(chunk) {
            *to = *from;
        }
        state = mix(state, u64::from_le_bytes(word));
    }
    finish(state)
}

/// The hash of the essential name of the string that starts these bytes.
///
/// This runs once for every type of a kernel, hence eight bytes at a time; a name is measured only
/// if it is long, or may have a flavour.
#[inline]
pub(crate) fn hash_essential(bytes: &[u8]) -> u32 {
    let mut state = 0;
    let mut underscore_before = 0;
    for chunk in bytes.as_chunks::<8>().0.iter().take(HASHED / 8) {
        let word = u64::from_le_bytes(*chunk);
        let underscores = zero_bytes(word ^ UNDERSCORES);
        if underscores & (underscores << 8 | underscore_before) != 0 {
            break;
        }
        underscore_before = underscores >> 56;
        let end = zero_bytes(word);
        if end != 0 {
            let before_end = (end & end.wrapping_neg()).wrapping_sub(1);
            let word = word & before_end;
            return finish(if word == 0 { state } else { mix(state, word) });
        }
        state = mix(state, word);
    }
    hash(essential(bounded(bytes)))
}

const REPEAT: u64 = 0x0101_0101_0101_0101;
const UNDERSCORES: u64 = u64::from_le_bytes([b'_'; 8]);

/// The high bit of each byte that is zero; the lowest one set is always right.
pub(crate) const fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(REPEAT) & !word & REPEAT << 7
}

const fn mix(state: u64, word: u64) -> u64 {
    (state.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

const fn finish(state: u64) -> u32 {
    (state >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_proper_triple_underscore_starts_the_flavour() {
        for (name, essential) in [
            ("task_struct", "task_struct"),
            ("task_struct___v2", "task_struct"),
            ("a___b", "a"),
            ("a___b___c", "a___b"),
            ("a____b", "a____b"),
            ("a___b____c", "a"),
            ("a___", "a___"),
            ("___a", "___a"),
            ("a___b___", "a"),
            ("nf_conn___init", "nf_conn"),
            ("", ""),
        ] {
            assert_eq!(essential_name(name), essential, "{name}");
        }
    }

    #[test]
    fn fast_and_slow_hash_agree() {
        let long = "x".repeat(63);
        for name in [
            "",
            "a",
            "_",
            "__",
            "seven_7",
            "eight__8",
            "nine____9",
            "task_struct___local",
            "abcde_____f",
            "abcdefg___h",
            "abcdef___gh",
            "trailing___",
            "a___b___c",
            &long,
        ] {
            for tail in ["", "y", "yz", "___v", "___a___b"] {
                let name = format!("{name}{tail}");
                for padding in [1, 2, 9, 80] {
                    let mut bytes = name.clone().into_bytes();
                    bytes.resize(name.len() + padding, 0);
                    let essential = &name.as_bytes()[..essential_len(name.as_bytes())];
                    assert_eq!(hash_essential(&bytes), hash(essential), "{name}");
                }
            }
        }
    }

    #[test]
    fn string_ends_at_the_first_nul_or_with_the_bytes() {
        let bytes = b"0123456789abcdef0123";
        for end in 0..=bytes.len() {
            let mut bytes = *bytes;
            for nul in bytes.iter_mut().skip(end).step_by(3) {
                *nul = 0;
            }
            assert_eq!(up_to_nul(&bytes), &bytes[..end]);
        }
    }

    #[test]
    fn comparison_needs_the_whole_string() {
        assert!(is(b"abc\0", b"abc"));
        assert!(!is(b"abcd\0", b"abc") && !is(b"ab\0", b"abc") && !is(b"abc", b"abc"));
        assert!(is_flavour_of(b"abc\0", b"abc") && is_flavour_of(b"abc___x\0", b"abc"));
        assert!(!is_flavour_of(b"abc____x\0", b"abc") && !is_flavour_of(b"abc___\0", b"abc"));
        assert!(
            !is_flavour_of(b"a___b\0", b"a___b"),
            "its essential name is a"
        );
        assert!(is_flavour_of(b"a___b___c\0", b"a___b"));
    }

    #[test]
    fn a_name_without_end_is_cut() {
        let endless = vec![b'a'; 10_000];
        assert_eq!(bounded(&endless).len(), MAX_NAME);
        assert_eq!(hash_essential(&endless), hash(&endless[..HASHED]));
    }
}
