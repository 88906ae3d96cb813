//! What a view asks of a map, and how it is checked.

use std::fmt::Display;

use purebpf_insn::MapType;

use crate::{Error, Map};

/// A map as what its type is for, see [`Map::view`].
pub trait View: From<Checked> {
    /// The types of maps that it is for.
    const TYPES: &'static [MapType];
    /// Bytes that a key may have; nothing for any number.
    const KEY: &'static [usize];
    /// Bytes that a value may have; nothing for any number.
    const VALUE: &'static [usize];
}

/// A map that is what a view asks for.
#[derive(Debug)]
pub struct Checked(Map);

impl Checked {
    pub(super) fn into_map(self) -> Map {
        self.0
    }
}

impl Map {
    /// This map as what its type is for, for instance an [`Array`](super::Array) of `u64`. Its type and
    /// sizes are checked once, here.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), purebpf_handles::Error> {
    /// use purebpf_handles::Map;
    /// use purebpf_handles::map::view::{Array, Queue};
    ///
    /// let counters: Array<u64> = Map::from_pin("/sys/fs/bpf/counters")?.view()?;
    /// counters.set(3, &0)?;
    /// let orders = Map::from_pin("/sys/fs/bpf/orders")?.view::<Queue<[u32; 2]>>()?;
    /// while let Some(order) = orders.pop()? {
    ///     assert_eq!(order[0], 1);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// A map of another type, or with keys or values of another size.
    pub fn view<V: View>(&self) -> Result<V, Error> {
        if !V::TYPES.contains(&self.map_type()) {
            let expected = either(V::TYPES);
            return Err(Error::mismatch(self, "its type", self.map_type(), expected));
        }
        for (part, found, expected) in [
            ("the key size", self.key_size(), V::KEY),
            ("the value size", self.value_size(), V::VALUE),
        ] {
            if !expected.is_empty() && !expected.contains(&(found as usize)) {
                return Err(Error::mismatch(self, part, found, either(expected)));
            }
        }
        Ok(V::from(Checked(self.clone())))
    }
}

fn either(all: &[impl Display]) -> String {
    let all: Vec<_> = all.iter().map(ToString::to_string).collect();
    all.join(" or ")
}

/// A view: its name and parameters, the types of maps, and the sizes of keys and values.
macro_rules! view {
    ($(#[$doc:meta])* $name:ident<$($parameter:ident),*>: [$($map_type:ident),*], $key:expr, $value:expr) => {
        $(#[$doc])*
        pub struct $name<$($parameter),*> {
            map: $crate::Map,
            types: std::marker::PhantomData<fn($($parameter),*)>,
        }

        impl<$($parameter),*> $crate::map::view::View for $name<$($parameter),*> {
            const TYPES: &'static [purebpf_insn::MapType] = &[$(purebpf_insn::MapType::$map_type),*];
            const KEY: &'static [usize] = &$key;
            const VALUE: &'static [usize] = &$value;
        }

        impl<$($parameter),*> From<$crate::map::view::Checked> for $name<$($parameter),*> {
            fn from(checked: $crate::map::view::Checked) -> Self {
                Self { map: checked.into_map(), types: std::marker::PhantomData }
            }
        }

        impl<$($parameter),*> $name<$($parameter),*> {
            /// The map itself.
            #[must_use]
            pub const fn as_map(&self) -> &$crate::Map {
                &self.map
            }
        }

        // By hand: derived ones would ask the same of the parameters.
        impl<$($parameter),*> Clone for $name<$($parameter),*> {
            fn clone(&self) -> Self {
                Self { map: self.map.clone(), types: std::marker::PhantomData }
            }
        }

        impl<$($parameter),*> std::fmt::Debug for $name<$($parameter),*> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.map).finish()
            }
        }
    };
}

pub(super) use view;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_expected_is_one_of_several() {
        assert_eq!(either(&[4, 8]), "4 or 8");
        let types = [MapType::QUEUE, MapType::STACK];
        assert_eq!(either(&types), "queue or stack");
    }
}
