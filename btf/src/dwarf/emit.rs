//! The graph as BTF records.

use std::cell::Cell;

use super::graph::{Graph, Member, Node, Note, NoteText, Place, Shape, Tag};
use super::image::Image;
use super::names;
use super::options::{Dialect, Options};
use super::sections::Offset;
use crate::builder::BtfBuilder;
use crate::error::Result;
use crate::id::TypeId;
use crate::kind::Kind;
use crate::raw::{Endian, MAX_VLEN};
use crate::shape::Info;
use crate::types::IntEncoding;

/// Steps along a chain of references before it counts as a loop.
pub(super) const MAX_CHAIN: usize = 64;
/// Attributes in a chain.
const MAX_TAGS: usize = 16;
/// What pahole calls an integer that BTF cannot express. No type refers to those: they are steps
/// of computations.
const FAKE_INT: &str = "__SANITIZED_FAKE_INT__";
/// What clang calls the type of array indices, which takes 8 bytes in its DWARF and 4 in its BTF.
const CLANG_INDEX: &str = "__ARRAY_SIZE_TYPE__";
/// The bits that members beside bit-fields have for their offset.
const MAX_BIT_OFFSET: u64 = 0x00ff_ffff;

/// What [`Options`] and the file say about types.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) dialect: Dialect,
    pub(super) little_endian: bool,
    pub(super) floats: bool,
    pub(super) enum64: bool,
    pub(super) decl_tags: bool,
    pub(super) type_tags: bool,
}

impl Settings {
    pub(super) fn new(options: &Options, image: &Image<'_>) -> Self {
        let usual = match image.is_bpf {
            true => Dialect::Bpf,
            false => Dialect::Kernel,
        };
        Self {
            dialect: options.dialect.unwrap_or(usual),
            little_endian: Endian::from(image) == Endian::Little,
            floats: !options.no_floats,
            enum64: !options.no_enum64,
            decl_tags: !options.no_decl_tags,
            type_tags: !options.no_type_tags,
        }
    }
}

/// Writes the types of a graph behind those that a BTF has already.
pub(super) struct Emitter<'e, 'd> {
    pub(super) graph: &'e Graph<'d>,
    pub(super) btf: &'e mut BtfBuilder,
    pub(super) settings: Settings,
    /// The id of each node; that of an alias means nothing.
    ids: Vec<u32>,
    index: TypeId,
    /// Words of the record being written.
    words: Vec<u32>,
    pub(super) opaque: usize,
    dangling: Cell<usize>,
}

impl<'e, 'd> Emitter<'e, 'd> {
    /// Writes all types.
    pub(super) fn run(
        graph: &'e Graph<'d>,
        btf: &'e mut BtfBuilder,
        settings: Settings,
    ) -> Result<Self> {
        let mut emitter = Self {
            graph,
            btf,
            settings,
            ids: Vec::with_capacity(graph.nodes.len()),
            index: TypeId::VOID,
            words: Vec::new(),
            opaque: 0,
            dangling: Cell::new(0),
        };
        if graph.nodes.iter().any(|node| node.shape == Shape::Array) {
            emitter.index = match settings.dialect {
                Dialect::Kernel => emitter.btf.add_int("int", 4, IntEncoding::SIGNED)?,
                Dialect::Bpf => emitter.btf.add_int(CLANG_INDEX, 4, IntEncoding::UNSIGNED)?,
            };
        }
        let mut next = emitter.btf.len();
        for node in &graph.nodes {
            emitter.ids.push(next);
            next = next.saturating_add(emitter.records(node));
        }
        for node in &graph.nodes {
            emitter.emit(node)?;
        }
        if settings.decl_tags {
            for (number, node) in graph.nodes.iter().enumerate() {
                if matches!(node.shape, Shape::Struct | Shape::Union | Shape::Typedef) {
                    let id = emitter.ids.get(number).copied().unwrap_or(0);
                    let tags = emitter.tags(node.notes.of(graph.notes.items()));
                    for (component, tag) in tags.filter(|(_, tag)| !tag.of_type) {
                        add_decl_tag(emitter.btf, tag.text, TypeId(id), component)?;
                    }
                }
            }
        }
        Ok(emitter)
    }

    /// References that led nowhere.
    pub(super) fn dangling(&self) -> usize {
        self.dangling.get()
    }

