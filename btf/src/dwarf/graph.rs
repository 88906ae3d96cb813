//! The types of some units as a graph, before they get ids.

use std::ops::Range;

use super::abi::{Compiler, Location};
use super::sections::Offset;
use crate::error::{Error, Result};

/// What a type is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Nothing of its own: what it refers to.
    Alias,
    /// An integer with `BTF_INT_*` flags.
    Int(u8),
    Float,
    Pointer,
    Const,
    Volatile,
    Restrict,
    Typedef,
    Array,
    Struct,
    Union,
    FwdStruct,
    FwdUnion,
    Enum,
    Prototype {
        variadic: bool,
    },
}

/// A slice of one of the lists of a [`Graph`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    start: u32,
    len: u32,
}

impl Span {
    pub(super) fn of<T>(self, list: &[T]) -> &[T] {
        let start = self.start as usize;
        let end = start.saturating_add(self.len as usize);
        list.get(start..end).unwrap_or_default()
    }

    pub(super) fn len(self) -> usize {
        self.len as usize
    }
}

/// A type.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    /// What it refers to.
    pub(super) ty: Offset,
    /// Bytes.
    pub(super) size: u64,
    /// Its name as an offset in the BTF.
    pub(super) name: u32,
    pub(super) shape: Shape,
    /// Members, values, parameters or dimensions, as the shape says.
    pub(super) list: Span,
    pub(super) notes: Span,
}

/// A member of a struct or union.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    pub(super) ty: Offset,
    pub(super) name: u32,
    /// Bits of a bit-field, or 0.
    pub(super) bits: u32,
    pub(super) place: Place,
}

/// Where a member is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// Bits from the start.
    Bits(u64),
    /// DWARF 2: bits from the most significant one of a storage unit at a byte offset. Its bytes
    /// are those of the type if they are 0 here.
    InUnit {
        byte: u64,
        storage: u64,
        from_top: i64,
    },
}

/// A value of an enum.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value {
    pub(super) value: i128,
    pub(super) name: u32,
}

/// A parameter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Param {
    pub(super) offset: Offset,
    pub(super) ty: Offset,
    /// The parameter that this one is an instance of.
    pub(super) origin: Offset,
    pub(super) name: u32,
    pub(super) location: Location,
}

/// An attribute (`btf_decl_tag`, `btf_type_tag`) of something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Note<'d> {
    /// Which member or parameter, or -1 for the whole.
    pub(super) component: i32,
    pub(super) text: NoteText<'d>,
}

/// What an attribute says.
#[derive(Clone, Copy, Debug)]
pub(super) enum NoteText<'d> {
    Tag(Tag<'d>),
    /// A chain of annotations starts at this entry.
    Chain(Offset),
}

/// One attribute.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tag<'d> {
    pub(super) text: &'d [u8],
    /// `btf_type_tag` rather than `btf_decl_tag`.
    pub(super) of_type: bool,
}

/// An annotation that others refer to, and the next one of the chain.
#[derive(Clone, Copy, Debug)]
pub(super) struct Annotation<'d> {
    pub(super) offset: Offset,
    pub(super) tag: Option<Tag<'d>>,
    pub(super) next: Offset,
}

/// A function.
#[derive(Clone, Copy, Debug)]
pub(super) struct Function<'d> {
    pub(super) offset: Offset,
    pub(super) name: &'d [u8],
    /// What it returns.
    pub(super) ty: Offset,
    /// The function that this one is an instance or the definition of.
    pub(super) origin: Offset,
    pub(super) address: Option<u64>,
    pub(super) declaration: bool,
    pub(super) external: bool,
    pub(super) variadic: bool,
    pub(super) compiler: Compiler,
    pub(super) params: Span,
    pub(super) notes: Span,
}

/// A variable outside of functions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Variable<'d> {
    pub(super) offset: Offset,
    pub(super) name: &'d [u8],
    pub(super) ty: Offset,
    /// The declaration that this is the definition of.
    pub(super) origin: Offset,
    pub(super) address: Option<u64>,
    pub(super) external: bool,
    pub(super) notes: Span,
}

/// A list whose runs are built one inside the other, and are contiguous once they are closed.
#[derive(Debug)]
pub(super) struct Runs<T> {
    open: Vec<T>,
    done: Vec<T>,
}

impl<T> Default for Runs<T> {
    fn default() -> Self {
        Self {
            open: Vec::new(),
            done: Vec::new(),
        }
    }
}

impl<T> Runs<T> {
    pub(super) fn push(&mut self, item: T) {
        self.open.push(item);
    }

    /// Where a new run starts.
    pub(super) fn mark(&self) -> usize {
        self.open.len()
    }

