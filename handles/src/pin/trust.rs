//! Whether anybody else could have put something in the place of a pin.

use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use purebpf_syscall::host::effective_uid;

use crate::Error;
use crate::error::shown;

/// Those who may write besides the owner.
const OTHERS: u32 = 0o022;
/// Only the owner of an entry may remove or rename it.
const STICKY: u32 = 0o1000;

/// Refuses the path of a pin that somebody other than root and the user of this process could have
/// made, or could still change.
///
/// That is one of which a part is a symbolic link, or belongs to another user, or is a directory that
/// its group or others may write to; above the last directory that is there, such a one may be sticky,
/// as `/tmp` is. What is not there yet is well. Since nobody else can change what was looked at, it
/// can be opened or pinned afterwards.
///
/// A bpffs that is mounted without `mode=` is open to all (1777), and so is refused.
///
/// # Errors
/// [`Error::Mismatch`] with the part of the path that is not to be trusted, [`Error::File`] where it
/// cannot be looked at.
pub fn check_trusted(path: impl AsRef<Path>) -> Result<(), Error> {
    let path = path.as_ref();
    let whole = std::path::absolute(path).map_err(Error::file("look at", path))?;
    let refuse = |part: &Path, (found, expected): (String, &str)| {
        let pin = shown(|f| write!(f, "pin {}", path.display()));
        let found = format!("{}: {found}", part.display());
        Err(Error::mismatch(pin, "its path", found, expected))
    };
    // From the root on: what is below a directory that is to be trusted stays what it is.
    let mut parts: Vec<&Path> = whole.ancestors().collect();
    parts.reverse();
    let mut last = None;
    for part in parts {
        let found = match part.symlink_metadata() {
            Ok(found) => found,
            Err(error) if error.kind() == ErrorKind::NotFound => break,
            Err(error) => return Err(Error::file("look at", part)(error)),
        };
        if let Some(doubt) = doubt(&found) {
            return refuse(part, doubt);
        }
        if found.is_dir() {
            last = Some((part, found.mode()));
        }
    }
    match last {
        // Who comes first makes the entry.
        Some((part, mode)) if mode & OTHERS != 0 => refuse(part, open_to_others(mode)),
        _ => Ok(()),
    }
}

/// Why a part of a path is not to be trusted, and what would be.
fn doubt(found: &Metadata) -> Option<(String, &'static str)> {
    let mode = found.mode();
    if found.is_symlink() {
        Some(("a symbolic link".to_owned(), "no symbolic links"))
    } else if ![0, effective_uid()].contains(&found.uid()) {
        let owner = format!("it belongs to user {}", found.uid());
        Some((owner, "what belongs to root or to this user"))
    } else if found.is_dir() && mode & OTHERS != 0 && mode & STICKY == 0 {
        Some(open_to_others(mode))
    } else {
        None
    }
}

fn open_to_others(mode: u32) -> (String, &'static str) {
    let found = format!("a directory of mode {:o}", mode & 0o7777);
    (found, "one that only its owner may write to")
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, create_dir, set_permissions, write};
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn what_others_could_have_made_is_refused() {
        let root = std::env::temp_dir().join(format!("purebpf-trust-{}", std::process::id()));
        let (ours, pin) = (root.join("ours"), root.join("ours/pin"));
        create_dir(&root).unwrap();
        create_dir(&ours).unwrap();
        let mode = |path: &Path, mode| set_permissions(path, Permissions::from_mode(mode)).unwrap();
        let refusal = || check_trusted(&pin).unwrap_err().to_string();

        mode(&ours, 0o700);
        check_trusted(&pin).unwrap();
        write(&pin, "").unwrap();
        check_trusted(&pin).unwrap();
        check_trusted(root.join("missing/too")).unwrap();

        for open in [0o777, 0o720, 0o1777] {
            mode(&ours, open);
            assert!(refusal().contains(&format!("ours: a directory of mode {open:o}")));
        }
        mode(&ours, 0o755);
        mode(&root, 0o777);
        assert!(refusal().contains("a directory of mode 777"));
        mode(&root, 0o1777);
        check_trusted(&pin).unwrap();
        mode(&root, 0o755);

        std::fs::rename(&pin, root.join("elsewhere")).unwrap();
        symlink(root.join("elsewhere"), &pin).unwrap();
        assert!(refusal().contains("ours/pin: a symbolic link"));
        symlink(&ours, root.join("linked")).unwrap();
        let error = check_trusted(root.join("linked/elsewhere")).unwrap_err();
        assert!(error.to_string().contains("linked: a symbolic link"));

        if effective_uid() == 0 {
            std::fs::remove_file(&pin).unwrap();
            write(&pin, "").unwrap();
            std::os::unix::fs::chown(&pin, Some(1234), None).unwrap();
            assert!(refusal().contains("ours/pin: it belongs to user 1234"));
        }
        std::fs::remove_dir_all(&root).unwrap();
    }
}
