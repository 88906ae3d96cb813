//! The entries of one unit as a part of the graph.

use gimli::{AttributeSpecification, EntriesRaw, constants as c};

use super::abi::{Compiler, Location};
use super::attrs::Attrs;
use super::graph::{
    Annotation, Function, Graph, Member, Node, Note, NoteText, Param, Place, Shape, Span, Tag,
    Value, Variable,
};
use super::location;
use super::names::{Names, Text};
use super::sections::{Offset, Slice};
use super::unit::Unit;
use super::uses::{Use, use_of};
use crate::builder::BtfBuilder;
use crate::error::{Error, Result};
use crate::types::IntEncoding;

/// Entries inside each other; real ones are some dozens.
const MAX_DEPTH: usize = 1024;
/// Attributes of all entries, as a multiple of the bytes of a unit. Some take no bytes, but an entry
/// has few of those.
const MOST_ATTRIBUTES: usize = 16;

/// What an open entry is to those inside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Nothing but a place where types may be.
    Block,
    /// Where functions and variables are that everybody sees.
    Scope,
    Type(usize),
    Function(usize),
    Variable(usize),
    /// A member or parameter, by its number in what is around it.
    Component(i32),
}

/// An open entry.
#[derive(Clone, Copy, Debug)]
struct Frame {
    depth: isize,
    role: Role,
    members: usize,
    values: usize,
    params: usize,
    dimensions: usize,
    notes: usize,
}

/// Reads a unit into the graph; says whether it refers to entries that the graph does not cover.
///
/// After an error, what it added is to be rolled back.
pub(super) fn read<'d>(
    unit: &Unit<'_, 'd>,
    graph: &mut Graph<'d>,
    names: &mut Names,
    btf: &mut BtfBuilder,
) -> Result<bool> {
    let mut reader = Reader {
        unit,
        graph,
        names,
        btf,
        frames: Vec::new(),
        leaves: false,
    };
    let entries = unit.header.entries_raw(unit.abbreviations, None);
    let mut entries = entries.map_err(|source| at(unit.start, source))?;
    let bytes = unit.header.length_including_self();
    let mut attributes = bytes.saturating_mul(MOST_ATTRIBUTES);
    while !entries.is_empty() {
        let offset = unit.start.saturating_add(entries.next_offset().0 as u64);
        let depth = entries.next_depth();
        let abbreviation = entries.read_abbreviation();
        let Some(abbreviation) = abbreviation.map_err(|source| at(offset, source))? else {
            continue;
        };
        reader.close(depth)?;
        let specs = abbreviation.attributes();
        let Some(left) = attributes.checked_sub(specs.len()) else {
            return Err(Error::Unsupported {
                what: "debug information with more attributes than bytes",
            });
        };
        attributes = left;
        let role = match use_of(abbreviation.tag()) {
            Use::Look => skip(&mut entries, specs, Role::Block),
            Use::Scope => skip(&mut entries, specs, Role::Scope),
            what => match Attrs::read(unit, &mut entries, specs) {
                Ok(attrs) => {
                    let frame = reader.open(depth)?;
                    reader.enter(frame, offset, what, &attrs)?;
                    continue;
                }
                Err(source) => Err(source),
            },
        };
        let role = role.map_err(|source| at(offset, source))?;
        if abbreviation.has_children() {
            let frame = reader.open(depth)?;
            reader.frames.push(Frame { role, ..frame });
        }
    }
    reader.close(isize::MIN)?;
    Ok(reader.leaves)
}

fn skip(
    entries: &mut EntriesRaw<'_, Slice<'_>>,
    specs: &[AttributeSpecification],
    role: Role,
) -> gimli::Result<Role> {
    entries.skip_attributes(specs).map(|()| role)
}

/// An error of an entry.
fn at(offset: Offset, source: gimli::Error) -> Error {
    Error::DebugInfo {
        what: format!("the entry at offset {offset:#x}").into(),
        source: source.into(),
    }
}

