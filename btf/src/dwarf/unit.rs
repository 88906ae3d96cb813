//! One unit: where its strings, references and addresses lead.

use std::collections::HashMap;

use gimli::{
    Abbreviations, AttributeValue, DebugAddrBase, DebugAddrIndex, DebugLocListsBase,
    DebugLocListsIndex, DebugStrOffsetsBase, DebugStrOffsetsIndex, DwAt, DwarfFileType, Expression,
    LocationListsOffset, Operation, Section as _, UnitHeader, constants as c,
};

use super::names::{Text, until_nul};
use super::sections::{Dwarf, Offset, Slice};

/// The value of an attribute.
pub(super) type Value<'d> = AttributeValue<Slice<'d>>;
/// Where the type of each type unit is, by its signature.
pub(super) type Signatures = HashMap<u64, Offset>;

/// A unit that is being read.
#[derive(Debug)]
pub(super) struct Unit<'u, 'd> {
    pub(super) dwarf: &'u Dwarf<'d>,
    pub(super) header: &'u UnitHeader<Slice<'d>>,
    pub(super) abbreviations: &'u Abbreviations,
    signatures: &'u Signatures,
    /// Where it starts.
    pub(super) start: Offset,
    str_offsets: DebugStrOffsetsBase<usize>,
    addresses: DebugAddrBase<usize>,
    location_lists: DebugLocListsBase<usize>,
    /// Whether clang made it.
    pub(super) is_clang: bool,
}

/// What the first entry of a unit says of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Root<'d> {
    pub(super) name: Text<'d>,
    /// 0 if it does not say.
    pub(super) language: gimli::DwLang,
    /// Its content is in another file.
    pub(super) is_split: bool,
}

impl<'u, 'd> Unit<'u, 'd> {
    pub(super) fn new(
        dwarf: &'u Dwarf<'d>,
        header: &'u UnitHeader<Slice<'d>>,
        abbreviations: &'u Abbreviations,
        signatures: &'u Signatures,
        start: Offset,
    ) -> Self {
        let encoding = header.encoding();
        Self {
            dwarf,
            header,
            abbreviations,
            signatures,
            start,
            str_offsets: DebugStrOffsetsBase::default_for_encoding_and_file(
                encoding,
                DwarfFileType::Main,
            ),
            addresses: DebugAddrBase(0),
            location_lists: DebugLocListsBase(0),
            is_clang: false,
        }
    }

    /// Reads the first entry.
    pub(super) fn root(&mut self) -> gimli::Result<Root<'d>> {
        let mut entry = gimli::DebuggingInformationEntry::null();
        let mut entries = self.header.entries_raw(self.abbreviations, None)?;
        entries.read_entry(&mut entry)?;
        // The name may need what comes behind it.
        for attribute in entry.attrs() {
            match attribute.value() {
                AttributeValue::DebugStrOffsetsBase(base) => self.str_offsets = base,
                AttributeValue::DebugAddrBase(base) => self.addresses = base,
                AttributeValue::DebugLocListsBase(base) => self.location_lists = base,
                _ => {}
            }
        }
        if let Some(producer) = entry.attr_value(c::DW_AT_producer) {
            let producer = self.text(&producer).bytes(self.dwarf);
            self.is_clang = producer.windows(5).any(|word| word == b"clang");
        }
        let is = |name: DwAt| entry.attr_value(name).is_some();
        Ok(Root {
            name: entry
                .attr_value(c::DW_AT_name)
                .map_or(Text::None, |value| self.text(&value)),
            language: match entry.attr_value(c::DW_AT_language) {
                Some(AttributeValue::Language(language)) => language,
                _ => gimli::DwLang(0),
            },
            is_split: entry.tag() == c::DW_TAG_skeleton_unit
                || is(c::DW_AT_dwo_name)
                || is(c::DW_AT_GNU_dwo_name),
        })
    }

    /// A string.
    pub(super) fn text(&self, value: &Value<'d>) -> Text<'d> {
        match *value {
            AttributeValue::String(text) => Text::Bytes(text.slice()),
            AttributeValue::DebugStrRef(offset) => Text::Shared(offset.0),
            AttributeValue::DebugStrOffsetsIndex(index) => self.indexed_text(index),
            AttributeValue::DebugLineStrRef(offset) => self
                .dwarf
                .debug_line_str
                .reader()
                .slice()
                .get(offset.0..)
                .and_then(until_nul)
                .map_or(Text::None, Text::Bytes),
            _ => Text::None,
        }
    }

    fn indexed_text(&self, index: DebugStrOffsetsIndex<usize>) -> Text<'d> {
        self.dwarf
            .debug_str_offsets
            .get_str_offset(self.header.format(), self.str_offsets, index)
            .map_or(Text::None, |offset| Text::Shared(offset.0))
    }

    /// Another entry; 0 if this is no reference.
    pub(super) fn reference(&self, value: &Value<'d>) -> Offset {
        match *value {
            AttributeValue::UnitRef(offset) => self.start.saturating_add(offset.0 as u64),
            AttributeValue::DebugInfoRef(offset) => offset.0 as u64,
            AttributeValue::DebugTypesRef(signature) => {
                self.signatures.get(&signature.0).copied().unwrap_or(0)
            }
            _ => 0,
        }
    }

    /// The address that a location is, if it is one.
    pub(super) fn address(&self, value: &Value<'d>) -> Option<u64> {
        match *value {
            AttributeValue::Addr(address) => Some(address),
            AttributeValue::DebugAddrIndex(index) => self.indexed_address(index),
            AttributeValue::Exprloc(expression) => self.address_of(expression),
            AttributeValue::Block(bytes) => self.address_of(Expression(bytes)),
            _ => None,
        }
    }

    /// Where a location list is.
    pub(super) fn location_list(
        &self,
        index: DebugLocListsIndex<usize>,
    ) -> Option<LocationListsOffset<usize>> {
        let encoding = self.header.encoding();
        let lists = &self.dwarf.locations;
        lists.get_offset(encoding, self.location_lists, index).ok()
    }

    fn indexed_address(&self, index: DebugAddrIndex<usize>) -> Option<u64> {
        let size = self.header.address_size();
        let addresses = &self.dwarf.debug_addr;
        addresses.get_address(size, self.addresses, index).ok()
    }

    fn address_of(&self, expression: Expression<Slice<'d>>) -> Option<u64> {
        let mut operations = expression.operations(self.header.encoding());
        let address = match operations.next().ok()?? {
            Operation::Address { address } => address,
            Operation::AddressIndex { index } => self.indexed_address(index)?,
            _ => return None,
        };
        match operations.next().ok()? {
            None => Some(address),
            Some(Operation::PlusConstant { value }) => Some(address.wrapping_add(value)),
            Some(_) => None,
        }
    }

    /// Bytes from the start of a struct to a member, if they are constant.
    pub(super) fn member_offset(&self, value: &Value<'d>) -> Option<u64> {
        let expression = match *value {
            AttributeValue::Exprloc(expression) => expression,
            AttributeValue::Block(bytes) => Expression(bytes),
            _ => return value.udata_value(),
        };
        let mut operations = expression.operations(self.header.encoding());
        let offset = match operations.next().ok()?? {
            Operation::PlusConstant { value } => value,
            Operation::UnsignedConstant { value } => value,
            _ => return None,
        };
        Some(offset)
    }
}
