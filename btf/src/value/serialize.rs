//! Values through serde, in the same form as [`Value::to_json`].

use serde::ser::{Serialize, SerializeMap as _, Serializer};

use super::Value;
use super::json::{Form, fields};

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.form() {
            Form::Null => serializer.serialize_unit(),
            Form::Bool(value) => serializer.serialize_bool(value),
            Form::Signed(value) => serializer.serialize_i64(value),
            Form::Unsigned(value) => serializer.serialize_u64(value),
            Form::Float(value) => serializer.serialize_f64(value),
            Form::Text(text) => serializer.serialize_str(&text),
            Form::List(items) => serializer.collect_seq(items),
            Form::Object(members) => {
                let mut map = serializer.serialize_map(None)?;
                fields(members, &mut |name, value| map.serialize_entry(name, value))?;
                map.end()
            }
        }
    }
}
