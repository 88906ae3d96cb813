//! Reads where a parameter is, as far as it tells the register that the parameter comes in.

use gimli::{AttributeValue, Expression, LocationListsOffset, Operation, RawLocListEntry};

use super::abi::Location;
use super::sections::Slice;
use super::unit::{Unit, Value};

/// Parts of a location list that are looked at, and operations of each. The register is in the
/// first part but where that was optimized out.
const MAX_PARTS: usize = 64;

/// Reads the value of `DW_AT_location`.
pub(super) fn read(unit: &Unit<'_, '_>, value: &Value<'_>) -> Location {
    let mut location = Location {
        is_there: true,
        ..Location::default()
    };
    let offset = match *value {
        AttributeValue::Exprloc(expression) => {
            add_part(&mut location, unit, expression, true);
            return location;
        }
        AttributeValue::Block(bytes) => {
            add_part(&mut location, unit, Expression(bytes), true);
            return location;
        }
        AttributeValue::LocationListsRef(offset) => Some(offset),
        AttributeValue::SecOffset(offset) => Some(LocationListsOffset(offset)),
        AttributeValue::DebugLocListsIndex(index) => unit.location_list(index),
        _ => None,
    };
    if let Some(offset) = offset {
        add_list(&mut location, unit, offset);
    }
    location
}

fn add_list(location: &mut Location, unit: &Unit<'_, '_>, offset: LocationListsOffset<usize>) {
    let encoding = unit.header.encoding();
    let Ok(mut list) = unit.dwarf.locations.raw_locations(offset, encoding) else {
        return;
    };
    let mut is_first = true;
    for _ in 0..MAX_PARTS {
        let Ok(Some(entry)) = list.next() else {
            return;
        };
        let data = match entry {
            RawLocListEntry::BaseAddress { .. } | RawLocListEntry::BaseAddressx { .. } => {
                continue;
            }
            RawLocListEntry::AddressOrOffsetPair { data, .. }
            | RawLocListEntry::StartxEndx { data, .. }
            | RawLocListEntry::StartxLength { data, .. }
            | RawLocListEntry::OffsetPair { data, .. }
            | RawLocListEntry::DefaultLocation { data }
            | RawLocListEntry::StartEnd { data, .. }
            | RawLocListEntry::StartLength { data, .. } => data,
        };
        add_part(location, unit, data, is_first);
        is_first = false;
    }
}

/// Takes in one part. What it says of the place counts if it is the first, but for the value on
/// entry, which is the same everywhere.
fn add_part(
    location: &mut Location,
    unit: &Unit<'_, '_>,
    expression: Expression<Slice<'_>>,
    is_first: bool,
) {
    let encoding = unit.header.encoding();
    let mut operations = expression.operations(encoding);
    let mut next = || operations.next().ok().flatten();
    let Some(first) = next() else {
        return;
    };
    let second = next();
    let is_value = matches!(second, Some(Operation::StackValue));
    if let Operation::EntryValue { expression } = first
        && (second.is_none() || is_value && next().is_none())
    {
        let mut inner = Expression(expression).operations(encoding);
        if let (Ok(Some(Operation::Register { register })), Ok(None)) = (inner.next(), inner.next())
        {
            location.whole.get_or_insert(register.0);
            location.split.get_or_insert(register.0);
        }
        return;
    }
    let whole = match first {
        Operation::Register { register } => Some(register.0),
        Operation::RegisterOffset { register, .. } if is_value => Some(register.0),
        _ => None,
    };
    if let Some(register) = whole.filter(|_| is_first) {
        location.whole.get_or_insert(register);
    }
    let mut rest = [Some(first), second].into_iter().flatten();
    let first_register = rest
        .by_ref()
        .chain(std::iter::from_fn(next).take(MAX_PARTS))
        .find_map(|operation| match operation {
            Operation::Register { register } => Some(register.0),
            _ => None,
        });
    let split = match second {
        None => whole.filter(|_| is_first),
        Some(_) => first_register,
    };
    if let Some(register) = split {
        location.split.get_or_insert(register);
    }
}
