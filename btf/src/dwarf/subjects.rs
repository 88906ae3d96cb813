//! Functions and variables of a graph, before it is known which of them stay.

use super::abi::{Compiler, Passed};
use super::emit::{Emitter, MAX_CHAIN};
use super::graph::{Function, Note, Param, Shape, Tag, Variable};
use super::image::Image;
use super::options::{Functions, Options, Variables};
use super::sections::Offset;
use crate::error::Result;
use crate::id::TypeId;
use crate::types::Linkage;

/// Entries that say the rest of each other before it counts as a loop.
const MAX_ORIGINS: usize = 8;
/// Variables that the kernel's macros make, and nobody looks for.
const MACHINERY: [&[u8]; 5] = [
    b"__UNIQUE_ID",
    b"__tpstrtab_",
    b"__exitcall_",
    b"__gendwarfksyms_ptr_",
    b"__func_stack_frame_non_standard_",
];
/// The longest name that the kernel takes, with its NUL.
const MAX_NAME: usize = 512;

/// A function that may be encoded; `'d` is the life of the debug sections.
#[derive(Clone, Debug)]
pub(super) struct FunctionSubject<'d> {
    pub(super) name: &'d [u8],
    pub(super) proto: TypeId,
    pub(super) address: Option<u64>,
    pub(super) linkage: Linkage,
    /// Whether the parameters are in another order than in the source.
    pub(super) is_reordered: bool,
    /// Whether one is in another register than it should be.
    pub(super) is_displaced: bool,
    /// Whether one is missing because the compiler changed the function.
    pub(super) is_optimized: bool,
    /// `btf_decl_tag` attributes: of which parameter, or -1, and what.
    pub(super) tags: Vec<(i32, &'d [u8])>,
}

/// A variable that may be encoded.
#[derive(Clone, Debug)]
pub(super) struct VariableSubject<'d> {
    /// The number of its section among the image's places.
    pub(super) section: usize,
    pub(super) offset: u32,
    pub(super) size: u32,
    pub(super) name: &'d [u8],
    pub(super) ty: TypeId,
    pub(super) linkage: Linkage,
    pub(super) tags: Vec<(i32, &'d [u8])>,
}

/// What may be encoded of a graph besides its types.
#[derive(Clone, Debug, Default)]
pub(super) struct Subjects<'d> {
    pub(super) functions: Vec<FunctionSubject<'d>>,
    pub(super) variables: Vec<VariableSubject<'d>>,
}

impl<'d> Subjects<'d> {
    /// Gives all types new ids.
    pub(super) fn renumber(&mut self, new: impl Fn(TypeId) -> TypeId) {
        for function in &mut self.functions {
            function.proto = new(function.proto);
        }
        for variable in &mut self.variables {
            variable.ty = new(variable.ty);
        }
    }

    pub(super) fn append(&mut self, mut other: Self) {
        self.functions.append(&mut other.functions);
        self.variables.append(&mut other.variables);
    }

    /// Finds all of them, and writes the prototypes of the functions behind the types.
    pub(super) fn collect(
        emitter: &mut Emitter<'_, 'd>,
        image: &Image<'_>,
        options: &Options,
    ) -> Result<Self> {
        let mut subjects = Self::default();
        if options.functions != Functions::None {
            for function in &emitter.graph.functions {
                subjects
                    .functions
                    .extend(emitter.function(function, image)?);
            }
        }
        if options.variables != Variables::None {
            let wanted = emitter.graph.variables.iter();
            let found = wanted.filter_map(|variable| emitter.variable(variable, image, options));
            subjects.variables = found.collect();
        }
        Ok(subjects)
    }
}

