//! What the records of a ring buffer are, and their values.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use purebpf::btf::value::{self, Value};
use purebpf::btf::{Btf, Kind, TypeId};
use purebpf::plan::ObjectSpec;

/// Reads records by the types that their maps declare, or by the one that the user named.
pub(crate) struct Records {
    btf: Option<Arc<Btf>>,
    types: HashMap<String, TypeId>,
    all: Option<TypeId>,
}

/// Kinds of types that a record may have.
const KINDS: [Kind; 3] = [Kind::Struct, Kind::Union, Kind::Typedef];

impl Records {
    pub(crate) fn new(spec: &ObjectSpec, type_name: Option<&str>) -> anyhow::Result<Self> {
        let btf = spec.btf().cloned();
        let all = match (type_name, &btf) {
            (Some(name), Some(btf)) => {
                let name = name.strip_prefix("struct ").unwrap_or(name);
                let found = KINDS.into_iter().find_map(|kind| btf.find(name, kind));
                Some(found.with_context(|| format!("the object has no type `{name}`"))?)
            }
            (Some(name), None) => bail!("the object has no BTF to find the type `{name}` in"),
            (None, _) => None,
        };
        let types = spec.maps().filter(|map| !map.value_type.is_void());
        let types = types
            .map(|map| (map.name.clone(), map.value_type))
            .collect();
        Ok(Self { btf, types, all })
    }

    /// The value of a record of this map; its bytes if nobody says what they mean.
    pub(crate) fn decode(&self, map: &str, record: &[u8]) -> Value {
        let ty = self.all.or_else(|| self.types.get(map).copied());
        let decoded = ty
            .zip(self.btf.as_deref())
            .map(|(ty, btf)| value::decode(btf, ty, record));
        match decoded {
            Some(Ok(value)) => value,
            _ => {
                let hex: Vec<String> = record.iter().map(|byte| format!("{byte:02x}")).collect();
                Value::Struct(vec![
                    ("map".to_owned(), Value::String(map.into())),
                    ("bytes".to_owned(), Value::String(hex.concat().into())),
                ])
            }
        }
    }
}
