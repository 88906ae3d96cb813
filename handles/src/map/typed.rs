//! Keys and values as Rust types.

use std::marker::PhantomData;

use bytemuck::{AnyBitPattern, NoUninit, bytes_of};

use super::per_cpu::split;
use super::{Keys, Map, UpdateFlags};
use crate::Error;

/// A map whose keys are `K` and whose values are `V`; a handle like [`Map`].
///
/// `K` and `V` are plain data (`#[repr(C)]`, no padding, no references), laid out as the program has
/// them, and as long as the map says: this was checked when the handle was made.
///
/// A value is what the programs wrote, so that every pattern of bits has to be one of `V`: no `bool`,
/// no `enum`.
///
/// ```compile_fail,E0277
/// fn read(map: &purebpf_handles::Map) {
///     let flags = map.typed::<u32, bool>();
/// }
/// ```
///
/// The kernel compares keys byte by byte, so that they have no gaps: this type has one, and is no key.
///
/// ```compile_fail
/// #[derive(Clone, Copy, bytemuck::NoUninit)]
/// #[repr(C)]
/// struct Key(u8, u32);
/// ```
#[derive(Debug)]
pub struct TypedMap<K, V> {
    map: Map,
    types: PhantomData<fn(K) -> V>,
}

/// The same for a map of which each CPU has a value of its own.
#[derive(Debug)]
pub struct TypedPerCpuMap<K, V> {
    map: Map,
    types: PhantomData<fn(K) -> V>,
}

impl Map {
    /// This map with keys and values as Rust types.
    ///
    /// # Errors
    /// A type that is not as long as the map's keys or values; a per-CPU map, for which there is
    /// [`Self::typed_per_cpu`].
    pub fn typed<K, V>(&self) -> Result<TypedMap<K, V>, Error>
    where
        K: NoUninit,
        V: AnyBitPattern + NoUninit,
    {
        if self.is_per_cpu() {
            return Err(Error::mismatch(
                self,
                "its type",
                self.map_type(),
                "one that is not per-CPU",
            ));
        }
        self.check_types::<K, V>()?;
        Ok(TypedMap {
            map: self.clone(),
            types: PhantomData,
        })
    }

    /// This per-CPU map with keys and values as Rust types.
    ///
    /// # Errors
    /// A type that is not as long as the map's keys or values; a map that is not per-CPU.
    pub fn typed_per_cpu<K, V>(&self) -> Result<TypedPerCpuMap<K, V>, Error>
    where
        K: NoUninit,
        V: AnyBitPattern + NoUninit,
    {
        self.require_per_cpu()?;
        self.check_types::<K, V>()?;
        Ok(TypedPerCpuMap {
            map: self.clone(),
            types: PhantomData,
        })
    }

    fn check_types<K, V>(&self) -> Result<(), Error> {
        Error::size(
            self,
            "the key type",
            size_of::<K>(),
            self.key_size() as usize,
        )?;
        Error::size(
            self,
            "the value type",
            size_of::<V>(),
            self.value_size() as usize,
        )
    }
}

impl<K: NoUninit, V: AnyBitPattern + NoUninit> TypedMap<K, V> {
    /// The value of `key`, if there is one.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn get(&self, key: &K) -> Result<Option<V>, Error> {
        let mut value = V::zeroed();
        let bytes = bytemuck::bytes_of_mut(&mut value);
        let found = self
            .map
            .lookup_into(bytes_of(key), bytes, UpdateFlags::ANY)?;
        Ok(found.then_some(value))
    }

    /// Creates or replaces an element.
    ///
    /// # Errors
    /// As [`Map::update`].
    pub fn insert(&self, key: &K, value: &V) -> Result<(), Error> {
        self.update(key, value, UpdateFlags::ANY)
    }

    /// Writes an element as the flags say.
    ///
    /// # Errors
    /// As [`Map::update`].
    pub fn update(&self, key: &K, value: &V, flags: UpdateFlags) -> Result<(), Error> {
        self.map.update(bytes_of(key), bytes_of(value), flags)
    }

    /// Removes the element of `key`; whether there was one.
    ///
    /// # Errors
    /// As [`Map::delete`].
    pub fn remove(&self, key: &K) -> Result<bool, Error> {
        self.map.delete(bytes_of(key))
    }

    /// Removes the element of `key` and returns its value (5.14).
    ///
    /// # Errors
    /// As [`Map::lookup_and_delete`].
    pub fn take(&self, key: &K) -> Result<Option<V>, Error> {
        let mut value = V::zeroed();
        let bytes = bytemuck::bytes_of_mut(&mut value);
        let found = self
            .map
            .lookup_and_delete_into(bytes_of(key), bytes, UpdateFlags::ANY)?;
        Ok(found.then_some(value))
    }
}

