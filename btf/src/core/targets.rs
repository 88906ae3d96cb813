//! Where the candidates for a relocation come from.

use std::sync::Arc;

use crate::btf::Btf;
use crate::error::BoxedError;
use crate::id::TypeId;

/// The BTF of the kernel to relocate for.
pub trait Targets {
    /// The kernel's own BTF, or the custom one that stands in for it.
    fn main(&self) -> &Arc<Btf>;

    /// The BTFs of the kernel's modules, each split off from [`main`](Self::main).
    ///
    /// They are asked for only when the kernel itself has no candidate, so they can be read then.
    ///
    /// # Errors
    /// Why they cannot be had.
    fn modules(&self) -> Result<&[Arc<Btf>], BoxedError>;
}

impl<T: Targets + ?Sized> Targets for &T {
    fn main(&self) -> &Arc<Btf> {
        (**self).main()
    }

    fn modules(&self) -> Result<&[Arc<Btf>], BoxedError> {
        (**self).modules()
    }
}

/// A kernel without modules, or a custom BTF.
impl Targets for Arc<Btf> {
    fn main(&self) -> &Arc<Btf> {
        self
    }

    fn modules(&self) -> Result<&[Arc<Btf>], BoxedError> {
        Ok(&[])
    }
}

/// A kernel whose BTF has all been read already.
#[derive(Clone, Debug)]
pub struct KnownTargets {
    /// The BTF of the kernel itself.
    pub main: Arc<Btf>,
    /// The BTF of each module.
    pub modules: Vec<Arc<Btf>>,
}

impl Targets for KnownTargets {
    fn main(&self) -> &Arc<Btf> {
        &self.main
    }

    fn modules(&self) -> Result<&[Arc<Btf>], BoxedError> {
        Ok(&self.modules)
    }
}

/// A type of the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct TargetType {
    /// Which of [`Targets::modules`] has it; nothing for the kernel itself.
    pub module: Option<usize>,
    /// Its id there.
    pub id: TypeId,
}
