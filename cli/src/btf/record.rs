//! A type as names and values: what `bpftool btf dump` prints of it, line by line or as JSON.

use std::fmt::Write as _;

use purebpf::btf::{Btf, Enumerators, Error, IntEncoding, Linkage, Members, TypeId, TypeKind};
use serde_json::{Map, Value, json};

/// Names and values, in order.
type Pairs = Vec<(&'static str, Value)>;
/// What JSON calls the entries of a type, and the entries.
type Entries = (&'static str, Vec<Entry>);

/// One type.
pub(super) struct Record {
    id: TypeId,
    kind: String,
    name: String,
    own: Pairs,
    entries: Option<Entries>,
}

/// A member, parameter, value or variable.
struct Entry {
    /// What stands in a section has none.
    name: Option<String>,
    pairs: Pairs,
    /// What a line says beyond that.
    remark: String,
}

const ANONYMOUS: &str = "(anon)";

fn name_at(btf: &Btf, offset: u32) -> Result<String, Error> {
    let name = String::from_utf8_lossy(btf.str_at(offset)?).into_owned();
    Ok(if name.is_empty() {
        ANONYMOUS.into()
    } else {
        name
    })
}

impl Record {
    pub(super) fn new(btf: &Btf, id: TypeId) -> Result<Self, Error> {
        let ty = btf.ty(id)?;
        let mut record = Self {
            id,
            kind: ty.kind.name().to_uppercase(),
            name: name_at(btf, ty.name_off)?,
            own: Vec::new(),
            entries: None,
        };
        let (own, entries) = match ty.kind {
            TypeKind::Void | TypeKind::Unknown { .. } => (Vec::new(), None),
            TypeKind::Int {
                size,
                bits,
                offset,
                encoding,
            } => (
                vec![
                    ("size", json!(size)),
                    ("bits_offset", json!(offset)),
                    ("nr_bits", json!(bits)),
                    ("encoding", json!(encoding_name(encoding))),
                ],
                None,
            ),
            TypeKind::Ptr(ty)
            | TypeKind::Typedef(ty)
            | TypeKind::Volatile(ty)
            | TypeKind::Const(ty)
            | TypeKind::Restrict(ty)
            | TypeKind::TypeTag(ty) => (vec![("type_id", json!(ty.0))], None),
            TypeKind::Array {
                elem,
                index,
                nelems,
            } => (
                vec![
                    ("type_id", json!(elem.0)),
                    ("index_type_id", json!(index.0)),
                    ("nr_elems", json!(nelems)),
                ],
                None,
            ),
            TypeKind::Struct(composite) | TypeKind::Union(composite) => (
                vec![
                    ("size", json!(composite.size)),
                    ("vlen", json!(composite.members.len())),
                ],
                Some(("members", members(btf, composite.members)?)),
            ),
            TypeKind::Enum {
                size,
                signed,
                values,
            } => enumeration(btf, size, signed, values, "")?,
            TypeKind::Enum64 {
                size,
                signed,
                values,
            } => enumeration(btf, size, signed, values, if signed { "LL" } else { "ULL" })?,
            TypeKind::Fwd { union } => {
                let kind = if union { "union" } else { "struct" };
                (vec![("fwd_kind", json!(kind))], None)
            }
            TypeKind::DeclTag { ty, component } => (
                vec![
                    ("type_id", json!(ty.0)),
                    ("component_idx", json!(component)),
                ],
                None,
            ),
            TypeKind::Func { proto, linkage } => (
                vec![
                    ("type_id", json!(proto.0)),
                    ("linkage", json!(linkage_name(linkage))),
                ],
                None,
            ),
            TypeKind::FuncProto { ret, params } => {
                let mut entries = Vec::new();
                for param in params {
                    entries.push(Entry {
                        name: Some(name_at(btf, param.name_off)?),
                        pairs: vec![("type_id", json!(param.ty.0))],
                        remark: String::new(),
                    });
                }
                (
                    vec![("ret_type_id", json!(ret.0)), ("vlen", json!(params.len()))],
                    Some(("params", entries)),
                )
            }
            TypeKind::Var { ty, linkage } => (
                vec![
                    ("type_id", json!(ty.0)),
                    ("linkage", json!(linkage_name(linkage))),
                ],
                None,
            ),
            TypeKind::Datasec { size, secinfos } => {
                let mut entries = Vec::new();
                for info in secinfos {
                    let kind = btf.ty(info.ty)?.kind.name().to_uppercase();
                    let name = name_at(btf, btf.ty(info.ty)?.name_off)?;
                    entries.push(Entry {
                        name: None,
                        pairs: vec![
                            ("type_id", json!(info.ty.0)),
                            ("offset", json!(info.offset)),
                            ("size", json!(info.size)),
                        ],
                        remark: format!(" ({kind} '{name}')"),
                    });
                }
                (
                    vec![("size", json!(size)), ("vlen", json!(secinfos.len()))],
                    Some(("vars", entries)),
                )
            }
            TypeKind::Float { size } => (vec![("size", json!(size))], None),
            // Kinds of a later version have their name and nothing else.
            _ => (Vec::new(), None),
        };
        record.own = own;
        record.entries = entries;
        Ok(record)
    }

    /// The lines of it.
    pub(super) fn write(&self, out: &mut String) {
        // Writing to a string does not fail.
        let _: std::fmt::Result = self.try_write(out);
    }

    fn try_write(&self, out: &mut String) -> std::fmt::Result {
        write!(out, "{} {} '{}'", self.id, self.kind, self.name)?;
        // As it has always been.
        let separator = if self.kind == "VAR" { "," } else { "" };
        for (index, pair) in self.own.iter().enumerate() {
            out.push_str(if index > 0 { separator } else { "" });
            write_pair(out, ' ', pair)?;
        }
        out.push('\n');
        for entry in self.entries.iter().flat_map(|(_, entries)| entries) {
            out.push('\t');
            if let Some(name) = &entry.name {
                write!(out, "'{name}'")?;
            }
            for (index, pair) in entry.pairs.iter().enumerate() {
                let is_first = index == 0 && entry.name.is_none();
                if is_first {
                    write!(out, "{}={}", pair.0, plain(&pair.1))?;
                } else {
                    write_pair(out, ' ', pair)?;
                }
            }
            out.push_str(&entry.remark);
            out.push('\n');
        }
        Ok(())
    }

    pub(super) fn to_json(&self) -> Value {
        let mut object = Map::new();
        object.insert("id".into(), json!(self.id.0));
        object.insert("kind".into(), json!(self.kind));
        object.insert("name".into(), json!(self.name));
        let insert = |object: &mut Map<String, Value>, pairs: &Pairs| {
            for (key, value) in pairs {
                object.insert((*key).into(), value.clone());
            }
        };
        insert(&mut object, &self.own);
        if let Some((key, entries)) = &self.entries {
            let entries = entries.iter().map(|entry| {
                let mut object = Map::new();
                if let Some(name) = &entry.name {
                    object.insert("name".into(), json!(name));
                }
                insert(&mut object, &entry.pairs);
                Value::Object(object)
            });
            object.insert((*key).into(), entries.collect());
        }
        Value::Object(object)
    }
}

fn write_pair(out: &mut String, before: char, (key, value): &(&str, Value)) -> std::fmt::Result {
    write!(out, "{before}{key}={}", plain(value))
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn members(btf: &Btf, members: Members<'_>) -> Result<Vec<Entry>, Error> {
    let mut entries = Vec::new();
    for member in members {
        let mut pairs = vec![
            ("type_id", json!(member.ty.0)),
            ("bits_offset", json!(member.bit_offset)),
        ];
        if member.bitfield_size != 0 {
            pairs.push(("bitfield_size", json!(member.bitfield_size)));
        }
        entries.push(Entry {
            name: Some(name_at(btf, member.name_off)?),
            pairs,
            remark: String::new(),
        });
    }
    Ok(entries)
}

fn enumeration(
    btf: &Btf,
    size: u32,
    signed: bool,
    values: Enumerators<'_>,
    suffix: &str,
) -> Result<(Pairs, Option<Entries>), Error> {
    let encoding = if signed { "SIGNED" } else { "UNSIGNED" };
    let own = vec![
        ("encoding", json!(encoding)),
        ("size", json!(size)),
        ("vlen", json!(values.len())),
    ];
    let mut entries = Vec::new();
    for value in values {
        // Both fit: a value has 64 bits, signed or not.
        let number = match i64::try_from(value.value) {
            Ok(number) => json!(number),
            Err(_) => json!(value.value as u64),
        };
        entries.push(Entry {
            name: Some(name_at(btf, value.name_off)?),
            pairs: vec![("val", number)],
            remark: suffix.into(),
        });
    }
    Ok((own, Some(("values", entries))))
}

fn encoding_name(encoding: IntEncoding) -> &'static str {
    match encoding {
        IntEncoding::UNSIGNED => "(none)",
        IntEncoding::SIGNED => "SIGNED",
        IntEncoding::CHAR => "CHAR",
        IntEncoding::BOOL => "BOOL",
        _ => "UNKN",
    }
}

fn linkage_name(linkage: Linkage) -> &'static str {
    match linkage {
        Linkage::STATIC => "static",
        Linkage::GLOBAL => "global",
        Linkage::EXTERN => "extern",
        _ => "(unknown)",
    }
}
