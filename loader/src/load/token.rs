//! The right to load, where a bpffs delegates it.

use purebpf_handles::Token;

/// Where libbpf looks as well.
const BPFFS: &str = "/sys/fs/bpf";

/// The token of the usual bpffs; nothing if that delegates nothing, as on most machines.
///
/// # Source
/// libbpf `bpf_object_prepare_token`.
pub(crate) fn usual() -> Option<Token> {
    Token::from_bpffs(BPFFS)
        .inspect_err(|error| log::debug!("no token: {error}"))
        .ok()
}