struct Reader<'r, 'u, 'd> {
    unit: &'r Unit<'u, 'd>,
    graph: &'r mut Graph<'d>,
    names: &'r mut Names,
    btf: &'r mut BtfBuilder,
    frames: Vec<Frame>,
    /// Whether a reference leaves the graph.
    leaves: bool,
}

impl<'d> Reader<'_, '_, 'd> {
    /// What an entry is in.
    fn around(&self) -> Role {
        self.frames.last().map_or(Role::Block, |frame| frame.role)
    }

    /// A frame for an entry, to be filled in.
    fn open(&self, depth: isize) -> Result<Frame> {
        if self.frames.len() >= MAX_DEPTH {
            return Err(Error::Unsupported {
                what: "debug information with more than 1024 entries inside each other",
            });
        }
        Ok(Frame {
            depth,
            role: Role::Block,
            members: self.graph.members.mark(),
            values: self.graph.values.mark(),
            params: self.graph.params.mark(),
            dimensions: self.graph.dimensions.mark(),
            notes: self.graph.notes.mark(),
        })
    }

    /// Closes all entries that one at this depth is not in.
    fn close(&mut self, depth: isize) -> Result<()> {
        while let Some(frame) = self.frames.pop_if(|frame| frame.depth >= depth) {
            let graph = &mut *self.graph;
            match frame.role {
                Role::Type(number) => {
                    let notes = graph.notes.close(frame.notes)?;
                    if let Some(node) = graph.nodes.get_mut(number) {
                        node.notes = notes;
                        node.list = match node.shape {
                            Shape::Struct | Shape::Union => graph.members.close(frame.members)?,
                            Shape::Enum => graph.values.close(frame.values)?,
                            Shape::Prototype { .. } => graph.params.close(frame.params)?,
                            Shape::Array => graph.dimensions.close(frame.dimensions)?,
                            _ => Span::default(),
                        };
                    }
                }
                Role::Function(number) => {
                    let params = graph.params.close(frame.params)?;
                    let notes = graph.notes.close(frame.notes)?;
                    if let Some(function) = graph.functions.get_mut(number) {
                        (function.params, function.notes) = (params, notes);
                    }
                }
                Role::Variable(number) => {
                    let notes = graph.notes.close(frame.notes)?;
                    if let Some(variable) = graph.variables.get_mut(number) {
                        variable.notes = notes;
                    }
                }
                Role::Block | Role::Scope | Role::Component(_) => {}
            }
        }
        Ok(())
    }

    /// Takes in an entry that means something.
    fn enter(&mut self, frame: Frame, offset: Offset, what: Use, attrs: &Attrs<'d>) -> Result<()> {
        for target in [attrs.ty, attrs.origin, attrs.signature, attrs.annotation] {
            self.leaves |= target != 0 && !self.graph.covers(target);
        }
        let role = match what {
            Use::Look | Use::Scope => Role::Block,
            Use::Type(shape) => self.add_type(offset, shape, attrs)?,
            Use::Subrange => match self.node_around() {
                Some(Shape::Array) => {
                    self.graph.dimensions.push(attrs.count.unwrap_or(0));
                    Role::Block
                }
                _ => self.add_type(offset, Shape::Alias, attrs)?,
            },
            Use::Member => self.add_member(offset, attrs)?,
            Use::Value => self.add_value(attrs)?,
            Use::Param => self.add_param(offset, attrs)?,
            Use::MoreParams => self.add_more_params(),
            Use::Function => self.add_function(offset, attrs),
            Use::Variable => self.add_variable(offset, attrs),
            Use::Annotation => self.add_annotation(offset, attrs),
        };
        self.frames.push(Frame { role, ..frame });
        let component = match role {
            Role::Type(_) | Role::Function(_) | Role::Variable(_) => -1,
            Role::Component(number) => number,
            Role::Block | Role::Scope => return Ok(()),
        };
        if attrs.annotation != 0 {
            let text = NoteText::Chain(attrs.annotation);
            self.graph.notes.push(Note { component, text });
        }
        Ok(())
    }

