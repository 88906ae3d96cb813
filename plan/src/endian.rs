//! Byte orders as BTF and as instructions name them.

use purebpf_btf::Btf;
use purebpf_insn::Endian;

/// The byte order of the machine that BTF was made for.
#[must_use]
pub fn endian_of(btf: &Btf) -> Endian {
    match btf.endian() {
        purebpf_btf::Endian::Little => Endian::Little,
        purebpf_btf::Endian::Big => Endian::Big,
    }
}

pub(crate) const fn as_btf(endian: Endian) -> purebpf_btf::Endian {
    match endian {
        Endian::Little => purebpf_btf::Endian::Little,
        Endian::Big => purebpf_btf::Endian::Big,
    }
}