impl<K: NoUninit + AnyBitPattern, V: AnyBitPattern + NoUninit> TypedMap<K, V> {
    /// All keys, see [`Map::keys`].
    pub fn keys(&self) -> impl Iterator<Item = Result<K, Error>> + Send + use<K, V> {
        keys_of(self.map.keys())
    }

    /// All elements, see [`Map::keys`]; one that goes away during the walk is left out.
    pub fn iter(&self) -> impl Iterator<Item = Result<(K, V), Error>> + use<K, V> {
        let map = self.clone();
        self.keys().filter_map(move |key| {
            key.and_then(|key| Ok(map.get(&key)?.map(|value| (key, value))))
                .transpose()
        })
    }
}

impl<K: NoUninit, V: AnyBitPattern + NoUninit> TypedPerCpuMap<K, V> {
    /// The values of `key`, one for each possible CPU, by number; `None` if there is no such element.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn get(&self, key: &K) -> Result<Option<Vec<V>>, Error> {
        let values = self.map.lookup(bytes_of(key), UpdateFlags::ANY)?;
        Ok(values.map(|values| {
            split(&values, size_of::<V>())
                .map(bytemuck::pod_read_unaligned)
                .collect()
        }))
    }

    /// Creates or replaces an element: one value for each possible CPU.
    ///
    /// # Errors
    /// As [`Map::update_per_cpu`].
    pub fn insert(&self, key: &K, values: &[V]) -> Result<(), Error> {
        let values: Vec<&[u8]> = values.iter().map(bytes_of).collect();
        self.map
            .update_per_cpu(bytes_of(key), &values, UpdateFlags::ANY)
    }

    /// The value of `key` for one CPU, see [`Map::lookup_cpu`].
    ///
    /// # Errors
    /// As there.
    pub fn get_cpu(&self, key: &K, cpu: u32) -> Result<Option<V>, Error> {
        let mut value = V::zeroed();
        let bytes = bytemuck::bytes_of_mut(&mut value);
        let found = self.map.lookup_cpu_into(bytes_of(key), cpu, bytes)?;
        Ok(found.then_some(value))
    }

    /// Creates or replaces an element: the same value for every CPU.
    ///
    /// # Errors
    /// As [`Map::update_all_cpus`].
    pub fn insert_all(&self, key: &K, value: &V) -> Result<(), Error> {
        self.map
            .update_all_cpus(bytes_of(key), bytes_of(value), UpdateFlags::ANY)
    }

    /// Removes the element of `key`; whether there was one.
    ///
    /// # Errors
    /// As [`Map::delete`].
    pub fn remove(&self, key: &K) -> Result<bool, Error> {
        self.map.delete(bytes_of(key))
    }
}

impl<K: NoUninit + AnyBitPattern, V> TypedPerCpuMap<K, V> {
    /// All keys, see [`Map::keys`].
    pub fn keys(&self) -> impl Iterator<Item = Result<K, Error>> + Send + use<K, V> {
        keys_of(self.map.keys())
    }
}

fn keys_of<K: AnyBitPattern>(keys: Keys) -> impl Iterator<Item = Result<K, Error>> + Send {
    // The length was checked when the handle was made.
    keys.map(|key| key.map(|key| bytemuck::pod_read_unaligned(&key)))
}

macro_rules! handle {
    ($handle:ident) => {
        impl<K, V> $handle<K, V> {
            /// The map itself.
            #[must_use]
            pub fn as_map(&self) -> &Map {
                &self.map
            }
        }

        // By hand: a derived one would ask for `K: Clone, V: Clone`.
        impl<K, V> Clone for $handle<K, V> {
            fn clone(&self) -> Self {
                Self {
                    map: self.map.clone(),
                    types: PhantomData,
                }
            }
        }
    };
}

handle!(TypedMap);
handle!(TypedPerCpuMap);
