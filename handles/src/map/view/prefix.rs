//! Keys of LPM tries.

use std::net::{Ipv4Addr, Ipv6Addr};

use bytemuck::{AnyBitPattern, NoUninit};

/// The key of an LPM trie: the first bits of an address of `N` bytes. A look-up gives the element of
/// the longest prefix that the key begins with.
///
/// ```no_run
/// # fn main() -> Result<(), purebpf_handles::Error> {
/// use std::net::Ipv4Addr;
/// use purebpf_handles::Map;
/// use purebpf_handles::map::view::Prefix;
///
/// let routes = Map::from_pin("/sys/fs/bpf/routes")?.typed::<Prefix<4>, u32>()?;
/// routes.insert(&Prefix::new(8, [10, 0, 0, 0]), &1)?;
/// assert_eq!(routes.get(&Ipv4Addr::new(10, 1, 2, 3).into())?, Some(1));
/// # Ok(())
/// # }
/// ```
#[doc(alias = "bpf_lpm_trie_key")]
#[doc(alias = "BPF_MAP_TYPE_LPM_TRIE")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, NoUninit, AnyBitPattern)]
#[repr(C, packed)]
pub struct Prefix<const N: usize> {
    // As bytes, so that there is nothing to align.
    bits: [u8; 4],
    /// The address, with the most significant byte first.
    pub address: [u8; N],
}

impl<const N: usize> Prefix<N> {
    /// The first `bits` of an address; all of it, if it does not have so many.
    #[must_use]
    pub fn new(bits: u32, address: [u8; N]) -> Self {
        let most = u32::try_from(N.saturating_mul(8)).unwrap_or(u32::MAX);
        Self {
            bits: bits.min(most).to_ne_bytes(),
            address,
        }
    }

    /// How many bits of the address count.
    #[must_use]
    pub const fn bits(&self) -> u32 {
        u32::from_ne_bytes(self.bits)
    }
}

impl From<Ipv4Addr> for Prefix<4> {
    fn from(address: Ipv4Addr) -> Self {
        Self::new(32, address.octets())
    }
}

impl From<Ipv6Addr> for Prefix<16> {
    fn from(address: Ipv6Addr) -> Self {
        Self::new(128, address.octets())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_laid_out_as_the_kernel_has_it() {
        let prefix = Prefix::new(24, [10, 0, 1, 0]);
        let mut expected = 24_u32.to_ne_bytes().to_vec();
        expected.extend([10, 0, 1, 0]);
        assert_eq!(bytemuck::bytes_of(&prefix), expected);
        assert_eq!((prefix.bits(), size_of::<Prefix<16>>()), (24, 20));
        assert_eq!(Prefix::new(33, [0; 4]).bits(), 32);
        assert_eq!(Prefix::from(Ipv6Addr::LOCALHOST).bits(), 128);
    }
}
