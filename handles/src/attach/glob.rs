//! Patterns of names: `*` is any text, `?` any one character.

/// Whether the whole of `text` matches `pattern`. Takes time in proportion to the two lengths'
/// product, whatever they hold.
#[doc(alias = "glob_match")]
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where to go on if the rest does not match: after the last `*`, with one more character for it.
    let mut retry: Option<(usize, usize)> = None;
    while let Some(found) = text.get(t) {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p, t));
                p += 1;
                continue;
            }
            Some(wanted) if *wanted == b'?' || wanted == found => {
                p += 1;
                t += 1;
                continue;
            }
            _ => {}
        }
        let Some((star, start)) = retry else {
            return false;
        };
        retry = Some((star, start + 1));
        (p, t) = (star + 1, start + 1);
    }
    pattern.iter().skip(p).all(|rest| *rest == b'*')
}

/// Whether a name has a character that makes it a pattern.
pub(super) fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn star_is_any_text_and_question_mark_one_character() {
        for (pattern, text) in [
            ("*", ""),
            ("a*c", "ac"),
            ("a*c", "abbc"),
            ("?b*", "ab"),
            ("a*b*c", "aXbYbZc"),
            ("", ""),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("a", "ab"),
            ("a*c", "acb"),
            ("?", ""),
            ("a*b*c", "acb"),
            ("", "a"),
            ("ab", "a"),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn hostile_pattern_ends_in_time() {
        assert!(!matches(
            &format!("{}c", "a*".repeat(2000)),
            &"a".repeat(4000)
        ));
    }
}
