//! One program as the file declares it.

use purebpf_insn::{AttachType, ProgramFlags, ProgramType};

use super::section::{self, SectionDefinition, SectionFlags};

/// One program of an object, editable until it is loaded.
///
/// Every function of a section other than `.text` is a program; those of `.text` are subprograms
/// and come along with the programs that call them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProgramSpec {
    /// Name: that of the function.
    pub name: String,
    /// Section, without a leading `?`.
    pub section: String,
    /// Type; [`ProgramType::UNSPEC`] if the section is unknown, and then to be set.
    pub program_type: ProgramType,
    /// Expected attach type; 0 where the type needs none.
    pub expected_attach_type: AttachType,
    /// Flags of `BPF_PROG_LOAD`, beyond those that the section adds.
    pub flags: ProgramFlags,
    /// How much the verifier is to say of it even if it is accepted: 0 nothing, 1 or 2 more and
    /// more, 4 statistics. The loaded object keeps it.
    #[doc(alias = "bpf_program__set_log_level")]
    pub log_level: u32,
    /// Whether it is loaded. A section that begins with `?` says no.
    #[doc(alias = "bpf_program__set_autoload")]
    pub autoload: bool,
    /// Whether `attach_all` attaches it.
    #[doc(alias = "bpf_program__set_autoattach")]
    pub autoattach: bool,
    /// What fentry, LSM and the like are attached to, where the section does not say or says
    /// otherwise: `[MODULE:]NAME`, the name as after the slash of a section.
    #[doc(alias = "bpf_program__set_attach_target")]
    pub attach_target: Option<String>,
    /// Whether the target is a function of another BPF program, which the loader is given, rather
    /// than of the kernel. Of `freplace` it always is.
    pub targets_program: bool,
    /// Whether the object is loaded without this program, should it fail; the loaded object then
    /// says why it was left out.
    pub optional: bool,
    /// The type that its section gives it, and what else that says.
    definition: Option<(ProgramType, SectionFlags)>,
    pub(crate) function: usize,
}

impl ProgramSpec {
    pub(crate) fn new(
        name: &str,
        section: &str,
        function: usize,
        sections: &[SectionDefinition],
    ) -> Self {
        let (section, autoload) = section
            .strip_prefix('?')
            .map_or((section, true), |section| (section, false));
        let definition = section::find(sections, section);
        Self {
            name: name.to_owned(),
            section: section.to_owned(),
            program_type: definition.map_or(ProgramType::UNSPEC, |row| row.program_type),
            expected_attach_type: definition.map_or(AttachType(0), |row| row.attach_type),
            flags: ProgramFlags::empty(),
            log_level: 0,
            autoload,
            autoattach: true,
            attach_target: None,
            targets_program: definition.is_some_and(|row| row.program_type == ProgramType::EXT),
            optional: false,
            definition: definition.map(|row| (row.program_type, row.flags)),
            function,
        }
    }

    /// What the section's definition adds; nothing once the type was changed (libbpf:
    /// `bpf_program__set_type` drops the definition).
    pub(crate) fn section_flags(&self) -> SectionFlags {
        match self.definition {
            Some((program_type, flags)) if program_type == self.program_type => flags,
            _ => SectionFlags::empty(),
        }
    }

    /// The text after the first slash of the section.
    pub(crate) fn section_target(&self) -> Option<&str> {
        self.section.split_once('/').map(|(_, target)| target)
    }
}
