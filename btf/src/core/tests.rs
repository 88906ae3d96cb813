//! Each test makes the BTF of an object and that of a kernel, and relocates one for the other.

use std::sync::Arc;

use super::{AccessSize, Outcome, RelocationKind as K, Resolution, Resolver};
use crate::builder::{BtfBuilder, NewMember};
use crate::error::Result;
use crate::ext::CoreRelo;
use crate::id::TypeId;
use crate::testing::{at, bits, value};
use crate::types::IntEncoding;

mod candidates;
mod fields;
mod mismatches;
mod types;

/// A builder with the integers that tests need.
struct Types {
    btf: BtfBuilder,
    int: TypeId,
    long: TypeId,
    unsigned: TypeId,
    byte: TypeId,
}

impl Types {
    fn add_struct(&mut self, name: &str, size: u32, members: &[NewMember<'_>]) -> TypeId {
        self.btf.add_struct(name, size, members).unwrap()
    }
}

fn types() -> Types {
    let mut btf = BtfBuilder::new().pointer_size(8);
    let int = btf.add_int("int", 4, IntEncoding::SIGNED).unwrap();
    let long = btf
        .add_int("unsigned long", 8, IntEncoding::UNSIGNED)
        .unwrap();
    let unsigned = btf
        .add_int("unsigned int", 4, IntEncoding::UNSIGNED)
        .unwrap();
    let byte = btf
        .add_int("unsigned char", 1, IntEncoding::UNSIGNED)
        .unwrap();
    Types {
        btf,
        int,
        long,
        unsigned,
        byte,
    }
}

fn relo(local: &mut BtfBuilder, type_id: TypeId, access: &str, kind: K) -> CoreRelo {
    CoreRelo {
        insn_off: 0,
        type_id,
        access_str_off: local.add_str(access).unwrap(),
        kind: kind as u32,
    }
}

fn resolve_all(
    local: &BtfBuilder,
    target: &BtfBuilder,
    relos: &[CoreRelo],
) -> Vec<Result<Arc<Resolution>>> {
    let main = Arc::new(target.finish().unwrap());
    let mut resolver = Resolver::new(Arc::new(local.finish().unwrap()), main);
    relos.iter().map(|relo| resolver.resolve(relo)).collect()
}

fn resolve(
    local: &mut BtfBuilder,
    target: &BtfBuilder,
    root: TypeId,
    access: &str,
    kind: K,
) -> Result<Arc<Resolution>> {
    let relo = relo(local, root, access, kind);
    resolve_all(local, target, &[relo]).remove(0)
}

fn outcome(
    local: &mut BtfBuilder,
    target: &BtfBuilder,
    root: TypeId,
    access: &str,
    kind: K,
) -> Outcome {
    resolve(local, target, root, access, kind).unwrap().outcome
}

fn plain(orig: u64, new: u64) -> Outcome {
    Outcome::Value {
        orig,
        new,
        validate: true,
        access: AccessSize::Keep,
    }
}

fn unchecked(orig: u64, new: u64) -> Outcome {
    Outcome::Value {
        orig,
        new,
        validate: false,
        access: AccessSize::Keep,
    }
}

/// `struct task` of an object and of a kernel where everything moved.
fn tasks() -> (Types, TypeId, Types, TypeId) {
    let mut local = types();
    let members = [
        at("pid", local.int, 0),
        at("start", local.long, 8),
        at("gone", local.int, 16),
    ];
    let ours = local.btf.add_struct("task___mine", 24, &members).unwrap();
    let mut target = types();
    let members = [
        at("flags", target.long, 0),
        at("start", target.long, 16),
        at("pid", target.int, 24),
    ];
    let theirs = target.btf.add_struct("task", 32, &members).unwrap();
    (local, ours, target, theirs)
}
