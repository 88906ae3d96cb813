//! Values as JSON.
//!
//! What a value is in JSON is decided once, by [`Value::form`]; the text here and the `serde`
//! feature both follow it.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use super::Value;

/// What a value is in JSON.
pub(super) enum Form<'a> {
    Null,
    Bool(bool),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    Text(Cow<'a, str>),
    List(&'a [Value]),
    Object(&'a [(String, Value)]),
}

impl Value {
    /// The value as JSON on one line.
    ///
    /// Numbers of more than 64 bits are strings, and so are pointers (`"0x1234"`) and bytes of no
    /// known meaning (`"0708"`); an enumerator is its name, or its number if it has none; a char is
    /// its number. What was truncated and what is no number is `null`. The members of a struct or
    /// union without a name stand among those of the one around it. Text that is not UTF-8 has
    /// U+FFFD where it is not.
    ///
    /// With the `serde` feature a value gives the same through `serde::Serialize`.
    #[must_use]
    pub fn to_json(&self) -> String {
        Json(self).to_string()
    }

    pub(super) fn form(&self) -> Form<'_> {
        match self {
            Self::Int(value) | Self::Enum { name: None, value } => Form::number(*value),
            Self::Uint(value) => match i128::try_from(*value) {
                Ok(value) => Form::number(value),
                Err(_) => Form::Text(value.to_string().into()),
            },
            Self::Bool(value) => Form::Bool(*value),
            Self::Char(byte) => Form::Unsigned((*byte).into()),
            Self::String(bytes) => Form::Text(String::from_utf8_lossy(bytes)),
            Self::Enum {
                name: Some(name), ..
            } => Form::Text(name.into()),
            Self::Float(value) if value.is_finite() => Form::Float(*value),
            Self::Float(_) | Self::Truncated => Form::Null,
            Self::Pointer(address) => Form::Text(format!("{address:#x}").into()),
            Self::Array(items) => Form::List(items),
            Self::Struct(fields) | Self::Union(fields) | Self::Datasec(fields) => {
                Form::Object(fields)
            }
            Self::Bytes(bytes) => {
                let hex = bytes.iter().map(|byte| format!("{byte:02x}"));
                Form::Text(hex.collect::<String>().into())
            }
        }
    }
}

impl Form<'_> {
    fn number(value: i128) -> Self {
        match (i64::try_from(value), u64::try_from(value)) {
            (Ok(value), _) => Self::Signed(value),
            (_, Ok(value)) => Self::Unsigned(value),
            _ => Self::Text(value.to_string().into()),
        }
    }
}

/// Calls `visit` for each member as it stands in JSON: those of members without a name one by one.
pub(super) fn fields<E>(
    fields: &[(String, Value)],
    visit: &mut impl FnMut(&str, &Value) -> Result<(), E>,
) -> Result<(), E> {
    fields.iter().try_for_each(|(name, value)| match value {
        Value::Struct(inner) | Value::Union(inner) if name.is_empty() => self::fields(inner, visit),
        value => visit(name, value),
    })
}

struct Json<'a>(&'a Value);

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.form() {
            Form::Null => f.write_str("null"),
            Form::Bool(value) => write!(f, "{value}"),
            Form::Signed(value) => write!(f, "{value}"),
            Form::Unsigned(value) => write!(f, "{value}"),
            // This keeps the point of whole numbers and the exponent of large ones.
            Form::Float(value) => write!(f, "{value:?}"),
            Form::Text(text) => string(f, &text),
            Form::List(items) => {
                let mut separator = '[';
                for item in items {
                    f.write_char(separator)?;
                    write!(f, "{}", Json(item))?;
                    separator = ',';
                }
                f.write_str(if items.is_empty() { "[]" } else { "]" })
            }
            Form::Object(members) => {
                let mut separator = '{';
                fields(members, &mut |name, value| {
                    f.write_char(separator)?;
                    string(f, name)?;
                    separator = ',';
                    write!(f, ":{}", Json(value))
                })?;
                f.write_str(if separator == '{' { "{}" } else { "}" })
            }
        }
    }
}

/// Writes text in quotes.
fn string(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            c if c < ' ' => write!(f, "\\u{:04x}", u32::from(c))?,
            c => f.write_char(c)?,
        }
    }
    f.write_char('"')
}
