//! The types of a BTF as C, for those who ask.

use crate::btf::Btf;
use crate::error::Result;
use crate::id::TypeId;

use super::printer::{Printer, Style};

/// Prints types as C definitions, each once and behind what it needs.
///
/// The text of the types is libbpf's. It compiles, and the compiled types have the layout that
/// the BTF tells. Names that occur more than once get `___2` and so on; what the kernel's BTF
/// does not say (alignment beyond the natural, for instance) the text cannot say either.
///
/// After an error the text is what it was before the call; types that were begun in it may be
/// missing from later text.
///
/// Where libbpf's text would not compile, it differs: a qualifier before a type tag is parted from
/// the name of the type, and numbered names are never cut.
#[derive(Debug)]
#[doc(alias = "btf_dump")]
pub struct CDump<'a>(Printer<'a>);

/// How a declaration is printed.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
#[doc(alias = "btf_dump_emit_type_decl_opts")]
pub struct DeclOptions<'a> {
    /// What is declared; nothing for the type alone, as in a cast.
    pub name: &'a str,
    /// Tabs before the lines behind the first.
    pub indent: u32,
    /// Whether to leave out `const`, `volatile`, `restrict` and type tags.
    pub strip_mods: bool,
}

impl<'a> DeclOptions<'a> {
    /// A declaration of this name.
    #[must_use]
    pub fn named(name: &'a str) -> Self {
        Self {
            name,
            ..Self::default()
        }
    }

    /// Puts this many tabs before each line but the first.
    #[must_use]
    pub fn indent(mut self, tabs: u32) -> Self {
        self.indent = tabs;
        self
    }

    /// Leaves out `const`, `volatile`, `restrict` and type tags.
    #[must_use]
    pub fn strip_mods(mut self, strip: bool) -> Self {
        self.strip_mods = strip;
        self
    }
}

impl<'a> CDump<'a> {
    /// Begins with no type printed.
    #[must_use]
    #[doc(alias = "btf_dump__new")]
    pub fn new(btf: &'a Btf) -> Self {
        Self(Printer::new(btf))
    }

    /// Sets how many bytes of text one call may give; otherwise 16 MiB, and 16 for each byte of BTF.
    #[must_use]
    pub fn max_text(mut self, bytes: usize) -> Self {
        self.0.set_text_limit(bytes);
        self
    }

    /// Sets whether a member without a name gets the braces of its type even if that has a name;
    /// otherwise it is printed as `struct x;`, as libbpf does.
    ///
    /// Kernels after 6.18 have such members. Compilers take `struct x;` for one only with
    /// `-fms-extensions`, and leave it out of the struct without.
    #[must_use]
    pub fn expand_unnamed(mut self, expand: bool) -> Self {
        self.0.expand_unnamed = expand;
        self
    }

    /// Appends the definition of a type to `out`, behind the definitions and forward declarations
    /// that it needs, all but those that were printed before.
    ///
    /// Functions, variables, sections and tags have no definition; they give no text.
    ///
    /// # Errors
    /// [`NoType`](crate::Error::NoType); [`Cycle`](crate::Error::Cycle) for a type that contains itself;
    /// [`Depth`](crate::Error::Depth), [`TooComplex`](crate::Error::TooComplex) or
    /// [`TextTooLong`](crate::Error::TextTooLong) for BTF that no compiler made;
    /// [`WrongKind`](crate::Error::WrongKind) for a reference to what is no type in C;
    /// [`NotUtf8`](crate::Error::NotUtf8).
    #[doc(alias = "btf_dump__dump_type")]
    pub fn dump_type(&mut self, id: TypeId, out: &mut String) -> Result<()> {
        self.dump_types([id], out)
    }

    /// Appends the definitions of these types in this order, as [`dump_type`](Self::dump_type) does
    /// for one.
    ///
    /// # Errors
    /// As [`dump_type`](Self::dump_type).
    pub fn dump_types(
        &mut self,
        ids: impl IntoIterator<Item = TypeId>,
        out: &mut String,
    ) -> Result<()> {
        self.0.writing(out, |printer| {
            ids.into_iter().try_for_each(|id| {
                printer.queue.clear();
                printer.order(id, false, 0)?;
                for index in 0..printer.queue.len() {
                    if let Some(id) = printer.queue.get(index) {
                        printer.emit(*id, TypeId::VOID, 0)?;
                    }
                }
                Ok(())
            })
        })
    }

    /// Appends the definitions of all types that the base does not have, and what they need of it.
    ///
    /// # Errors
    /// As [`dump_type`](Self::dump_type).
    pub fn dump_own(&mut self, out: &mut String) -> Result<()> {
        self.dump_types(self.0.btf.own_ids(), out)
    }

    /// Appends the definitions of all types, those of the base included.
    ///
    /// # Errors
    /// As [`dump_type`](Self::dump_type).
    pub fn dump_all(&mut self, out: &mut String) -> Result<()> {
        self.dump_types(self.0.btf.ids(), out)
    }

    /// Appends a declaration, as of a member or parameter, without `;`. Types without a name are
    /// defined in it; others are only named.
    ///
    /// # Errors
    /// As [`dump_type`](Self::dump_type).
    #[doc(alias = "btf_dump__emit_type_decl")]
    pub fn type_decl(
        &mut self,
        id: TypeId,
        options: &DeclOptions<'_>,
        out: &mut String,
    ) -> Result<()> {
        let style = Style {
            strip_mods: options.strip_mods,
            skip_bodies: false,
        };
        self.declaration(id, options.name, options.indent, style, out)
    }

    /// Appends the name of a type as it stands in a cast, without what is in its braces.
    pub(super) fn cast(&mut self, id: TypeId, out: &mut String) -> Result<()> {
        let style = Style {
            strip_mods: true,
            skip_bodies: true,
        };
        self.declaration(id, "", 0, style, out)
    }

    fn declaration(
        &mut self,
        id: TypeId,
        name: &str,
        indent: u32,
        style: Style,
        out: &mut String,
    ) -> Result<()> {
        self.0.style = style;
        let declare = |printer: &mut Printer<'a>| printer.declare(id, name, indent, 0);
        let result = self.0.writing(out, declare);
        self.0.style = Style::default();
        result
    }

    pub(super) fn set_text_limit(&mut self, bytes: usize) {
        self.0.set_text_limit(bytes);
    }

    /// Bytes of text that one call may give.
    pub(super) fn text_limit(&self) -> usize {
        self.0.text_limit()
    }
}