    /// The id of the type at an offset.
    pub(super) fn id(&self, offset: Offset) -> TypeId {
        let mut at = offset;
        for _ in 0..MAX_CHAIN {
            if at == 0 {
                return TypeId::VOID;
            }
            let Some(number) = self.graph.find(at) else {
                break;
            };
            match (self.graph.nodes.get(number), self.ids.get(number)) {
                (Some(node), _) if node.shape == Shape::Alias => at = node.ty,
                (Some(_), Some(id)) => return TypeId(*id),
                _ => break,
            }
        }
        self.dangling.set(self.dangling.get().saturating_add(1));
        TypeId::VOID
    }

    /// Bytes of the type at an offset, as far as they are known.
    pub(super) fn size_of(&self, offset: Offset) -> Option<u64> {
        let mut at = offset;
        let mut count = 1u64;
        for _ in 0..MAX_CHAIN {
            let node = self.graph.node(at)?;
            match node.shape {
                Shape::Alias
                | Shape::Typedef
                | Shape::Const
                | Shape::Volatile
                | Shape::Restrict => {}
                Shape::Array if node.size == 0 => {
                    count = count.saturating_mul(self.elements(node).into());
                }
                _ => return node.size.checked_mul(count),
            }
            at = node.ty;
        }
        None
    }

    /// Elements of an array in all dimensions together.
    fn elements(&self, node: &Node) -> u32 {
        let dimensions = node.list.of(self.graph.dimensions.items());
        dimensions.iter().copied().fold(1, u32::saturating_mul)
    }

