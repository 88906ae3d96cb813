//! Messages of netlink: a header that depends on the type, then attributes.

use bytemuck::{NoUninit, Pod};
use netlink_packet_core::{
    DecodeError, DefaultNla, Emitable, NLA_F_NESTED, NLA_HEADER_SIZE, NetlinkDeserializable,
    NetlinkHeader, NetlinkSerializable, NlasIterator,
};

/// The type of a message, with its name for errors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) number: u16,
    pub(crate) name: &'static str,
}

impl Kind {
    pub(crate) const fn new(number: u16, name: &'static str) -> Self {
        Self { number, name }
    }
}

/// A message to the kernel.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) kind: Kind,
    /// `NLM_F_*`
    pub(crate) flags: u16,
    body: Vec<u8>,
}

impl Request {
    /// A request whose header is these words, which is how the headers of all families are laid out.
    pub(crate) fn new(kind: Kind, flags: u16, header: &[u32], attributes: &[DefaultNla]) -> Self {
        let mut body = bytemuck::cast_slice(header).to_vec();
        body.extend(bytes_of(attributes));
        Self { kind, flags, body }
    }
}

impl NetlinkSerializable for Request {
    fn message_type(&self) -> u16 {
        self.kind.number
    }

    fn buffer_len(&self) -> usize {
        self.body.len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        buffer.copy_from_slice(&self.body);
    }
}

/// An attribute that is one number.
pub(crate) fn attribute<T: NoUninit>(kind: u16, value: T) -> DefaultNla {
    DefaultNla::new(kind, bytemuck::bytes_of(&value).to_vec())
}

/// An attribute that is a text, of which `text` has no zero.
pub(crate) fn text(kind: u16, text: &str) -> DefaultNla {
    let bytes = text.bytes().filter(|byte| *byte != 0).chain([0]);
    DefaultNla::new(kind, bytes.collect())
}

/// An attribute that holds others.
pub(crate) fn nested(kind: u16, attributes: &[DefaultNla]) -> DefaultNla {
    DefaultNla::new(kind | NLA_F_NESTED, bytes_of(attributes))
}

fn bytes_of(attributes: &[DefaultNla]) -> Vec<u8> {
    let mut bytes = vec![0; attributes.buffer_len()];
    attributes.emit(&mut bytes);
    bytes
}

/// A message from the kernel.
#[derive(Debug, Default)]
pub struct Answer {
    body: Vec<u8>,
}

impl Answer {
    /// A word of the header, 0 behind its end.
    pub(crate) fn word(&self, index: usize) -> u32 {
        number(self.body.chunks_exact(4).nth(index))
    }

    /// What follows a header of so many words.
    pub(crate) fn attributes(&self, words: usize) -> Attributes<'_> {
        let start = words.saturating_mul(4);
        Attributes(self.body.get(start..).unwrap_or_default())
    }
}

impl NetlinkDeserializable for Answer {
    type Error = DecodeError;

    fn deserialize(_: &NetlinkHeader, payload: &[u8]) -> Result<Self, DecodeError> {
        let body = payload.to_vec();
        Ok(Self { body })
    }
}

/// Attributes, by type. One that is not there is 0 or empty; of several, the first counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attributes<'a>(&'a [u8]);

impl<'a> Attributes<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The value of an attribute. What is malformed ends the search.
    pub(crate) fn get(self, kind: u16) -> Option<&'a [u8]> {
        let mut found = NlasIterator::new(self.0).map_while(Result::ok);
        let found = found.find(|found| found.kind() == kind)?;
        let length = usize::from(found.length());
        found.into_inner().get(NLA_HEADER_SIZE..length)
    }

    /// A number.
    pub(crate) fn number<T: Pod>(self, kind: u16) -> T {
        number(self.get(kind))
    }

    /// A text, up to its zero.
    pub(crate) fn text(self, kind: u16) -> String {
        let bytes = self.get(kind).unwrap_or_default();
        let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        String::from_utf8_lossy(text).into_owned()
    }

    /// The attributes inside an attribute.
    pub(crate) fn nested(self, kind: u16) -> Self {
        Self(self.get(kind).unwrap_or_default())
    }
}

fn number<T: Pod>(bytes: Option<&[u8]>) -> T {
    let bytes = bytes.and_then(|bytes| bytes.get(..size_of::<T>()));
    bytes.map_or_else(T::zeroed, bytemuck::pod_read_unaligned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{Kernel, Layout};

    /// The headers, which are written and read as words.
    const HEADERS: [Layout; 4] = [
        Layout {
            name: "of a device",
            places: &["ifinfomsg"],
            fields: &[
                ("ifi_family", 0, 1),
                ("ifi_type", 2, 2),
                ("ifi_index", 4, 4),
                ("ifi_flags", 8, 4),
                ("ifi_change", 12, 4),
            ],
        },
        Layout {
            name: "of traffic control",
            places: &["tcmsg"],
            fields: &[
                ("tcm_family", 0, 1),
                ("tcm_ifindex", 4, 4),
                ("tcm_handle", 8, 4),
                ("tcm_parent", 12, 4),
                ("tcm_info", 16, 4),
            ],
        },
        Layout {
            name: "of a route",
            places: &["rtmsg"],
            fields: &[
                ("rtm_family", 0, 1),
                ("rtm_dst_len", 1, 1),
                ("rtm_src_len", 2, 1),
                ("rtm_tos", 3, 1),
                ("rtm_table", 4, 1),
                ("rtm_protocol", 5, 1),
                ("rtm_scope", 6, 1),
                ("rtm_type", 7, 1),
                ("rtm_flags", 8, 4),
            ],
        },
        Layout {
            name: "of a family by name",
            places: &["genlmsghdr"],
            fields: &[("cmd", 0, 1), ("version", 1, 1), ("reserved", 2, 2)],
        },
    ];

    #[test]
    fn headers_are_laid_out_as_the_kernels() {
        Kernel::check(&HEADERS.each_ref());
    }

    const KIND: Kind = Kind {
        number: 16,
        name: "TEST",
    };

    fn answer(attributes: &[DefaultNla]) -> Answer {
        let request = Request::new(KIND, 0, &[7, 9], attributes);
        Answer { body: request.body }
    }

    #[test]
    fn attributes_come_back_as_they_went() {
        let answer = answer(&[
            text(1, "odd"),
            nested(2, &[attribute(1, 5_u8), attribute(2, u64::MAX)]),
            attribute(1, 3_u32),
        ]);
        assert_eq!((answer.word(0), answer.word(1)), (7, 9));
        let attributes = answer.attributes(2);
        assert_eq!(attributes.text(1), "odd");
        let inside = attributes.nested(2);
        assert_eq!(inside.number::<u8>(1), 5);
        assert_eq!(inside.number::<u64>(2), u64::MAX);
        assert_eq!(attributes.get(3), None);
        assert_eq!(attributes.nested(3).number::<u32>(1), 0);
    }

    #[test]
    fn what_is_cut_off_is_not_there() {
        let whole = answer(&[attribute(1, 1_u32), attribute(2, 2_u32)]);
        for length in 0..whole.body.len() {
            let body = whole.body.get(..length).unwrap_or_default().to_vec();
            let cut = Answer { body };
            assert_eq!(cut.attributes(2).get(2), None, "{length}");
            assert_eq!(cut.attributes(2).number::<u32>(1), u32::from(length >= 16));
        }
        // A length that is too short for its own header, and a number that is too short.
        assert_eq!(Attributes::new(&[3, 0, 1, 0]).get(1), None);
        assert_eq!(Attributes::new(&[5, 0, 1, 0, 9]).number::<u32>(1), 0);
    }
}
