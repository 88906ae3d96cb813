//! Whether two prototypes agree, so that a caller need not know which one a function has.

use crate::btf::Btf;
use crate::id::TypeId;
use crate::types::TypeKind;

/// Types looked at before two prototypes count as different.
const MAX_STEPS: u32 = 4096;
/// Prototypes inside each other.
const MAX_DEPTH: u32 = 16;

/// Whether two prototypes take and return the same, as pahole sees it: structs and the like are
/// the same if their names are, and `const` does not matter.
pub(super) fn prototypes_agree(btf: &Btf, a: TypeId, b: TypeId) -> bool {
    let mut steps = MAX_STEPS;
    Walk {
        btf,
        steps: &mut steps,
        depth: MAX_DEPTH,
    }
    .agree(a, b)
}

struct Walk<'w> {
    btf: &'w Btf,
    steps: &'w mut u32,
    depth: u32,
}

impl Walk<'_> {
    fn agree(&mut self, mut a: TypeId, mut b: TypeId) -> bool {
        loop {
            if a == b {
                return true;
            }
            let Some(left) = self.steps.checked_sub(1) else {
                return false;
            };
            *self.steps = left;
            let (Ok(first), Ok(second)) = (self.btf.ty(a), self.btf.ty(b)) else {
                return false;
            };
            use TypeKind as K;
            let named = || {
                let names = (
                    self.btf.str_at(first.name_off),
                    self.btf.str_at(second.name_off),
                );
                matches!(names, (Ok(first), Ok(second)) if first == second)
            };
            match (first.kind, second.kind) {
                (K::Ptr(to), K::Ptr(other))
                | (K::Volatile(to), K::Volatile(other))
                | (K::Const(to), K::Const(other))
                | (K::Restrict(to), K::Restrict(other))
                | (K::TypeTag(to), K::TypeTag(other)) => (a, b) = (to, other),
                (K::Const(to), _) if !b.is_void() => a = to,
                (_, K::Const(to)) if !a.is_void() => b = to,
                (
                    K::Array { elem, nelems, .. },
                    K::Array {
                        elem: other,
                        nelems: others,
                        ..
                    },
                ) if nelems == others => (a, b) = (elem, other),
                (
                    K::Int {
                        size,
                        bits,
                        encoding,
                        ..
                    },
                    K::Int {
                        size: other,
                        bits: others,
                        encoding: another,
                        ..
                    },
                ) => return (size, bits, encoding) == (other, others, another) && named(),
                (K::Float { size }, K::Float { size: other }) => return size == other && named(),
                (K::Typedef(_), K::Typedef(_))
                | (K::Enum { .. }, K::Enum { .. })
                | (K::Enum64 { .. }, K::Enum64 { .. })
                | (
                    K::Struct(_) | K::Fwd { union: false },
                    K::Struct(_) | K::Fwd { union: false },
                )
                | (K::Union(_) | K::Fwd { union: true }, K::Union(_) | K::Fwd { union: true }) => {
                    return named();
                }
                (
                    K::FuncProto { ret, params },
                    K::FuncProto {
                        ret: other,
                        params: others,
                    },
                ) => {
                    let Some(depth) = self.depth.checked_sub(1) else {
                        return false;
                    };
                    let mut inner = Walk {
                        btf: self.btf,
                        steps: self.steps,
                        depth,
                    };
                    return params.len() == others.len()
                        && inner.agree(ret, other)
                        && params
                            .iter()
                            .zip(others)
                            .all(|(param, other)| inner.agree(param.ty, other.ty));
                }
                _ => return false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builder::{BtfBuilder, NewParam};
    use crate::types::IntEncoding;

    fn agree(make: impl FnOnce(&mut BtfBuilder) -> [TypeId; 2]) -> bool {
        let mut btf = BtfBuilder::new();
        let [a, b] = make(&mut btf).map(|ty| {
            let param = NewParam { name: "x", ty };
            btf.add_func_proto(TypeId::VOID, &[param]).unwrap()
        });
        let btf = btf.finish().unwrap();
        let both = [(a, b), (b, a)].map(|(a, b)| prototypes_agree(&btf, a, b));
        assert_eq!(both[0], both[1]);
        both[0]
    }

    #[test]
    fn const_does_not_matter() {
        assert!(agree(|btf| {
            let int = btf.add_int("int", 4, IntEncoding::SIGNED).unwrap();
            let constant = btf.add_const(int).unwrap();
            let pointers = [int, constant].map(|ty| btf.add_ptr(ty).unwrap());
            [pointers[0], btf.add_const(pointers[1]).unwrap()]
        }));
        assert!(!agree(|btf| {
            let int = btf.add_int("int", 4, IntEncoding::SIGNED).unwrap();
            [int, btf.add_volatile(int).unwrap()]
        }));
    }

    #[test]
    fn structs_are_the_same_if_their_names_are() {
        let pair = |first: &str, second: &str| {
            agree(|btf| {
                let whole = btf.add_struct(first, 8, &[]).unwrap();
                let declared = btf.add_fwd(second, false).unwrap();
                [whole, declared].map(|ty| btf.add_ptr(ty).unwrap())
            })
        };
        assert!(pair("s", "s"));
        assert!(!pair("s", "t"));
        assert!(!agree(|btf| {
            let whole = btf.add_struct("s", 8, &[]).unwrap();
            [whole, btf.add_union("s", 8, &[]).unwrap()]
        }));
    }

    #[test]
    fn numbers_and_arrays_are_the_same_if_all_of_them_is() {
        assert!(!agree(|btf| {
            let sizes = [4, 8];
            sizes.map(|size| btf.add_int("int", size, IntEncoding::SIGNED).unwrap())
        }));
        assert!(!agree(|btf| {
            let int = btf.add_int("int", 4, IntEncoding::SIGNED).unwrap();
            [1, 2].map(|count| btf.add_array(int, int, count).unwrap())
        }));
    }

    #[test]
    fn prototypes_inside_each_other_end() {
        // Each takes a pointer to itself.
        assert!(!agree(|btf| {
            [(), ()].map(|()| {
                let pointer = TypeId(btf.len());
                let proto = TypeId(pointer.0 + 1);
                btf.add_ptr(proto).unwrap();
                let param = NewParam {
                    name: "",
                    ty: pointer,
                };
                btf.add_func_proto(TypeId::VOID, &[param]).unwrap();
                pointer
            })
        }));
    }
}