    /// Attributes, those in chains included; a chain belongs to the component that it starts from.
    pub(super) fn tags(
        &self,
        notes: &'e [Note<'d>],
    ) -> impl Iterator<Item = (i32, Tag<'d>)> + use<'e, 'd> {
        let graph = self.graph;
        notes.iter().flat_map(move |note| {
            let (first, chain) = match note.text {
                NoteText::Tag(tag) => (Some(tag), 0),
                NoteText::Chain(offset) => (None, offset),
            };
            let step = move |offset: &Offset| {
                let annotation = graph.annotation(*offset)?;
                Some(annotation.next)
            };
            let chain = std::iter::successors(Some(chain), step).take(MAX_TAGS);
            let chained = chain.filter_map(move |offset| graph.annotation(offset)?.tag);
            first
                .into_iter()
                .chain(chained)
                .map(|tag| (note.component, tag))
        })
    }

    /// The `btf_type_tag` attributes of a pointer, the one nearest to the `*` first.
    fn type_tags(&self, node: &Node) -> Vec<&'d [u8]> {
        if !self.settings.type_tags || node.notes.len() == 0 {
            return Vec::new();
        }
        let notes = node.notes.of(self.graph.notes.items());
        let of_type = |(_, tag): (i32, Tag<'d>)| tag.of_type.then_some(tag.text);
        // Children are in the order of the source, chains in that of BTF; there are never both.
        let is_chain = |note: &Note<'_>| matches!(note.text, NoteText::Chain(_));
        let mut tags: Vec<_> = self.tags(notes).filter_map(of_type).collect();
        if !notes.iter().any(is_chain) {
            tags.reverse();
        }
        tags
    }

    /// How many records a node becomes.
    fn records(&self, node: &Node) -> u32 {
        match node.shape {
            Shape::Alias => 0,
            Shape::Pointer => 1 + self.type_tags(node).len() as u32,
            Shape::Array if self.settings.dialect == Dialect::Bpf => node.list.len().max(1) as u32,
            _ => 1,
        }
    }

    fn push(&mut self, kind: Kind, flag: bool, name: u32, third: u32) -> Result<TypeId> {
        self.btf.push(name, Info::new(kind, flag, 0), third, &[])
    }

    /// Writes a record whose further words are in `self.words`.
    fn push_words(&mut self, info: Info, name: u32, third: u32) -> Result<TypeId> {
        self.btf.push(name, info, third, &self.words)
    }

    fn emit(&mut self, node: &Node) -> Result<()> {
        let refer = |this: &mut Self, kind, name| {
            let id = this.id(node.ty);
            this.push(kind, false, name, id.0)
        };
        let last = match node.shape {
            Shape::Alias => return Ok(()),
            Shape::Int(encoding) => self.emit_int(node, encoding),
            Shape::Float => self.emit_float(node),
            Shape::Pointer => self.emit_pointer(node),
            Shape::Const => refer(self, Kind::Const, 0),
            Shape::Volatile => refer(self, Kind::Volatile, 0),
            Shape::Restrict => refer(self, Kind::Restrict, 0),
            Shape::Typedef => refer(self, Kind::Typedef, node.name),
            Shape::Array => self.emit_array(node),
            Shape::Struct => self.emit_composite(node, Kind::Struct),
            Shape::Union => self.emit_composite(node, Kind::Union),
            Shape::FwdStruct => self.push(Kind::Fwd, false, node.name, 0),
            Shape::FwdUnion => self.push(Kind::Fwd, true, node.name, 0),
            Shape::Enum => self.emit_enum(node),
            Shape::Prototype { variadic } => self.emit_prototype(node, variadic),
        };
        last.map(drop)
    }

    fn emit_int(&mut self, node: &Node, encoding: u8) -> Result<TypeId> {
        let (mut name, mut size) = (node.name, node.size);
        if !matches!(size, 1 | 2 | 4 | 8 | 16) {
            (name, size) = (0, 4);
        }
        if name == 0 {
            name = self.btf.add_str(FAKE_INT)?;
        }
        if self.settings.dialect == Dialect::Bpf && name == self.btf.add_str(CLANG_INDEX)? {
            size = 4;
        }
        self.words.clear();
        let bits = size as u32 * 8;
        self.words.push((u32::from(encoding) << 24) | bits);
        self.push_words(Info::new(Kind::Int, false, 0), name, size as u32)
    }

    fn emit_float(&mut self, node: &Node) -> Result<TypeId> {
        match node.size {
            _ if !self.settings.floats || node.name == 0 => self.emit_int(node, 0),
            2 | 4 | 8 | 12 | 16 => self.push(Kind::Float, false, node.name, node.size as u32),
            _ => self.emit_opaque(node, Kind::Struct),
        }
    }

    /// The pointer, then its attributes, each of which refers to the next.
    fn emit_pointer(&mut self, node: &Node) -> Result<TypeId> {
        let to = self.id(node.ty).0;
        let tags = self.type_tags(node);
        let next = |this: &Self, left: usize| match left {
            0 => to,
            _ => this.btf.len().saturating_add(1),
        };
        let mut last = self.push(Kind::Ptr, false, 0, next(self, tags.len()))?;
        for (left, tag) in (0..tags.len()).rev().zip(&tags) {
            let name = names::add(self.btf, tag)?;
            last = self.push(Kind::TypeTag, false, name, next(self, left))?;
        }
        Ok(last)
    }

    /// One array for all dimensions, or one inside the other, the outermost first.
    fn emit_array(&mut self, node: &Node) -> Result<TypeId> {
        let elem = self.id(node.ty).0;
        let nests = self.settings.dialect == Dialect::Bpf && node.list.len() > 1;
        let flat = [self.elements(node)];
        let dimensions = match nests {
            true => node.list.of(self.graph.dimensions.items()),
            false => &flat,
        };
        let mut last = TypeId::VOID;
        for (left, count) in (0..dimensions.len()).rev().zip(dimensions) {
            let inner = match left {
                0 => elem,
                _ => self.btf.len().saturating_add(1),
            };
            self.words.clear();
            self.words.extend([inner, self.index.0, *count]);
            last = self.push_words(Info::new(Kind::Array, false, 0), 0, 0)?;
        }
        Ok(last)
    }

    /// Something of a name and a size, because BTF has no words for what is in it.
    fn emit_opaque(&mut self, node: &Node, kind: Kind) -> Result<TypeId> {
        self.opaque = self.opaque.saturating_add(1);
        let size = u32::try_from(node.size).unwrap_or(u32::MAX);
        self.push(kind, false, node.name, size)
    }

    fn emit_composite(&mut self, node: &Node, kind: Kind) -> Result<TypeId> {
        let members = node.list.of(self.graph.members.items());
        let is_bitfield =
            |member: &Member, offset: u64| member.bits != 0 || !offset.is_multiple_of(8);
        self.words.clear();
        let mut flag = false;
        let mut fits = members.len() <= MAX_VLEN as usize;
        for member in members {
            let Some(offset) = self.bit_offset(member) else {
                fits = false;
                break;
            };
            flag |= is_bitfield(member, offset);
            fits &= u32::try_from(offset).is_ok() && (kind == Kind::Struct || offset == 0);
            let ty = self.id(member.ty);
            self.words.extend([member.name, ty.0, offset as u32]);
        }
        if flag {
            // The sizes of bit-fields share a word with the offsets.
            for (member, words) in members.iter().zip(self.words.as_chunks_mut::<3>().0) {
                let [_, _, offset] = words;
                let at = u64::from(*offset);
                fits &= at <= MAX_BIT_OFFSET && member.bits <= u8::MAX.into();
                fits &= member.bits != 0 || !is_bitfield(member, at);
                *offset |= member.bits << 24;
            }
        }
        match u32::try_from(node.size) {
            Ok(size) if fits => {
                let info = Info::new(kind, flag, members.len() as u32);
                self.push_words(info, node.name, size)
            }
            _ => self.emit_opaque(node, kind),
        }
    }

    /// Bits from the start of a struct to a member.
    fn bit_offset(&self, member: &Member) -> Option<u64> {
        let (byte, storage, from_top) = match member.place {
            Place::Bits(bits) => return Some(bits),
            Place::InUnit {
                byte,
                storage,
                from_top,
            } => (byte, storage, from_top),
        };
        let first = i128::from(byte) * 8;
        let inside = match self.settings.little_endian {
            true => {
                let storage = match storage {
                    0 => self.size_of(member.ty)?,
                    given => given,
                };
                i128::from(storage) * 8 - i128::from(from_top) - i128::from(member.bits)
            }
            false => from_top.into(),
        };
        u64::try_from(first + inside).ok()
    }

    fn emit_enum(&mut self, node: &Node) -> Result<TypeId> {
        let values = node.list.of(self.graph.values.items());
        let values = values.iter().filter(|value| value.name != 0);
        let count = values.clone().count();
        if !matches!(node.size, 1 | 2 | 4 | 8) || count > MAX_VLEN as usize {
            return self.emit_opaque(node, Kind::Struct);
        }
        let wide = node.size == 8 && self.settings.enum64;
        let mut signed = values.clone().any(|value| value.value < 0);
        if wide {
            let underlying = self.graph.node(node.ty).map(|node| node.shape);
            signed |= underlying == Some(Shape::Int(IntEncoding::SIGNED.0));
        }
        self.words.clear();
        for value in values {
            let bits = value.value as u64;
            self.words.extend([value.name, bits as u32]);
            if wide {
                self.words.push((bits >> 32) as u32);
            }
        }
        let kind = if wide { Kind::Enum64 } else { Kind::Enum };
        let info = Info::new(kind, signed, count as u32);
        self.push_words(info, node.name, node.size as u32)
    }

    fn emit_prototype(&mut self, node: &Node, variadic: bool) -> Result<TypeId> {
        let params = node.list.of(self.graph.params.items());
        let params: Vec<_> = params.iter().map(|param| (param.name, param.ty)).collect();
        self.add_prototype(node.ty, &params, variadic)
    }

    /// Adds the type of a function: what it returns, and name and type of each parameter.
    pub(super) fn add_prototype(
        &mut self,
        ret: Offset,
        params: &[(u32, Offset)],
        variadic: bool,
    ) -> Result<TypeId> {
        // What is past the limit goes the way of all parameters without a name.
        let limit = MAX_VLEN as usize - 1;
        let variadic = variadic || params.len() > limit;
        self.words.clear();
        for (name, ty) in params.iter().take(limit) {
            let ty = self.id(*ty);
            self.words.extend([*name, ty.0]);
        }
        if variadic {
            self.words.extend([0, 0]);
        }
        let info = Info::new(Kind::FuncProto, false, self.words.len() as u32 / 2);
        let ret = self.id(ret);
        self.push_words(info, 0, ret.0)
    }
}

/// Adds an attribute of a declaration; an empty one has no place in BTF.
pub(super) fn add_decl_tag(
    btf: &mut BtfBuilder,
    text: &[u8],
    ty: TypeId,
    component: i32,
) -> Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    let name = names::add(btf, text)?;
    let info = Info::new(Kind::DeclTag, false, 0);
    btf.push(name, info, ty.0, &[component.cast_unsigned()])?;
    Ok(())
}
