//! Flag words of maps and programs; bits unknown here are kept.

bitflags::bitflags! {
    /// `map_flags` of `BPF_MAP_CREATE`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct MapFlags: u32 {
        /// Do not allocate elements ahead.
        const NO_PREALLOC = 1;
        /// One LRU list for each CPU.
        const NO_COMMON_LRU = 1 << 1;
        /// Allocate on the given NUMA node.
        const NUMA_NODE = 1 << 2;
        /// The system call may only read.
        const RDONLY = 1 << 3;
        /// The system call may only write.
        const WRONLY = 1 << 4;
        /// Stack traces hold build ids and offsets.
        const STACK_BUILD_ID = 1 << 5;
        /// Hash seed zero, for tests.
        const ZERO_SEED = 1 << 6;
        /// Programs may only read.
        const RDONLY_PROG = 1 << 7;
        /// Programs may only write.
        const WRONLY_PROG = 1 << 8;
        /// Clone socket storage to the accepted socket.
        const CLONE = 1 << 9;
        /// The value can be mapped into user memory (5.5).
        const MMAPABLE = 1 << 10;
        /// Keep perf events when the program goes (5.11).
        const PRESERVE_ELEMS = 1 << 11;
        /// An inner map may have another size (5.10).
        const INNER_MAP = 1 << 12;
        /// A struct_ops map is attached by a link (6.4).
        const LINK = 1 << 13;
        /// The map is given as a path fd (6.5).
        const PATH_FD = 1 << 14;
        /// The value type is in a module's BTF (6.9).
        const VTYPE_BTF_OBJ_FD = 1 << 15;
        /// A token is passed (6.9).
        const TOKEN_FD = 1 << 16;
        /// Arena: a fault in user memory kills the process (6.9).
        const SEGV_ON_FAULT = 1 << 17;
        /// Arena: addresses are not converted for user space (6.9).
        const NO_USER_CONV = 1 << 18;
        /// Ring buffer: overwrite the oldest records.
        const RB_OVERWRITE = 1 << 19;
        const _ = !0;
    }

    /// `prog_flags` of `BPF_PROG_LOAD`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct ProgramFlags: u32 {
        /// Check alignment strictly.
        const STRICT_ALIGNMENT = 1;
        /// Allow any alignment.
        const ANY_ALIGNMENT = 1 << 1;
        /// Randomise high halves of 32-bit results, for tests.
        const TEST_RND_HI32 = 1 << 2;
        /// Check states often, for tests.
        const TEST_STATE_FREQ = 1 << 3;
        /// The program may sleep (5.10).
        const SLEEPABLE = 1 << 4;
        /// XDP with multi-buffer packets (5.18).
        const XDP_HAS_FRAGS = 1 << 5;
        /// XDP bound to one device (6.3).
        const XDP_DEV_BOUND_ONLY = 1 << 6;
        /// Check register invariants, for tests.
        const TEST_REG_INVARIANTS = 1 << 7;
        /// A token is passed (6.9).
        const TOKEN_FD = 1 << 16;
        const _ = !0;
    }
}
