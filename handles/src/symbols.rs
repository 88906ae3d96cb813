//! The names of addresses in the kernel.

use std::fmt;
use std::path::Path;

use crate::Error;

/// The names and addresses of the kernel's functions and variables.
pub(crate) const KALLSYMS: &str = "/proc/kallsyms";

/// The symbols of the kernel, its modules and BPF programs, as they are when this is read: all but
/// those of the kernel itself come and go.
pub struct KernelSymbols {
    text: Box<str>,
    /// Addresses, ascending, with the offset of their line in the text.
    lines: Box<[(u64, usize)]>,
}

/// What an address in the kernel belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KernelSymbol {
    /// Name of the symbol.
    pub name: String,
    /// The module that it is in; `bpf` for a BPF program.
    pub module: Option<String>,
    /// Where it begins.
    pub start: u64,
}

impl KernelSymbols {
    /// Reads the symbols: once for many look-ups, as it takes a moment.
    ///
    /// # Errors
    /// `/proc/kallsyms` cannot be read, or hides the addresses (`kernel.kptr_restrict`).
    pub fn read() -> Result<Self, Error> {
        let path = Path::new(KALLSYMS);
        let text = std::fs::read_to_string(path).map_err(Error::file("read", path))?;
        let symbols = Self::parse(text);
        match symbols.lines.is_empty() {
            true => Err(Error::invalid(KALLSYMS, "it hides the addresses")),
            false => Ok(symbols),
        }
    }

    /// Those of a text such as `/proc/kallsyms`. Lines of another form, and addresses of 0, which are
    /// hidden ones, are passed over.
    #[must_use]
    pub fn parse(text: impl Into<Box<str>>) -> Self {
        let text = text.into();
        let mut lines = Vec::new();
        let mut start = 0_usize;
        for line in text.split_inclusive('\n') {
            let address = line.split(' ').next().unwrap_or_default();
            if let Ok(address) = u64::from_str_radix(address, 16)
                && address != 0
            {
                lines.push((address, start));
            }
            start = start.saturating_add(line.len());
        }
        lines.sort_unstable();
        Self {
            text,
            lines: lines.into(),
        }
    }

    /// The symbol that begins at this address, or before it and no other one in between; `None` for an
    /// address below all.
    #[must_use]
    pub fn find(&self, address: u64) -> Option<KernelSymbol> {
        let after = self.lines.partition_point(|(start, _)| *start <= address);
        let (start, _) = *self.lines.get(after.checked_sub(1)?)?;
        // Of several names for one place, the first in the file.
        let first = self.lines.partition_point(|(other, _)| *other < start);
        let (_, line) = *self.lines.get(first)?;
        let line = self.text.get(line..)?.lines().next()?;
        let mut words = line.split_whitespace().skip(2);
        let name = words.next()?.to_owned();
        let module = words.next().map(|it| it.trim_matches(['[', ']']));
        Some(KernelSymbol {
            name,
            module: module.map(str::to_owned),
            start,
        })
    }
}

impl fmt::Debug for KernelSymbols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KernelSymbols")
            .field("count", &self.lines.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_belongs_to_the_symbol_before_it() {
        let text = "0000 A hidden\n2000 t second [mod]\n1000 T first\n2000 t alias\nnot a line\n";
        let symbols = KernelSymbols::parse(text);
        let found = |address| symbols.find(address).map(|it| (it.name, it.start));
        assert_eq!(found(0xfff), None);
        assert_eq!(found(0x1000), Some(("first".into(), 0x1000)));
        assert_eq!(found(0x1fff), Some(("first".into(), 0x1000)));
        assert_eq!(found(0x2001), Some(("second".into(), 0x2000)));
        assert_eq!(symbols.find(u64::MAX).unwrap().module.unwrap(), "mod");
        assert!(KernelSymbols::parse("0 T a\n").lines.is_empty());
    }
}
