//! Functions of the kernel by name, for errors.

use std::collections::HashSet;
use std::path::Path;

use purebpf_syscall::CallError;

use crate::error::boxed;
use crate::nearest::Nearest;
use crate::symbols::KALLSYMS;
use crate::tracefs::each_line;
use crate::{Errno, Error};

/// What the kernel said to probes on functions of these names; if one of them is not there, so that
/// it is named, with those that are like it.
pub(super) fn explain(error: Error, wanted: &[&str]) -> Error {
    let source = match &error {
        Error::Call { source, .. } => *source,
        // A line of tracefs.
        Error::File { source, .. } => CallError::io("write", source),
        _ => return error,
    };
    // EINVAL is what newer kernels say of such a line.
    if !matches!(source.errno(), Errno::ENOENT | Errno::ESRCH | Errno::EINVAL) {
        return error;
    }
    let mut known = HashSet::new();
    let all = each_line(Path::new(KALLSYMS), |line| {
        let mut words = line.split_whitespace().skip(1);
        if let (Some("t" | "T" | "w" | "W"), Some(name)) = (words.next(), words.next()) {
            known.insert(name.to_owned());
        }
    });
    if all.is_err() || known.is_empty() {
        return error;
    }
    match wanted.iter().find(|name| !known.contains(**name)) {
        None => error,
        Some(missing) => Error::Missing {
            object: boxed(format_args!("function `{missing}` of the kernel")),
            nearest: Nearest::of(missing, known),
            source,
        },
    }
}
