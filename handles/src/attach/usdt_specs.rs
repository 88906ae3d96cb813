//! What programs are told of the arguments of USDT probes: records in two maps that they bring.
//!
//! libbpf's `usdt.bpf.h` defines the maps. A record has a number, which the program gets as the cookie
//! of its probe, or on kernels without cookies (before 5.15) looks up by the address it was hit at.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use purebpf_elf::usdt::{Argument, Operand};

use crate::{Error, Map, MapId, UpdateFlags};

/// Arguments that a record has room for.
const ARGUMENTS: usize = 12;

/// How a record is laid out, by the size of the map's values: `struct __bpf_usdt_spec` grew when
/// indexed operands came (libbpf 1.7), though it was meant not to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    Old,
    New,
}

impl Layout {
    const fn of(value_size: u32) -> Option<Self> {
        match value_size {
            208 => Some(Self::Old),
            304 => Some(Self::New),
            _ => None,
        }
    }

    /// Bytes of an argument in the record.
    const fn stride(self) -> usize {
        match self {
            Self::Old => 16,
            Self::New => 24,
        }
    }

    /// One argument; nothing if the layout has no room for an index.
    fn argument(self, argument: Argument) -> Option<Vec<u8>> {
        let (kind, value, register, index, shift) = match argument.operand {
            Operand::Constant(value) => (0u8, value, 0, 0, 0),
            Operand::Register(register) => (1, 0, register, 0, 0),
            Operand::Memory { register, offset } => (2, offset, register, 0, 0),
            Operand::Indexed {
                register,
                offset,
                index,
                shift,
            } => (3, offset, register, index, shift),
        };
        let mut bytes = value.to_ne_bytes().to_vec();
        match self {
            Self::Old if kind == 3 => return None,
            Self::Old => bytes.extend(u32::from(kind).to_ne_bytes()),
            // Bit fields: the first in memory is the last in a number on big-endian machines.
            Self::New if cfg!(target_endian = "little") => {
                let index = index & 0xfff | u16::from(shift) << 12;
                bytes.extend([kind, 0]);
                bytes.extend(index.to_ne_bytes());
                bytes.extend([0, 0]);
            }
            Self::New => {
                let index = index << 4 | u16::from(shift);
                bytes.extend([0, 0]);
                bytes.extend(index.to_ne_bytes());
                bytes.extend([kind, 0]);
            }
        }
        bytes.extend(register.to_ne_bytes());
        let shift = 64u8.saturating_sub(argument.size.saturating_mul(8));
        bytes.extend([u8::from(argument.is_signed), shift]);
        bytes.resize(self.stride(), 0);
        Some(bytes)
    }

    fn record(self, arguments: &[Argument], cookie: u64, size: usize) -> Option<Vec<u8>> {
        let mut record = Vec::with_capacity(size);
        for argument in arguments {
            record.extend(self.argument(*argument)?);
        }
        record.resize(self.stride().checked_mul(ARGUMENTS)?, 0);
        record.extend(cookie.to_ne_bytes());
        record.extend(u16::try_from(arguments.len()).ok()?.to_ne_bytes());
        record.resize(size, 0);
        Some(record)
    }
}

/// The records of one map that this process knows of.
#[derive(Debug)]
struct Specs {
    map: Map,
    layout: Layout,
    numbers: Mutex<Numbers>,
}

#[derive(Debug, Default)]
struct Numbers {
    next: u32,
    free: Vec<u32>,
}

/// Several probes may share a map, and its numbers must not be given out twice.
static KNOWN: LazyLock<Mutex<HashMap<MapId, Weak<Specs>>>> = LazyLock::new(Mutex::default);

impl Specs {
    fn of(map: &Map) -> Result<Arc<Self>, Error> {
        let layout = Layout::of(map.value_size()).ok_or_else(|| {
            Error::mismatch(
                map,
                "the size of its values",
                map.value_size(),
                "208 or 304, as usdt.bpf.h has it",
            )
        })?;
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, specs| specs.strong_count() > 0);
        if let Some(specs) = known.get(&map.id()).and_then(Weak::upgrade) {
            return Ok(specs);
        }
        let specs = Arc::new(Self {
            map: map.clone(),
            layout,
            numbers: Mutex::default(),
        });
        known.insert(map.id(), Arc::downgrade(&specs));
        Ok(specs)
    }

    fn numbers(&self) -> std::sync::MutexGuard<'_, Numbers> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The records that an attached probe uses; they are given back when it is dropped.
