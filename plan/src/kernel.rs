//! The kernel that a plan is made for: what a resolver may ask of it.

use std::sync::Arc;

use purebpf_btf::Btf;
use purebpf_insn::Endian;

use crate::{Error, Feature, endian_of};

/// The BTF of a kernel module, split on that of the kernel.
#[derive(Clone, Debug)]
pub struct ModuleBtf {
    /// Module name.
    pub name: Arc<str>,
    /// Its types.
    pub btf: Arc<Btf>,
}

/// Answers what a kernel offers. Each question is asked only if an object needs the answer.
pub trait TargetKernel {
    /// Version as `LINUX_VERSION_CODE`: `(a << 16) + (b << 8) + min(c, 255)`.
    fn version(&self) -> u32;

    /// The byte order of its machine; nothing if that is not known, and objects of either are
    /// planned.
    fn endian(&self) -> Option<Endian>;

    /// The kernel's own BTF.
    ///
    /// # Errors
    /// [`Error::Kernel`] if it has none or it cannot be read.
    fn btf(&self) -> Result<Arc<Btf>, Error>;

    /// The BTF of its modules, in id order.
    ///
    /// # Errors
    /// [`Error::Kernel`] if they cannot be read.
    fn modules(&self) -> Result<Arc<[ModuleBtf]>, Error>;

    /// Its configuration: the text of `.config`.
    ///
    /// # Errors
    /// [`Error::Kernel`] if there is none.
    fn config(&self) -> Result<Arc<str>, Error>;

    /// Its symbols: the text of `/proc/kallsyms`.
    ///
    /// # Errors
    /// [`Error::Kernel`] if it cannot be read.
    fn symbols(&self) -> Result<Arc<str>, Error>;

    /// Whether it has a feature.
    fn has(&self, feature: Feature) -> bool;

    /// How many CPUs it may ever have.
    ///
    /// # Errors
    /// [`Error::Kernel`] if that cannot be read.
    fn possible_cpus(&self) -> Result<u32, Error>;

    /// Bytes of a page.
    fn page_size(&self) -> u32;
}

/// A kernel described by data, for plans without one.
///
/// What is not described is missing: a plan that needs it fails and says so. Features follow from
/// the version unless set one by one.
#[derive(Clone, Debug)]
pub struct DescribedKernel {
    version: u32,
    btf: Option<Arc<Btf>>,
    modules: Arc<[ModuleBtf]>,
    config: Option<Arc<str>>,
    symbols: Option<Arc<str>>,
    cpus: u32,
    page_size: u32,
    features: Vec<(Feature, bool)>,
}

impl DescribedKernel {
    /// A kernel of this version (as `LINUX_VERSION_CODE`) of which nothing else is known: one CPU,
    /// pages of 4096 bytes.
    #[must_use]
    pub fn new(version: u32) -> Self {
        Self {
            version,
            btf: None,
            modules: Arc::new([]),
            config: None,
            symbols: None,
            cpus: 1,
            page_size: 4096,
            features: Vec::new(),
        }
    }

    /// Its BTF.
    #[must_use]
    pub fn btf(mut self, btf: Arc<Btf>) -> Self {
        self.btf = Some(btf);
        self
    }

    /// The BTF of its modules, each split on its own.
    #[must_use]
    pub fn modules(mut self, modules: impl Into<Arc<[ModuleBtf]>>) -> Self {
        self.modules = modules.into();
        self
    }

    /// The text of its `.config`.
    #[must_use]
    pub fn config(mut self, text: impl Into<Arc<str>>) -> Self {
        self.config = Some(text.into());
        self
    }

    /// The text of its `/proc/kallsyms`.
    #[must_use]
    pub fn symbols(mut self, text: impl Into<Arc<str>>) -> Self {
        self.symbols = Some(text.into());
        self
    }

    /// How many CPUs it may have.
    #[must_use]
    pub const fn possible_cpus(mut self, cpus: u32) -> Self {
        self.cpus = cpus;
        self
    }

    /// Bytes of a page.
    #[must_use]
    pub const fn page_size(mut self, bytes: u32) -> Self {
        self.page_size = bytes;
        self
    }

    /// Whether it has a feature, whatever its version says.
    #[must_use]
    pub fn feature(mut self, feature: Feature, has: bool) -> Self {
        self.features.push((feature, has));
        self
    }
}

fn undescribed(what: &str) -> Error {
    Error::Kernel {
        what: format!("{what} (it was not given)"),
        source: None,
    }
}

impl TargetKernel for DescribedKernel {
    fn version(&self) -> u32 {
        self.version
    }

    /// That of its BTF.
    fn endian(&self) -> Option<Endian> {
        self.btf.as_ref().map(|btf| endian_of(btf))
    }

    fn btf(&self) -> Result<Arc<Btf>, Error> {
        self.btf.clone().ok_or_else(|| undescribed("the BTF"))
    }

    fn modules(&self) -> Result<Arc<[ModuleBtf]>, Error> {
        Ok(Arc::clone(&self.modules))
    }

    fn config(&self) -> Result<Arc<str>, Error> {
        self.config
            .clone()
            .ok_or_else(|| undescribed("the configuration"))
    }

    fn symbols(&self) -> Result<Arc<str>, Error> {
        self.symbols
            .clone()
            .ok_or_else(|| undescribed("the symbols"))
    }

    fn has(&self, feature: Feature) -> bool {
        let set = self
            .features
            .iter()
            .rev()
            .find(|(known, _)| *known == feature);
        set.map_or_else(|| feature.is_in(self.version), |(_, has)| *has)
    }

    fn possible_cpus(&self) -> Result<u32, Error> {
        Ok(self.cpus)
    }

    fn page_size(&self) -> u32 {
        self.page_size
    }
}
