//! The kernel that `purebpf plan` plans for: this machine's, as its files describe it, perhaps
//! with the types of another.

use std::sync::Arc;

use purebpf::RunningKernel;
use purebpf::btf::Btf;
use purebpf::plan::{Error, Feature, ModuleBtf, TargetKernel};

use crate::source;

/// This machine's kernel, with other BTF if the user gave some.
pub(crate) struct Target {
    host: RunningKernel,
    btf: Option<Arc<Btf>>,
}

impl Target {
    /// The kernel to plan for.
    pub(crate) fn new(btf: Option<&str>) -> anyhow::Result<Self> {
        let btf = match btf {
            Some(name) => Some(source::btf(name, None)?),
            None => None,
        };
        Ok(Self {
            host: RunningKernel::unprivileged(),
            btf,
        })
    }
}

impl TargetKernel for Target {
    fn version(&self) -> u32 {
        self.host.version()
    }

    fn btf(&self) -> Result<Arc<Btf>, Error> {
        self.btf.clone().map_or_else(|| self.host.btf(), Ok)
    }

    fn modules(&self) -> Result<Arc<[ModuleBtf]>, Error> {
        match self.btf {
            Some(_) => Ok(Arc::new([])),
            None => self.host.modules(),
        }
    }

    fn config(&self) -> Result<Arc<str>, Error> {
        self.host.config()
    }

    fn symbols(&self) -> Result<Arc<str>, Error> {
        self.host.symbols()
    }

    fn has(&self, feature: Feature) -> bool {
        self.host.has(feature)
    }

    fn possible_cpus(&self) -> Result<u32, Error> {
        self.host.possible_cpus()
    }

    fn page_size(&self) -> u32 {
        self.host.page_size()
    }
}
