//! The attributes of an entry that mean something here.

use gimli::{AttributeSpecification, AttributeValue, DwAt, EntriesRaw, constants as c};

use super::names::Text;
use super::sections::{Offset, Slice};
use super::unit::{Unit, Value};

/// `DW_AT_GNU_annotation`: the first of a chain of annotations.
const DW_AT_GNU_ANNOTATION: DwAt = DwAt(0x2139);

/// What an entry says of itself; what it does not say is 0 or none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Attrs<'d> {
    pub(super) name: Text<'d>,
    pub(super) ty: Offset,
    /// Another entry that says the rest: `abstract_origin`, `specification`.
    pub(super) origin: Offset,
    /// The type unit with the definition.
    pub(super) signature: Offset,
    pub(super) annotation: Offset,
    pub(super) byte_size: Option<u64>,
    pub(super) bit_size: Option<u64>,
    pub(super) bit_offset: Option<i64>,
    pub(super) data_bit_offset: Option<u64>,
    pub(super) member_offset: Option<u64>,
    pub(super) encoding: Option<gimli::DwAte>,
    /// Elements of an array.
    pub(super) count: Option<u32>,
    pub(super) value: Option<i128>,
    /// A value that is a string.
    pub(super) text: Text<'d>,
    pub(super) address: Option<u64>,
    pub(super) location: Option<Value<'d>>,
    /// It is not called as its prototype says.
    pub(super) is_changed: bool,
    pub(super) is_declaration: bool,
    pub(super) is_external: bool,
    pub(super) is_artificial: bool,
}

impl<'d> Attrs<'d> {
    /// Reads the attributes of the entry whose abbreviation was just read.
    pub(super) fn read(
        unit: &Unit<'_, 'd>,
        entries: &mut EntriesRaw<'_, Slice<'d>>,
        specs: &[AttributeSpecification],
    ) -> gimli::Result<Self> {
        let mut attrs = Self::default();
        for spec in specs {
            let attribute = entries.read_attribute_inline(*spec)?;
            attrs.set(unit, attribute.name(), &attribute.value());
        }
        Ok(attrs)
    }

    fn set(&mut self, unit: &Unit<'_, 'd>, name: DwAt, value: &Value<'d>) {
        match name {
            c::DW_AT_name => self.name = unit.text(value),
            c::DW_AT_type => self.ty = unit.reference(value),
            c::DW_AT_abstract_origin | c::DW_AT_specification => {
                self.origin = unit.reference(value);
            }
            c::DW_AT_signature => self.signature = unit.reference(value),
            DW_AT_GNU_ANNOTATION => self.annotation = unit.reference(value),
            c::DW_AT_byte_size => self.byte_size = value.udata_value(),
            c::DW_AT_bit_size => self.bit_size = value.udata_value(),
            c::DW_AT_bit_offset => self.bit_offset = value.sdata_value(),
            c::DW_AT_data_bit_offset => self.data_bit_offset = value.udata_value(),
            c::DW_AT_data_member_location => self.member_offset = unit.member_offset(value),
            c::DW_AT_encoding => {
                if let AttributeValue::Encoding(encoding) = value {
                    self.encoding = Some(*encoding);
                }
            }
            // Both wrap as they do in pahole: an upper bound of -1 is no elements.
            c::DW_AT_count => self.count = unsigned(value).map(|count| count as u32),
            c::DW_AT_upper_bound => {
                self.count = unsigned(value).map(|bound| bound.wrapping_add(1) as u32);
            }
            c::DW_AT_const_value => {
                self.value = number(value);
                self.text = unit.text(value);
            }
            c::DW_AT_low_pc => self.address = unit.address(value),
            c::DW_AT_location => self.location = Some(*value),
            c::DW_AT_calling_convention => {
                let changed = AttributeValue::CallingConvention(c::DW_CC_nocall);
                self.is_changed = *value == changed;
            }
            c::DW_AT_declaration => self.is_declaration = is_set(value),
            c::DW_AT_external => self.is_external = is_set(value),
            c::DW_AT_artificial => self.is_artificial = is_set(value),
            _ => {}
        }
    }
}

fn is_set(value: &Value<'_>) -> bool {
    matches!(value, AttributeValue::Flag(true))
}

fn unsigned(value: &Value<'_>) -> Option<u64> {
    number(value).map(|number| number as u64)
}

/// A number with the sign that its form gives it.
fn number(value: &Value<'_>) -> Option<i128> {
    match *value {
        AttributeValue::Data1(value) => Some(value.into()),
        AttributeValue::Data2(value) => Some(value.into()),
        AttributeValue::Data4(value) => Some(value.into()),
        AttributeValue::Data8(value) | AttributeValue::Udata(value) => Some(value.into()),
        AttributeValue::Sdata(value) => Some(value.into()),
        _ => None,
    }
}
