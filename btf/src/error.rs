//! What can be wrong with BTF, .BTF.ext or a CO-RE relocation, and where.

use crate::{Kind, TypeId};

/// The cause of a failure that the caller of this crate supplied.
pub type BoxedError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// A failure to read, search, edit, relocate or decode with BTF.
///
/// Offsets are bytes from the start of the section they name.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The section is shorter than its header, or than what the header promises.
    #[error("{section}: {what} needs {needed} bytes at offset {offset}, the section has {len}")]
    Truncated {
        /// `.BTF` or `.BTF.ext`.
        section: &'static str,
        /// The part that does not fit.
        what: &'static str,
        /// Where the part starts.
        offset: u64,
        /// Bytes that the part needs.
        needed: u64,
        /// Bytes of the whole section.
        len: u64,
    },
    /// The first two bytes are no BTF magic in either byte order.
    #[error("{section}: magic is {found:#06x}, expected 0xeb9f")]
    Magic {
        /// `.BTF` or `.BTF.ext`.
        section: &'static str,
        /// The first two bytes, read in host order.
        found: u16,
    },
    /// A header field has a value that cannot be.
    #[error("{section}: header field {field} is {found}, expected {expected}")]
    Header {
        /// `.BTF` or `.BTF.ext`.
        section: &'static str,
        /// The field, by its name in the uapi.
        field: &'static str,
        /// What it holds.
        found: u64,
        /// What it may hold.
        expected: &'static str,
    },
    /// The string section does not start or end as it must.
    #[error(".BTF: string section of {len} bytes {problem}")]
    Strings {
        /// Bytes of the string section.
        len: u64,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A type record does not fit into the type section.
    #[error(
        ".BTF: type {id} at offset {offset} needs {needed} bytes, the type section has {left} left"
    )]
    TruncatedType {
        /// The type.
        id: TypeId,
        /// Where its record starts.
        offset: u64,
        /// Bytes of the record, as far as they are known.
        needed: u64,
        /// Bytes left.
        left: u64,
    },
    /// A type of a kind that neither this crate nor the BTF's own layout table knows.
    #[error(".BTF: type {id} at offset {offset} is of unknown kind {kind}")]
    UnknownKind {
        /// The type.
        id: TypeId,
        /// Where its record starts.
        offset: u64,
        /// The kind's number.
        kind: u8,
    },
    /// A type record holds an offset past the string section.
    #[error(
        ".BTF: type {id} at offset {offset}: word {word} is name offset {found}, the strings end at {limit}"
    )]
    NameOutOfRange {
        /// The type.
        id: TypeId,
        /// Where its record starts.
        offset: u64,
        /// Which 32-bit word of the record.
        word: usize,
        /// The name offset.
        found: u32,
        /// First offset that is no string.
        limit: u32,
    },
    /// A type record refers to a type that does not exist.
    #[error(
        ".BTF: type {id} at offset {offset}: word {word} refers to type {found}, there are {limit} types"
    )]
    TypeOutOfRange {
        /// The type.
        id: TypeId,
        /// Where its record starts.
        offset: u64,
        /// Which 32-bit word of the record.
        word: usize,
        /// The type referred to.
        found: TypeId,
        /// Number of types, void included.
        limit: u32,
    },
    /// A FUNC refers to something that is no FUNC_PROTO.
    #[error(".BTF: func {id} at offset {offset} refers to type {found}, which is no func_proto")]
    NotFuncProto {
        /// The FUNC.
        id: TypeId,
        /// Where its record starts.
        offset: u64,
        /// The type referred to.
        found: TypeId,
    },
    /// A type says something that makes no sense.
    #[error(".BTF: type {id} at offset {offset} {problem}")]
    Invalid {
        /// The type.
        id: TypeId,
        /// Where its record starts.
        offset: u64,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// There are more types or bytes than 31 bits can number.
    #[error(".BTF: too many {what}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
    },
    /// No type has this id.
    #[error("no type {id}, there are {len} types")]
    NoType {
        /// The id asked for.
        id: TypeId,
        /// Number of types, void included.
        len: u32,
    },
    /// No string starts at this offset.
    #[error("no string at offset {offset}, the strings end at {limit}")]
    NoString {
        /// The offset asked for.
        offset: u32,
        /// First offset that is no string.
        limit: u32,
    },
    /// A name is not UTF-8.
    #[error("the string at offset {offset} is not UTF-8")]
    NotUtf8 {
        /// Where the string starts.
        offset: u32,
        /// Where in it the bad byte is.
        source: std::str::Utf8Error,
    },
    /// A chain of references is too long, most likely a loop.
    #[error("type {id} refers to itself, or through more than {limit} types")]
    Depth {
        /// Where the walk started.
        id: TypeId,
        /// Steps allowed.
        limit: u32,
    },
    /// A walk over nested types took more steps than any real type needs.
    #[error("type {id}: comparing, measuring or printing it takes more than {limit} steps")]
    TooComplex {
        /// Where the walk started.
        id: TypeId,
        /// Steps allowed.
        limit: u32,
    },
    /// A type that contains itself, and not through a pointer.
    #[error("type {id} contains itself")]
    Cycle {
        /// The type.
        id: TypeId,
    },
    /// The text of types would be longer than what was allowed.
    #[error("type {id}: the text is longer than {limit} bytes")]
    TextTooLong {
        /// The type at which it became too long.
        id: TypeId,
        /// Bytes allowed.
        limit: usize,
    },
    /// A type without a size was asked for its size.
    #[error("type {id} is a {kind}, which has no size")]
    NoSize {
        /// The type that has none.
        id: TypeId,
        /// Its kind.
        kind: &'static str,
    },
    /// A type without an alignment was asked for its alignment.
    #[error("type {id} is a {kind}, which has no alignment")]
    NoAlignment {
        /// The type that has none.
        id: TypeId,
        /// Its kind.
        kind: &'static str,
    },
    /// The size of an array does not fit into 32 bits.
    #[error("type {id} is larger than 4 GiB")]
    SizeOverflow {
        /// Where the walk started.
        id: TypeId,
    },
    /// A type is of another kind than the operation works on.
    #[error("type {id} is a {found}, expected {expected}")]
    WrongKind {
        /// The type.
        id: TypeId,
        /// Its kind.
        found: &'static str,
        /// What was needed.
        expected: &'static str,
    },
    /// A value given to the builder cannot be written.
    #[error("cannot write {kind} `{name}`: {problem}")]
    Build {
        /// The kind being added or changed.
        kind: Kind,
        /// Its name.
        name: Box<str>,
        /// What is wrong with the value.
        problem: &'static str,
    },
    /// There are not as many new ids as types.
    #[error("{found} new ids for {expected} types")]
    PermutationLength {
        /// How many ids were given.
        found: usize,
        /// How many own types there are.
        expected: usize,
    },
    /// New ids for types are not each of the old ids once.
    #[error("the new ids of types are no permutation: {id} {problem}")]
    Permutation {
        /// The id that is wrong.
        id: TypeId,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A type of the base cannot be taken out of it, or found in another one.
    #[error("base BTF: {kind} `{name}` (type {id}) {problem}")]
    Base {
        /// The type, in the base that the BTF has.
        id: TypeId,
        /// Its kind.
        kind: &'static str,
        /// Its name; empty for an anonymous one.
        name: Box<str>,
        /// What is wrong.
        problem: &'static str,
    },
    /// A record would change its length, so it cannot be replaced in place.
    #[error("type {id} takes {found} words, its replacement {new}")]
    RecordLength {
        /// The type.
        id: TypeId,
        /// 32-bit words of the present record.
        found: usize,
        /// 32-bit words of the new one.
        new: usize,
    },
    /// A file has no BTF.
    #[error("no BTF: {what}")]
    NoBtf {
        /// What was found instead.
        what: &'static str,
    },
    /// The file that holds the BTF cannot be read.
    #[error("cannot read the file as {what}")]
    Container {
        /// ELF, or how the file is compressed.
        what: &'static str,
        /// Why.
        source: BoxedError,
    },
    /// The BTF can be read but not rewritten.
    #[error("unsupported: {what}")]
    Unsupported {
        /// What is not supported.
        what: &'static str,
    },
    /// A block of .BTF.ext is malformed.
    #[error(".BTF.ext: {segment} at offset {offset}: {problem} (found {found})")]
    Ext {
        /// `func_info`, `line_info` or `core_relo`.
        segment: &'static str,
        /// Where the bad value is.
        offset: u64,
        /// What is wrong.
        problem: &'static str,
        /// The bad value.
        found: u64,
    },
    /// The access string of a CO-RE relocation does not fit its type.
    #[error("CO-RE relocation of type {id}, access string `{access}`: {problem}")]
    AccessString {
        /// The local root type.
        id: TypeId,
        /// The access string.
        access: Box<str>,
        /// What is wrong.
        problem: &'static str,
    },
    /// A CO-RE relocation of a kind that does not exist.
    #[error("CO-RE relocation kind {0} is unknown")]
    RelocationKind(u32),
    /// A CO-RE relocation cannot be computed.
    #[error("CO-RE relocation {spec}: {problem}")]
    Relocation {
        /// The relocation as text.
        spec: Box<str>,
        /// What is wrong.
        problem: &'static str,
    },
    /// A CO-RE relocation could not be matched against a candidate.
    #[error("CO-RE relocation {spec}: matching candidate {candidate}")]
    Candidate {
        /// The relocation as text.
        spec: Box<str>,
        /// The candidate as text.
        candidate: Box<str>,
        /// Why.
        source: Box<Self>,
    },
    /// Two candidates match a CO-RE relocation and disagree.
    #[error(
        "CO-RE relocation {spec} is ambiguous: {first} gives {first_value}, {second} gives {second_value}"
    )]
    Ambiguous {
        /// The relocation as text.
        spec: Box<str>,
        /// The first candidate as text.
        first: Box<str>,
        /// What follows from it.
        first_value: Box<str>,
        /// The candidate that disagrees.
        second: Box<str>,
        /// What follows from that.
        second_value: Box<str>,
    },
    /// An ELF file, or the DWARF in it, cannot be read.
    #[error("cannot read {what}")]
    DebugInfo {
        /// Which part of it.
        what: Box<str>,
        /// Why.
        source: BoxedError,
    },
    /// A file has no DWARF.
    #[error("the file has no debug information: {problem}")]
    NoDebugInfo {
        /// What it has instead.
        problem: &'static str,
    },
    /// The BTF of the target's modules could not be had.
    #[error("cannot read the BTF of kernel modules")]
    Modules {
        /// Why.
        source: BoxedError,
    },
}

/// Results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
