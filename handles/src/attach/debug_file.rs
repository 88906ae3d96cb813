//! The file that has the symbols and the debug information of a binary that was stripped.

use std::path::{Path, PathBuf};

use purebpf_elf::host::{Executable, HostError};

/// Where distributions put debug files.
const ROOT: &str = "/usr/lib/debug";

/// Reads the debug file of a binary, if there is one that belongs to it.
pub(super) fn read(path: &Path, binary: &Executable) -> Result<Option<Vec<u8>>, HostError> {
    read_below(Path::new(ROOT), path, binary)
}

fn read_below(root: &Path, path: &Path, binary: &Executable) -> Result<Option<Vec<u8>>, HostError> {
    let found = candidates(root, path, binary)?.into_iter();
    let mut files = found.filter_map(|path| Some((std::fs::read(&path).ok()?, path)));
    Ok(files.find_map(|(bytes, path)| {
        let belongs = belongs(binary, &bytes);
        if !belongs {
            log::warn!("`{}` is the debug file of another binary", path.display());
        }
        belongs.then_some(bytes)
    }))
}

/// Where the debug file may be: by what the linker called the contents of the binary, or by the name
/// that the binary says.
fn candidates(root: &Path, path: &Path, binary: &Executable) -> Result<Vec<PathBuf>, HostError> {
    let mut found = Vec::new();
    if let Some([first, rest @ ..]) = binary.build_id()? {
        let rest: String = rest.iter().map(|byte| format!("{byte:02x}")).collect();
        let folder = root.join(".build-id").join(format!("{first:02x}"));
        found.push(folder.join(format!("{rest}.debug")));
    }
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if let (Some(link), Some(folder)) = (binary.debug_link()?, real.parent()) {
        let below = folder.strip_prefix("/").unwrap_or(folder);
        found.extend([
            folder.join(link.name),
            folder.join(".debug").join(link.name),
            root.join(below).join(link.name),
        ]);
    }
    Ok(found)
}

/// Whether it is of this binary: the linker says so, or a sum of its bytes.
fn belongs(binary: &Executable, bytes: &[u8]) -> bool {
    let Ok(debug) = Executable::parse(bytes) else {
        return false;
    };
    match (binary.build_id(), debug.build_id()) {
        (Ok(Some(wanted)), Ok(Some(found))) => wanted == found,
        _ => binary
            .debug_link()
            .is_ok_and(|link| link.is_some_and(|link| link.crc == crc32fast::hash(bytes))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROBED: &[u8] = include_bytes!("../../../tests/host/probed");
    const DEBUG: &[u8] = include_bytes!("../../../tests/host/probed.debug");

    #[test]
    fn a_debug_file_is_found_by_build_id_and_by_name_if_it_belongs() {
        let root = std::env::temp_dir().join(format!("purebpf-debug-{}", std::process::id()));
        let binary = Executable::parse(PROBED).unwrap();
        let other = [DEBUG, &[0]].concat();
        let folder = root.join("bin");
        let path = folder.join("probed");
        let places = candidates(&root, &path, &binary).unwrap();
        assert_eq!(places.len(), 4);
        for place in &places {
            assert_eq!(read_below(&root, &path, &binary), Ok(None));
            std::fs::create_dir_all(place.parent().unwrap()).unwrap();
            std::fs::write(place, DEBUG).unwrap();
            let found = read_below(&root, &path, &binary).unwrap();
            assert_eq!(found.as_deref(), Some(DEBUG), "{}", place.display());
            std::fs::write(place, b"something else").unwrap();
            assert_eq!(read_below(&root, &path, &binary), Ok(None));
            std::fs::remove_file(place).unwrap();
        }
        std::fs::remove_dir_all(&root).unwrap();

        // Without a build id the bytes have to be the ones that were linked.
        let id = binary.build_id().unwrap().unwrap();
        let at = PROBED
            .windows(id.len())
            .position(|part| part == id)
            .unwrap();
        let mut nameless = PROBED.to_vec();
        nameless[at - 4] = b'X';
        let nameless = Executable::parse(nameless).unwrap();
        assert_eq!(nameless.build_id(), Ok(None));
        assert!(belongs(&nameless, DEBUG));
        assert!(!belongs(&nameless, &other));
    }
}
