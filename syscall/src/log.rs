//! The kernel's log: where it writes what it dislikes.

use crate::CallError;

/// Where the verifier, or the BTF check, writes what it thinks.
#[derive(Debug)]
pub struct Log<'a> {
    /// 1 errors and the way to them, 2 every instruction, 4 a summary. With 0 the log is written
    /// only if the call fails, by a second call with level 1.
    pub level: u32,
    /// Room for the text and a closing zero byte.
    pub buffer: &'a mut [u8],
    /// Out: the bytes that the whole log takes, with the zero (6.4); 0 if the kernel did not say.
    pub true_size: u32,
}

impl<'a> Log<'a> {
    /// A log of this level.
    #[must_use]
    pub const fn new(level: u32, buffer: &'a mut [u8]) -> Self {
        Self {
            level,
            buffer,
            true_size: 0,
        }
    }

    /// The text written so far.
    #[must_use]
    pub fn text(&self) -> String {
        let text = self.buffer.split(|byte| *byte == 0).next();
        String::from_utf8_lossy(text.unwrap_or_default()).into_owned()
    }
}

/// Runs `call` with the log, the way libbpf does: level 0 means "only if it fails".
pub(crate) fn logged<T>(
    log: Option<&mut Log<'_>>,
    call: impl Fn(Option<&mut Log<'_>>) -> Result<T, CallError>,
) -> Result<T, CallError> {
    match log {
        Some(log) if log.level == 0 => call(None).or_else(|_| {
            log.level = 1;
            let result = call(Some(log));
            log.level = 0;
            result
        }),
        log => call(log),
    }
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;

    use super::*;

    #[test]
    fn a_log_of_level_zero_is_written_on_failure_only() {
        let mut buffer = [0; 8];
        let mut log = Log::new(0, &mut buffer);
        let levels = std::cell::RefCell::new(Vec::new());
        let failing = |log: Option<&mut Log<'_>>| {
            levels.borrow_mut().push(log.map(|log| log.level));
            Err::<(), _>(CallError::new("x", Errno::EACCES))
        };
        logged(Some(&mut log), failing).unwrap_err();
        assert_eq!(*levels.borrow(), [None, Some(1)]);
        assert_eq!(logged(Some(&mut log), |log| Ok(log.is_some())), Ok(false));
    }
}
