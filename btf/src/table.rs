//! Tables from names to types, of which a BTF makes those that it is asked for.

use std::sync::OnceLock;

use crate::name;

/// The ways to find own types by name, each made on first use.
#[derive(Debug)]
pub(crate) struct Names {
    /// The named types of `Class::Data`, by index.
    pub(crate) data: Vec<u32>,
    pub(crate) data_table: OnceLock<Table>,
    pub(crate) symbols: OnceLock<Symbols>,
}

#[derive(Debug)]
pub(crate) enum Symbols {
    /// All types are sorted by name; this is the index of the first that has one.
    Sorted(u32),
    Table(Table),
}

/// Indices of own types by hash: bucket `b` is `members[ends[b - 1]..ends[b]]`, ascending.
#[derive(Debug)]
pub(crate) struct Table {
    ends: Vec<u32>,
    members: Vec<u32>,
}

impl Names {
    pub(crate) const fn new(data: Vec<u32>) -> Self {
        Self {
            data,
            data_table: OnceLock::new(),
            symbols: OnceLock::new(),
        }
    }
}

impl Table {
    /// A table of types with the hashes of their names.
    pub(crate) fn new(hashed: Vec<(u32, u32)>) -> Self {
        // Counting sort: each bucket's end first holds its start, and moves as it fills.
        let mut ends = vec![0u32; hashed.len().next_power_of_two() + 1];
        let mask = ends.len() as u32 - 2;
        for (hash, _) in &hashed {
            if let Some(count) = ends.get_mut((hash & mask) as usize + 1) {
                *count += 1;
            }
        }
        let mut sum = 0;
        for count in &mut ends {
            sum += *count;
            *count = sum;
        }
        let mut members = vec![0; hashed.len()];
        for (hash, index) in hashed {
            if let Some(end) = ends.get_mut((hash & mask) as usize) {
                if let Some(slot) = members.get_mut(*end as usize) {
                    *slot = index;
                }
                *end += 1;
            }
        }
        ends.pop();
        Self { ends, members }
    }

    /// The types among which all of this essential name are; there may be others.
    pub(crate) fn bucket(&self, essential: &[u8]) -> &[u32] {
        let bucket = name::hash(essential) as usize & (self.ends.len() - 1);
        let start = bucket
            .checked_sub(1)
            .and_then(|before| self.ends.get(before));
        let range = start.map_or(0, |start| *start as usize)
            ..self.ends.get(bucket).map_or(0, |end| *end as usize);
        self.members.get(range).unwrap_or_default()
    }
}
