//! The attributes of the system calls that a loader program makes (`union bpf_attr`).

use purebpf_insn::Endian;

/// Bytes of an object's name.
const NAME: usize = 16;

/// Numbers as the kernel that runs the program has them.
pub(super) trait Endianness {
    fn word(self, value: u32) -> [u8; 4];
    fn long(self, value: u64) -> [u8; 8];
}

impl Endianness for Endian {
    fn word(self, value: u32) -> [u8; 4] {
        match self {
            Self::Little => value.to_le_bytes(),
            Self::Big => value.to_be_bytes(),
        }
    }

    fn long(self, value: u64) -> [u8; 8] {
        match self {
            Self::Little => value.to_le_bytes(),
            Self::Big => value.to_be_bytes(),
        }
    }
}

/// One attribute block, filled as far as that is known before it is used.
pub(super) struct Attr {
    pub(super) bytes: Vec<u8>,
    endian: Endian,
}

impl Attr {
    /// A block of zeros, as long as the fields that the command needs.
    pub(super) fn new(endian: Endian, command: &Command) -> Self {
        Self {
            bytes: vec![0; command.len],
            endian,
        }
    }

    /// Fills fields of 32 bits.
    pub(super) fn words(mut self, fields: &[(u32, u32)]) -> Self {
        for (field, value) in fields {
            self.fill(*field, &self.endian.word(*value));
        }
        self
    }

    /// Fills a field of 64 bits.
    pub(super) fn long(mut self, field: u32, value: u64) -> Self {
        self.fill(field, &self.endian.long(value));
        self
    }

    /// Fills a field with a name, cut to what the kernel takes.
    pub(super) fn name(mut self, field: u32, name: &str) -> Self {
        let end = name.len().min(NAME.saturating_sub(1));
        self.fill(field, name.as_bytes().get(..end).unwrap_or_default());
        self
    }

    fn fill(&mut self, field: u32, value: &[u8]) {
        let start = usize::try_from(field).unwrap_or(usize::MAX);
        let place = self.bytes.get_mut(start..start.saturating_add(value.len()));
        if let Some(place) = place {
            place.copy_from_slice(value);
        }
    }
}

/// A command of `bpf(2)`, and the length of its attributes up to the last field that is used.
pub(super) struct Command {
    pub(super) number: i32,
    pub(super) len: usize,
}

macro_rules! commands {
    ($($(#[doc = $doc:literal])* $module:ident $number:literal $len:literal { $($field:ident = $offset:literal,)* })*) => {
        $(
            $(#[doc = $doc])*
            pub(super) mod $module {
                pub(in super::super) const COMMAND: super::Command =
                    super::Command { number: $number, len: $len };
                $(pub(in super::super) const $field: u32 = $offset;)*
            }
        )*
    };
}

commands! {
    /// `BPF_MAP_CREATE`
    map_create 0 72 {
        MAP_TYPE = 0,
        KEY_SIZE = 4,
        VALUE_SIZE = 8,
        MAX_ENTRIES = 12,
        FLAGS = 16,
        INNER_MAP_FD = 20,
        NUMA_NODE = 24,
        NAME = 28,
        IFINDEX = 44,
        BTF_FD = 48,
        KEY_TYPE = 52,
        VALUE_TYPE = 56,
        EXTRA = 64,
    }
    /// `BPF_MAP_UPDATE_ELEM`
    map_update 2 32 {
        MAP_FD = 0,
        KEY = 8,
        VALUE = 16,
    }
    /// `BPF_PROG_LOAD`
    prog_load 5 140 {
        PROG_TYPE = 0,
        INSN_COUNT = 4,
        INSNS = 8,
        LICENSE = 16,
        LOG_LEVEL = 24,
        LOG_SIZE = 28,
        LOG_BUFFER = 32,
        FLAGS = 44,
        NAME = 48,
        ATTACH_TYPE = 68,
        BTF_FD = 72,
        FUNC_INFO_SIZE = 76,
        FUNC_INFO = 80,
        FUNC_INFO_COUNT = 88,
        LINE_INFO_SIZE = 92,
        LINE_INFO = 96,
        LINE_INFO_COUNT = 104,
        ATTACH_BTF_ID = 108,
        ATTACH_BTF_FD = 112,
        CORE_COUNT = 116,
        FD_ARRAY = 120,
        CORE = 128,
        CORE_SIZE = 136,
    }
    /// `BPF_BTF_LOAD`
    btf_load 18 28 {
        BTF = 0,
        LOG_BUFFER = 8,
        BTF_SIZE = 16,
        LOG_SIZE = 20,
        LOG_LEVEL = 24,
    }
    /// `BPF_MAP_FREEZE`
    map_freeze 22 4 {
        MAP_FD = 0,
    }
}
