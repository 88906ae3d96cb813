//! What a loader program is given, and what it leaves there.

/// Bytes before the maps (`struct bpf_loader_ctx`).
const HEADER: usize = 24;
/// Bytes of a map (`struct bpf_map_desc`).
const MAP: usize = 16;
/// Bytes of a program (`struct bpf_prog_desc`).
const PROGRAM: usize = 4;

/// Where the fields of a loader program's context are, in bytes from its start.
///
/// A header, then the maps, then the programs; numbers are in the byte order of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(alias = "bpf_loader_ctx")]
pub struct ContextLayout {
    maps: usize,
    programs: usize,
}

impl ContextLayout {
    /// Bytes of the whole context, 32 bits.
    pub const SIZE: usize = 0;
    /// Flags, 32 bits; bit 0: initial values are at addresses of the kernel.
    pub const FLAGS: usize = 4;
    /// Level of the kernel's log, 32 bits.
    pub const LOG_LEVEL: usize = 8;
    /// Bytes of room for the log, 32 bits.
    pub const LOG_SIZE: usize = 12;
    /// Address of the room for the log, 64 bits.
    pub const LOG_BUFFER: usize = 16;

    pub(super) const fn new(maps: usize, programs: usize) -> Self {
        Self { maps, programs }
    }

    /// Bytes of the whole context.
    #[must_use]
    pub const fn bytes(self) -> usize {
        self.program_fd(self.programs)
    }

    /// The fd of a map, 32 bits, written by the loader program.
    #[must_use]
    pub const fn map_fd(self, index: usize) -> usize {
        index.saturating_mul(MAP).saturating_add(HEADER)
    }

    /// How many entries a map is to have, 32 bits; 0 for as many as its definition says.
    #[must_use]
    pub const fn max_entries(self, index: usize) -> usize {
        self.map_fd(index).saturating_add(4)
    }

    /// The address of the value of a map of variables, 64 bits; 0 for that of the file.
    #[must_use]
    pub const fn initial_value(self, index: usize) -> usize {
        self.map_fd(index).saturating_add(8)
    }

    /// The fd of a program, 32 bits, written by the loader program.
    #[must_use]
    pub const fn program_fd(self, index: usize) -> usize {
        index
            .saturating_mul(PROGRAM)
            .saturating_add(self.map_fd(self.maps))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_context_is_that_of_libbpf() {
        let layout = ContextLayout::new(2, 3);
        assert_eq!(layout.map_fd(0), 24);
        assert_eq!(layout.max_entries(1), 44);
        assert_eq!(layout.initial_value(1), 48);
        assert_eq!(layout.program_fd(0), 56);
        assert_eq!(layout.bytes(), 68);
    }
}
