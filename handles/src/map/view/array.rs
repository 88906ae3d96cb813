//! Arrays: elements by index, all there from the start.

use bytemuck::{AnyBitPattern, NoUninit, bytes_of, bytes_of_mut};

use super::check::view;
use crate::map::per_cpu::split;
use crate::{Error, Map, UpdateFlags};

view! {
    /// An array, each element a `V`.
    #[doc(alias = "BPF_MAP_TYPE_ARRAY")]
    Array<V>: [ARRAY], [4], [size_of::<V>()]
}

view! {
    /// An array of which each CPU has one of its own, each element a `V`.
    #[doc(alias = "BPF_MAP_TYPE_PERCPU_ARRAY")]
    PerCpuArray<V>: [PERCPU_ARRAY], [4], [size_of::<V>()]
}

fn check_index(map: &Map, index: u32) -> Result<[u8; 4], Error> {
    if index < map.max_entries() {
        Ok(index.to_ne_bytes())
    } else {
        Err(Error::mismatch(
            map,
            "the index",
            index,
            format_args!("less than {}", map.max_entries()),
        ))
    }
}

/// An array has every element that its size allows.
fn absent(map: &Map, index: u32) -> Error {
    Error::mismatch(map, "the element", "not there", format_args!("at {index}"))
}

impl<V> Array<V> {
    /// How many elements there are.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.map.max_entries()
    }

    /// Whether there are none, which no array of the kernel's has.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<V: AnyBitPattern + NoUninit> Array<V> {
    /// The element at `index`.
    ///
    /// # Errors
    /// An index that is not in the array, and what the kernel says.
    pub fn get(&self, index: u32) -> Result<V, Error> {
        let key = check_index(&self.map, index)?;
        let mut value = V::zeroed();
        match self
            .map
            .lookup_into(&key, bytes_of_mut(&mut value), UpdateFlags::ANY)?
        {
            true => Ok(value),
            false => Err(absent(&self.map, index)),
        }
    }

    /// Replaces the element at `index`.
    ///
    /// # Errors
    /// An index that is not in the array, and what the kernel says.
    pub fn set(&self, index: u32, value: &V) -> Result<(), Error> {
        let key = check_index(&self.map, index)?;
        self.map.update(&key, bytes_of(value), UpdateFlags::ANY)
    }

    /// All elements, by index.
    pub fn iter(&self) -> impl Iterator<Item = Result<V, Error>> + use<V> {
        let array = self.clone();
        (0..self.len()).map(move |index| array.get(index))
    }
}

impl<V> PerCpuArray<V> {
    /// How many elements each CPU has.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.map.max_entries()
    }

    /// Whether there are none, which no array of the kernel's has.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<V: AnyBitPattern + NoUninit> PerCpuArray<V> {
    /// The element at `index` of each possible CPU, by number.
    ///
    /// # Errors
    /// An index that is not in the array, and what the kernel says.
    pub fn get(&self, index: u32) -> Result<Vec<V>, Error> {
        let key = check_index(&self.map, index)?;
        let all = self.map.lookup(&key, UpdateFlags::ANY)?;
        let all = all.ok_or_else(|| absent(&self.map, index))?;
        let values = split(&all, size_of::<V>()).map(bytemuck::pod_read_unaligned);
        Ok(values.collect())
    }

    /// The element at `index` of one CPU, see [`Map::lookup_cpu`].
    ///
    /// # Errors
    /// An index that is not in the array, a CPU that is not possible, and what the kernel says.
    pub fn get_cpu(&self, index: u32, cpu: u32) -> Result<V, Error> {
        let key = check_index(&self.map, index)?;
        let mut value = V::zeroed();
        match self
            .map
            .lookup_cpu_into(&key, cpu, bytes_of_mut(&mut value))?
        {
            true => Ok(value),
            false => Err(absent(&self.map, index)),
        }
    }

    /// Replaces the element at `index` of every CPU: one value for each possible one.
    ///
    /// # Errors
    /// An index that is not in the array, a wrong number of values, and what the kernel says.
    pub fn set(&self, index: u32, values: &[V]) -> Result<(), Error> {
        let key = check_index(&self.map, index)?;
        let values: Vec<&[u8]> = values.iter().map(bytes_of).collect();
        self.map.update_per_cpu(&key, &values, UpdateFlags::ANY)
    }

    /// Replaces the element at `index` of every CPU by the same.
    ///
    /// # Errors
    /// An index that is not in the array, and what the kernel says.
    pub fn set_all(&self, index: u32, value: &V) -> Result<(), Error> {
        let key = check_index(&self.map, index)?;
        self.map
            .update_all_cpus(&key, bytes_of(value), UpdateFlags::ANY)
    }

    /// Replaces the element at `index` of one CPU (7.0), see [`Map::update_cpu`].
    ///
    /// # Errors
    /// As there, and an index that is not in the array.
    pub fn set_cpu(&self, index: u32, cpu: u32, value: &V) -> Result<(), Error> {
        let key = check_index(&self.map, index)?;
        self.map.update_cpu(&key, cpu, bytes_of(value))
    }
}