    /// The shape of the type that an entry is in.
    fn node_around(&self) -> Option<Shape> {
        match self.around() {
            Role::Type(number) => Some(self.graph.nodes.get(number)?.shape),
            _ => None,
        }
    }

    fn name(&mut self, text: Text<'d>) -> Result<u32> {
        self.names.add(self.btf, self.unit.dwarf, text)
    }

    fn add_type(&mut self, offset: Offset, shape: Shape, attrs: &Attrs<'d>) -> Result<Role> {
        let mut node = Node {
            ty: attrs.ty,
            size: attrs.byte_size.unwrap_or(0),
            name: self.name(attrs.name)?,
            shape,
            list: Span::default(),
            notes: Span::default(),
        };
        if node.name == 0 && attrs.origin != 0 {
            node.name = self.graph.node(attrs.origin).map_or(0, |node| node.name);
        }
        match shape {
            Shape::Int(_) => {
                node.shape = base_type(attrs.encoding);
                if attrs.byte_size.is_none() {
                    node.size = attrs.bit_size.unwrap_or(0).div_ceil(8);
                }
            }
            Shape::Pointer if attrs.byte_size.is_none() => {
                node.size = self.unit.header.address_size().into();
            }
            Shape::Typedef if node.name == 0 => node.shape = Shape::Alias,
            // The definition is in a type unit.
            _ if attrs.signature != 0 => {
                (node.ty, node.shape) = (attrs.signature, Shape::Alias);
            }
            Shape::Struct | Shape::Union if attrs.is_declaration => {
                node.shape = match shape {
                    _ if node.name == 0 => Shape::Alias,
                    Shape::Struct => Shape::FwdStruct,
                    _ => Shape::FwdUnion,
                };
            }
            // What pahole takes an enum for that does not say.
            Shape::Enum if node.size == 0 => node.size = 4,
            _ => {}
        }
        Ok(Role::Type(self.graph.add(offset, node)))
    }

    fn add_member(&mut self, offset: Offset, attrs: &Attrs<'d>) -> Result<Role> {
        let (Some(shape @ (Shape::Struct | Shape::Union)), Some(frame)) =
            (self.node_around(), self.frames.last())
        else {
            return Ok(Role::Block);
        };
        let number = self.graph.members.mark().saturating_sub(frame.members);
        let byte = match attrs.member_offset {
            None if shape == Shape::Union => Some(0),
            byte => byte,
        };
        let place = match (attrs.data_bit_offset, byte, attrs.bit_offset) {
            (Some(bits), _, _) => Place::Bits(bits),
            (None, Some(byte), Some(from_top)) => Place::InUnit {
                byte,
                storage: attrs.byte_size.unwrap_or(0),
                from_top,
            },
            (None, Some(byte), None) => Place::Bits(byte.saturating_mul(8)),
            // A static member, which is a variable, or a base class that is virtual.
            (None, None, _) => return Ok(self.add_variable(offset, attrs)),
        };
        let member = Member {
            ty: attrs.ty,
            name: self.name(attrs.name)?,
            bits: attrs
                .bit_size
                .map_or(0, |bits| u32::try_from(bits).unwrap_or(u32::MAX)),
            place,
        };
        self.graph.members.push(member);
        Ok(component(number))
    }

    fn add_value(&mut self, attrs: &Attrs<'d>) -> Result<Role> {
        if self.node_around() == Some(Shape::Enum) {
            let value = Value {
                value: attrs.value.unwrap_or(0),
                name: self.name(attrs.name)?,
            };
            self.graph.values.push(value);
        }
        Ok(Role::Block)
    }

    fn add_param(&mut self, offset: Offset, attrs: &Attrs<'d>) -> Result<Role> {
        let is_prototype = matches!(self.node_around(), Some(Shape::Prototype { .. }));
        let Some(frame) = self.frames.last() else {
            return Ok(Role::Block);
        };
        if !is_prototype && !matches!(frame.role, Role::Function(_)) {
            return Ok(Role::Block);
        }
        let number = self.graph.params.mark().saturating_sub(frame.params);
        let location = match attrs.location {
            Some(value) => location::read(self.unit, &value),
            None => Location::default(),
        };
        let param = Param {
            offset,
            ty: attrs.ty,
            origin: attrs.origin,
            name: self.name(attrs.name)?,
            location: Location {
                is_constant: attrs.value.is_some() || attrs.text != Text::None,
                ..location
            },
        };
        self.graph.params.push(param);
        Ok(component(number))
    }