impl<'d> Emitter<'_, 'd> {
    fn function(
        &mut self,
        function: &Function<'d>,
        image: &Image<'_>,
    ) -> Result<Option<FunctionSubject<'d>>> {
        let graph = self.graph;
        let entries = origins(*function, |f| graph.function(f.origin).copied());
        let external = entries.iter().any(|f| f.external);
        let Some(name) = function_name(&entries, external, image) else {
            return Ok(None);
        };
        let own = function.params.of(graph.params.items());
        let mut params = Vec::with_capacity(own.len());
        let mut is_reordered = false;
        let mut passed = Vec::with_capacity(own.len());
        for (number, param) in own.iter().enumerate() {
            let (number_there, whole) = self.param(&entries, number, param);
            is_reordered |= number_there != number;
            if whole.name == 0 {
                return Ok(None);
            }
            params.push((whole.name, whole.ty));
            passed.push(Passed {
                size: self.size_of(whole.ty).unwrap_or(0),
                location: param.location,
                is_struct: self.is_struct(whole.ty),
            });
        }
        let compiler = Compiler {
            has_changed: entries.iter().any(|f| f.compiler.has_changed),
            ..function.compiler
        };
        let verdict = image.abi.judge(&passed, compiler);
        let may_change = match function.address {
            Some(address) => {
                compiler.is_clang && compiler.has_changed || image.functions.is_changed(address)
            }
            // It has no code, or not all in one place: no symbol tells what became of it.
            None => false,
        };
        let ret = entries.iter().map(|f| f.ty).find(|ty| *ty != 0);
        let proto = self.add_prototype(ret.unwrap_or(0), &params, function.variadic)?;
        let notes = entries
            .iter()
            .map(|f| f.notes)
            .find(|notes| notes.len() != 0);
        let notes = notes.unwrap_or_default().of(graph.notes.items());
        Ok(Some(FunctionSubject {
            name,
            proto,
            address: function.address,
            linkage: linkage(external),
            is_reordered,
            is_displaced: verdict.is_elsewhere,
            is_optimized: verdict.is_missing && may_change,
            tags: self.decl_tags(notes),
        }))
    }

    /// Whether a type is a struct, perhaps behind `const` and typedefs.
    fn is_struct(&self, ty: Offset) -> bool {
        let step = |at: &Offset| {
            let node = self.graph.node(*at)?;
            let is_name = matches!(node.shape, Shape::Const | Shape::Typedef | Shape::Alias);
            is_name.then_some(node.ty)
        };
        let last = std::iter::successors(Some(ty), step).take(MAX_CHAIN).last();
        let node = last.and_then(|at| self.graph.node(at));
        node.is_some_and(|node| node.shape == Shape::Struct)
    }

    /// A parameter with all that it says of itself elsewhere, and its number there.
    fn param(&self, functions: &[Function<'d>], number: usize, param: &Param) -> (usize, Param) {
        let mut whole = *param;
        let mut number = number;
        for _ in 0..MAX_ORIGINS {
            if whole.origin == 0 || whole.name != 0 && whole.ty != 0 {
                break;
            }
            let origin = whole.origin;
            let found = functions.iter().skip(1).find_map(|function| {
                let params = function.params.of(self.graph.params.items());
                let found = params.binary_search_by_key(&origin, |param| param.offset);
                let number = found.ok()?;
                Some((number, *params.get(number)?))
            });
            let Some((there, other)) = found else {
                break;
            };
            number = there;
            whole.origin = other.origin;
            if whole.name == 0 {
                whole.name = other.name;
            }
            if whole.ty == 0 {
                whole.ty = other.ty;
            }
        }
        (number, whole)
    }

    fn variable(
        &self,
        variable: &Variable<'d>,
        image: &Image<'_>,
        options: &Options,
    ) -> Option<VariableSubject<'d>> {
        let (section, offset) = image.place(variable.address?)?;
        let place = image.places.get(section)?;
        if options.variables == Variables::PerCpu && !place.is_per_cpu {
            return None;
        }
        let graph = self.graph;
        let entries = origins(*variable, |v| graph.variable(v.origin).copied());
        let name = entries.iter().map(|v| v.name).find(|name| !name.is_empty());
        let name = name.filter(|name| is_symbol(name))?;
        // A variable of a discarded section has address 0 as well as one that is really there.
        if offset == 0 && !image.has_variable(section, name) {
            return None;
        }
        let ty = entries.iter().map(|v| v.ty).find(|ty| *ty != 0)?;
        let size = self.size_of(ty).filter(|size| *size != 0)?;
        let notes = entries
            .iter()
            .map(|v| v.notes)
            .find(|notes| notes.len() != 0);
        let notes = notes.unwrap_or_default().of(graph.notes.items());
        Some(VariableSubject {
            section,
            offset: u32::try_from(offset).ok()?,
            size: u32::try_from(size).ok()?,
            name,
            ty: Some(self.id(ty)).filter(|id| !id.is_void())?,
            linkage: linkage(entries.iter().any(|v| v.external)),
            tags: self.decl_tags(notes),
        })
    }

    fn decl_tags(&self, notes: &[Note<'d>]) -> Vec<(i32, &'d [u8])> {
        if !self.settings.decl_tags {
            return Vec::new();
        }
        let of_decl =
            |(component, tag): (i32, Tag<'d>)| (!tag.of_type).then_some((component, tag.text));
        self.tags(notes).filter_map(of_decl).collect()
    }
}

/// The entries that an entry's facts are spread over, itself first.
fn origins<T: Copy>(first: T, next: impl Fn(&T) -> Option<T>) -> Vec<T> {
    std::iter::successors(Some(first), next)
        .take(MAX_ORIGINS)
        .collect()
}

/// The name of a function that the file has, and of which this is no declaration.
fn function_name<'d>(
    entries: &[Function<'d>],
    external: bool,
    image: &Image<'_>,
) -> Option<&'d [u8]> {
    let function = entries.first().filter(|f| !f.declaration)?;
    let mut names = entries.iter().map(|f| f.name);
    let name = names.find(|name| !name.is_empty())?;
    let is_there = match image.functions.is_there() {
        true => image.functions.get(name).is_some(),
        // No symbols tell; what others can call is there if it has code.
        false => external && function.address.is_some(),
    };
    (is_there && is_name(name)).then_some(name)
}

fn linkage(external: bool) -> Linkage {
    match external {
        true => Linkage::GLOBAL,
        false => Linkage::STATIC,
    }
}

/// Whether this can be the name of a function or variable in the kernel's eyes.
fn is_name(name: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.');
    name.len() < MAX_NAME
        && name.iter().all(is_part)
        && name.first().is_some_and(|first| !first.is_ascii_digit())
}

fn is_symbol(name: &[u8]) -> bool {
    is_name(name) && !MACHINERY.iter().any(|prefix| name.starts_with(prefix))
}