#[derive(Debug)]
pub(super) struct Records {
    specs: Arc<Specs>,
    numbers: Vec<u32>,
    addresses: Option<(Map, Vec<u64>)>,
}

impl Records {
    /// None yet, in this map of records.
    pub(super) fn new(specs: &Map) -> Result<Self, Error> {
        Ok(Self {
            specs: Specs::of(specs)?,
            numbers: Vec::new(),
            addresses: None,
        })
    }

    /// Writes a record, and returns its number.
    pub(super) fn add(&mut self, arguments: &[Argument], cookie: u64) -> Result<u32, Error> {
        let specs = &self.specs;
        let size = usize::try_from(specs.map.value_size()).unwrap_or(0);
        let record = specs.layout.record(arguments, cookie, size);
        let record = record.ok_or_else(|| {
            Error::unsupported(
                &specs.map,
                "argument with an index register (usdt.bpf.h of libbpf 1.7)",
            )
        })?;
        let number = {
            let mut numbers = specs.numbers();
            match numbers.free.pop() {
                Some(number) => number,
                None if numbers.next < specs.map.max_entries() => {
                    let number = numbers.next;
                    numbers.next = number.saturating_add(1);
                    number
                }
                None => {
                    let what = "it has no room for more probes (BPF_USDT_MAX_SPEC_CNT)";
                    return Err(Error::invalid(&specs.map, what));
                }
            }
        };
        self.numbers.push(number);
        specs
            .map
            .update(&number.to_ne_bytes(), &record, UpdateFlags::ANY)?;
        Ok(number)
    }

    /// Tells programs which record is that of the probe at an address.
    pub(super) fn at(&mut self, map: &Map, address: u64, number: u32) -> Result<(), Error> {
        let word = usize::try_from(address).unwrap_or(usize::MAX);
        map.update(
            &word.to_ne_bytes(),
            &number.to_ne_bytes(),
            UpdateFlags::NOEXIST,
        )?;
        let (_, addresses) = self
            .addresses
            .get_or_insert_with(|| (map.clone(), Vec::new()));
        addresses.push(address);
        Ok(())
    }
}

impl Drop for Records {
    fn drop(&mut self) {
        if let Some((map, addresses)) = &self.addresses {
            for address in addresses {
                let word = usize::try_from(*address).unwrap_or(usize::MAX);
                map.delete(&word.to_ne_bytes()).ok();
            }
        }
        self.specs.numbers().free.append(&mut self.numbers);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argument(operand: Operand) -> Argument {
        Argument {
            size: 4,
            is_signed: true,
            operand,
        }
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn records_are_laid_out_as_programs_have_them() {
        let memory = argument(Operand::Memory {
            register: 32,
            offset: -20,
        });
        let old = Layout::Old.record(&[memory, memory], 7, 208).unwrap();
        let one = [&(-20i64).to_ne_bytes()[..], &[2, 0, 0, 0, 32, 0, 1, 32]].concat();
        assert_eq!(old[..16], one);
        assert_eq!(old[16..32], one);
        assert_eq!(old[32..192], [0; 160]);
        assert_eq!(old[192..], [7, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]);

        let indexed = argument(Operand::Indexed {
            register: 0x1122,
            offset: 0,
            index: 0xabc,
            shift: 2,
        });
        let new = Layout::New.record(&[indexed], 0, 304).unwrap();
        assert_eq!(new[8..18], [3, 0, 0xbc, 0x2a, 0, 0, 0x22, 0x11, 1, 32]);
        assert_eq!(new[296..298], [1, 0]);
        assert_eq!(new.len(), 304);
        assert_eq!(Layout::Old.record(&[indexed], 0, 208), None);
    }
}