    /// Ends the run that started at a mark.
    pub(super) fn close(&mut self, mark: usize) -> Result<Span> {
        let start = self.done.len();
        let mark = mark.min(self.open.len());
        self.done.extend(self.open.drain(mark..));
        let u32_of = |len: usize| {
            u32::try_from(len).map_err(|_| Error::TooLarge {
                what: "entries of debug information",
            })
        };
        Ok(Span {
            start: u32_of(start)?,
            len: u32_of(self.done.len() - start)?,
        })
    }

    pub(super) fn items(&self) -> &[T] {
        &self.done
    }

    fn truncate(&mut self, len: usize) {
        self.open.clear();
        self.done.truncate(len);
    }
}

/// All that some units define.
#[derive(Debug)]
pub(super) struct Graph<'d> {
    /// The part of the sections that this is the graph of.
    range: Range<Offset>,
    /// For each byte of the range, one more than the index of the type that starts there.
    index: Vec<u32>,
    pub(super) nodes: Vec<Node>,
    pub(super) members: Runs<Member>,
    pub(super) values: Runs<Value>,
    pub(super) params: Runs<Param>,
    /// Elements of each dimension of arrays.
    pub(super) dimensions: Runs<u32>,
    pub(super) notes: Runs<Note<'d>>,
    pub(super) annotations: Vec<Annotation<'d>>,
    pub(super) functions: Vec<Function<'d>>,
    pub(super) variables: Vec<Variable<'d>>,
}

/// How long all lists of a graph are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Checkpoint([usize; 9]);

impl<'d> Graph<'d> {
    pub(super) fn new(range: Range<Offset>) -> Self {
        let bytes = range.end.saturating_sub(range.start) as usize;
        Self {
            range,
            index: vec![0; bytes],
            nodes: Vec::new(),
            members: Runs::default(),
            values: Runs::default(),
            params: Runs::default(),
            dimensions: Runs::default(),
            notes: Runs::default(),
            annotations: Vec::new(),
            functions: Vec::new(),
            variables: Vec::new(),
        }
    }

    /// Whether an entry at this offset would be in here.
    pub(super) fn covers(&self, offset: Offset) -> bool {
        self.range.contains(&offset)
    }

    /// Adds the type that starts at an offset; those are given in ascending order.
    pub(super) fn add(&mut self, offset: Offset, node: Node) -> usize {
        let number = self.nodes.len();
        let at = offset.wrapping_sub(self.range.start) as usize;
        if let Some(slot) = self.index.get_mut(at) {
            *slot = number as u32 + 1;
        }
        self.nodes.push(node);
        number
    }

    /// The number of the type that starts at an offset.
    pub(super) fn find(&self, offset: Offset) -> Option<usize> {
        let at = offset.checked_sub(self.range.start)?;
        let slot = self.index.get(usize::try_from(at).ok()?)?;
        slot.checked_sub(1).map(|number| number as usize)
    }

    pub(super) fn node(&self, offset: Offset) -> Option<&Node> {
        self.nodes.get(self.find(offset)?)
    }

    pub(super) fn function(&self, offset: Offset) -> Option<&Function<'d>> {
        let found = self.functions.binary_search_by_key(&offset, |f| f.offset);
        self.functions.get(found.ok()?)
    }

    pub(super) fn variable(&self, offset: Offset) -> Option<&Variable<'d>> {
        let found = self.variables.binary_search_by_key(&offset, |v| v.offset);
        self.variables.get(found.ok()?)
    }

    pub(super) fn annotation(&self, offset: Offset) -> Option<&Annotation<'d>> {
        let found = self.annotations.binary_search_by_key(&offset, |a| a.offset);
        self.annotations.get(found.ok()?)
    }

    /// The present state, for [`rollback`](Self::rollback).
    pub(super) fn checkpoint(&self) -> Checkpoint {
        let lens = [
            self.nodes.len(),
            self.members.items().len(),
            self.values.items().len(),
            self.params.items().len(),
            self.dimensions.items().len(),
            self.notes.items().len(),
            self.annotations.len(),
            self.functions.len(),
            self.variables.len(),
        ];
        Checkpoint(lens)
    }

    /// Forgets all that was added since, which is of the unit at `unit`.
    pub(super) fn rollback(&mut self, Checkpoint(lens): Checkpoint, unit: Range<Offset>) {
        let [
            nodes,
            members,
            values,
            params,
            dimensions,
            notes,
            annotations,
            functions,
            variables,
        ] = lens;
        self.nodes.truncate(nodes);
        self.members.truncate(members);
        self.values.truncate(values);
        self.params.truncate(params);
        self.dimensions.truncate(dimensions);
        self.notes.truncate(notes);
        self.annotations.truncate(annotations);
        self.functions.truncate(functions);
        self.variables.truncate(variables);
        let at = |offset: Offset| offset.saturating_sub(self.range.start) as usize;
        let (start, end) = (at(unit.start), at(unit.end).min(self.index.len()));
        if let Some(slots) = self.index.get_mut(start..end) {
            slots.fill(0);
        }
    }
}