    fn add_more_params(&mut self) -> Role {
        match self.around() {
            Role::Type(number) => {
                if let Some(node) = self.graph.nodes.get_mut(number)
                    && let Shape::Prototype { variadic } = &mut node.shape
                {
                    *variadic = true;
                }
            }
            Role::Function(number) => {
                if let Some(function) = self.graph.functions.get_mut(number) {
                    function.variadic = true;
                }
            }
            _ => {}
        }
        Role::Block
    }

    fn add_function(&mut self, offset: Offset, attrs: &Attrs<'d>) -> Role {
        let number = self.graph.functions.len();
        self.graph.functions.push(Function {
            offset,
            name: attrs.name.bytes(self.unit.dwarf),
            ty: attrs.ty,
            origin: attrs.origin,
            address: attrs.address,
            declaration: attrs.is_declaration,
            external: attrs.is_external,
            variadic: false,
            compiler: Compiler {
                is_clang: self.unit.is_clang,
                has_changed: attrs.is_changed,
            },
            params: Span::default(),
            notes: Span::default(),
        });
        Role::Function(number)
    }

    fn add_variable(&mut self, offset: Offset, attrs: &Attrs<'d>) -> Role {
        if !matches!(self.around(), Role::Scope | Role::Type(_)) || attrs.is_artificial {
            return Role::Block;
        }
        let number = self.graph.variables.len();
        self.graph.variables.push(Variable {
            offset,
            name: attrs.name.bytes(self.unit.dwarf),
            ty: attrs.ty,
            origin: attrs.origin,
            address: attrs
                .location
                .filter(|_| !attrs.is_declaration)
                .and_then(|value| self.unit.address(&value)),
            external: attrs.is_external,
            notes: Span::default(),
        });
        Role::Variable(number)
    }

    fn add_annotation(&mut self, offset: Offset, attrs: &Attrs<'d>) -> Role {
        let tag = match attrs.name.bytes(self.unit.dwarf) {
            b"btf_decl_tag" => Some(false),
            b"btf_type_tag" => Some(true),
            _ => None,
        };
        let text = attrs.text.bytes(self.unit.dwarf);
        let is_name = !text.is_empty() && std::str::from_utf8(text).is_ok();
        let tag = tag.filter(|_| is_name).map(|of_type| Tag { text, of_type });
        let component = match self.around() {
            Role::Type(_) | Role::Function(_) | Role::Variable(_) => -1,
            Role::Component(number) => number,
            Role::Block | Role::Scope => {
                let next = attrs.annotation;
                self.graph
                    .annotations
                    .push(Annotation { offset, tag, next });
                return Role::Block;
            }
        };
        if let Some(tag) = tag {
            let text = NoteText::Tag(tag);
            self.graph.notes.push(Note { component, text });
        }
        Role::Block
    }
}

fn component(number: usize) -> Role {
    Role::Component(i32::try_from(number).unwrap_or(i32::MAX))
}

fn base_type(encoding: Option<gimli::DwAte>) -> Shape {
    match encoding.unwrap_or(c::DW_ATE_unsigned) {
        c::DW_ATE_signed | c::DW_ATE_signed_char => Shape::Int(IntEncoding::SIGNED.0),
        c::DW_ATE_boolean => Shape::Int(IntEncoding::BOOL.0),
        c::DW_ATE_float => Shape::Float,
        // BTF has no such numbers: something of that name and size.
        c::DW_ATE_complex_float | c::DW_ATE_imaginary_float => Shape::Struct,
        _ => Shape::Int(IntEncoding::UNSIGNED.0),
    }
}
