//! What comes out of a perf buffer.

use std::fmt;
use std::ops::Deref;

use super::pages::Corrupt;
use super::perf_pages::{PerfHeader, PerfPages};

/// `PERF_RECORD_SAMPLE`
const SAMPLE: u32 = 9;
/// `PERF_RECORD_LOST`
const LOST: u32 = 2;

/// What came from a CPU.
#[derive(Debug)]
#[non_exhaustive]
pub enum PerfRecord<'a> {
    /// What a program sent.
    Sample(PerfSample<'a>),
    /// The buffer was full, and records were lost.
    #[doc(alias = "PERF_RECORD_LOST")]
    Lost {
        /// The CPU.
        cpu: u32,
        /// How many.
        count: u64,
    },
    /// Something else that the kernel has to say, as it is.
    Other {
        /// `PERF_RECORD_*`.
        kind: u32,
        /// The rest of the record.
        record: PerfSample<'a>,
    },
}

/// Bytes in the memory that the kernel wrote. Dropping it gives the memory back, unless whoever handed
/// it out does.
///
/// The kernel fills records up to a multiple of 8 bytes, so up to 7 bytes may follow what the program
/// sent.
pub struct PerfSample<'a> {
    pages: &'a PerfPages,
    cpu: u32,
    misc: u16,
    data: &'a [u8],
    after: u64,
    gives_back: bool,
}

/// Takes a record apart. With `gives_back`, its memory is the kernel's again once it is dropped; one
/// of lost records at once.
#[inline]
pub fn record<'a>(
    pages: &'a PerfPages,
    cpu: u32,
    samples_are_raw: bool,
    (header, data): (PerfHeader, &'a [u8]),
    gives_back: bool,
) -> Result<PerfRecord<'a>, Corrupt> {
    let PerfHeader {
        kind, misc, after, ..
    } = header;
    let sample = |data| PerfSample {
        pages,
        cpu,
        misc,
        data,
        after,
        gives_back,
    };
    if kind == SAMPLE && samples_are_raw {
        let (len, rest) = data.split_first_chunk().ok_or_else(|| short(after))?;
        let len = usize::try_from(u32::from_ne_bytes(*len)).unwrap_or(usize::MAX);
        let data = rest.get(..len).ok_or_else(|| short(after))?;
        return Ok(PerfRecord::Sample(sample(data)));
    }
    if kind == LOST {
        let numbers = data.split_first_chunk::<8>();
        let count = numbers.and_then(|(_id, rest)| rest.first_chunk());
        let count = u64::from_ne_bytes(*count.ok_or_else(|| short(after))?);
        if gives_back {
            pages.release(after);
        }
        return Ok(PerfRecord::Lost { cpu, count });
    }
    let record = sample(data);
    Ok(PerfRecord::Other { kind, record })
}

#[cold]
fn short(after: u64) -> Corrupt {
    Corrupt {
        position: usize::try_from(after).unwrap_or(usize::MAX),
        what: "a record is shorter than what it holds",
    }
}

impl PerfSample<'_> {
    /// The CPU that it is from.
    #[must_use]
    pub const fn cpu(&self) -> u32 {
        self.cpu
    }

    /// `PERF_RECORD_MISC_*`.
    #[must_use]
    pub const fn misc(&self) -> u16 {
        self.misc
    }
}

impl Deref for PerfSample<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.data
    }
}

impl AsRef<[u8]> for PerfSample<'_> {
    fn as_ref(&self) -> &[u8] {
        self.data
    }
}

impl Drop for PerfSample<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.gives_back {
            self.pages.release(self.after);
        }
    }
}

impl fmt::Debug for PerfSample<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerfSample")
            .field("cpu", &self.cpu)
            .field("data", &self.data)
            .finish_non_exhaustive()
    }
}
