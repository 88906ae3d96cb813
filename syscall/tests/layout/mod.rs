//! Structs that we share with the kernel, beside what the running kernel's BTF says of them.

use purebpf_btf::{Btf, Kind, TypeId, TypeKind};

/// A struct of ours. Fields are names, offsets and sizes in bytes.
#[derive(Debug)]
pub(crate) struct Layout {
    /// Its name here.
    pub(crate) name: &'static str,
    /// The types of the kernel that are laid out so, or members of them, as `type/member/member`.
    pub(crate) places: &'static [&'static str],
    pub(crate) fields: &'static [(&'static str, usize, usize)],
}

/// Beginnings of names of fields that the kernel does not have: what nobody uses, parts that are compared
/// by themselves, the place of bit-fields.
const NO_MEMBERS: [&str; 4] = ["pad", "head", "body", "bits"];

/// A member of a struct of the kernel's; the numbers are bits, from the start of the outermost type.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) bit: u32,
    bits: u32,
    is_bit_field: bool,
    ty: TypeId,
}

/// The types of the running kernel.
#[derive(Debug)]
pub(crate) struct Kernel(Btf);

/// What came of a comparison.
#[derive(Debug, Default)]
struct Report {
    /// Fields that are where the kernel has them.
    same: usize,
    wrong: Vec<String>,
    /// What this kernel does not have.
    newer: Vec<String>,
    /// What the kernel has and we do not: place, name, byte.
    left: Vec<(String, String, u32)>,
}

impl Kernel {
    /// `None`, which is said, without BTF.
    pub(crate) fn read() -> Option<Self> {
        let Ok(bytes) = std::fs::read("/sys/kernel/btf/vmlinux") else {
            let is_required = std::env::var_os("PUREBPF_REQUIRE_KERNEL").is_some();
            assert!(!is_required, "layouts are compared with the kernel's BTF");
            println!("not on this kernel: BTF");
            return None;
        };
        Some(Self(Btf::parse(bytes).unwrap()))
    }

    /// Compares all of them; a field that is somewhere else, or whose name the kernel does not know but has
    /// another member in its place, is a failure. The rest is said.
    pub(crate) fn check(layouts: &[&Layout]) {
        let Some(kernel) = Self::read() else { return };
        let mut report = Report::default();
        let places = || {
            let each = layouts.iter();
            each.flat_map(|layout| layout.places.iter().map(move |place| (*place, *layout)))
        };
        for (place, layout) in places() {
            kernel.compare(layout, place, &mut report);
        }
        // What one struct of ours lacks may be a place of its own, or a field of another at this place.
        report.left.retain(|(place, name, _)| {
            let path = format!("{place}/{name}");
            !places().any(|(at, layout)| {
                let mut fields = layout.fields.iter();
                at == path || at == place && fields.any(|(field, _, _)| bare(field) == name)
            })
        });
        println!("{} fields are where the kernel has them", report.same);
        for newer in &report.newer {
            println!("newer than this kernel: {newer}");
        }
        for (place, name, byte) in &report.left {
            println!("not here: {place}: {name} at byte {byte}");
        }
        assert!(report.wrong.is_empty(), "{:#?}", report.wrong);
        assert_ne!(report.same, 0);
    }

    fn compare(&self, layout: &Layout, place: &str, report: &mut Report) {
        let first = layout.fields[0].0;
        let Some(members) = self.members(place, bare(first)) else {
            report.newer.push(place.to_owned());
            return;
        };
        let bits = |bytes: usize| u32::try_from(bytes * 8).unwrap();
        for (name, offset, size) in layout.fields {
            if NO_MEMBERS.iter().any(|no| name.starts_with(no)) {
                continue;
            }
            let (name, start, size) = (bare(name), bits(*offset), bits(*size));
            let ours = format!(
                "{place}: {name} of {} at bit {start}, {size} bits",
                layout.name
            );
            match members.iter().find(|member| member.name == name) {
                Some(member) if member.is_at(start, size) => report.same += 1,
                Some(member) => report.wrong.push(format!("{ours}: {member:?}")),
                None if !members.iter().any(|member| member.overlaps(start, size)) => {
                    report.newer.push(format!("{place}: {name}"))
                }
                None => report.wrong.push(format!("{ours}: no such member")),
            }
        }
        let covered = |member: &&Member| {
            let mut fields = layout.fields.iter();
            fields.any(|(name, offset, size)| {
                let (start, size) = (bits(*offset), bits(*size));
                !name.starts_with("pad") && start <= member.bit && member.bit < start + size
            })
        };
        let left = members.iter().filter(|member| !covered(member));
        report
            .left
            .extend(left.map(|member| (place.to_owned(), member.name.clone(), member.bit / 8)));
    }

    /// The members of a type or of a member of it, those of members without a name as well. Of structs
    /// without a name that are alternatives to each other, only of the one with the member `first`.
    pub(crate) fn members(&self, place: &str, first: &str) -> Option<Vec<Member>> {
        let mut path = place.split('/');
        let name = path.next()?;
        let kinds = [Kind::Struct, Kind::Union].into_iter();
        let mut ty = kinds.filter_map(|kind| self.0.find(name, kind)).next()?;
        let mut bit = 0;
        for step in path {
            let members = self.flat(ty, bit);
            let found = members.into_iter().find(|member| member.name == step)?;
            (ty, bit) = (found.ty, found.bit);
        }
        let has_first = |members: &Vec<Member>| members.iter().any(|member| member.name == first);
        let alternatives = self.own(ty, bit).into_iter();
        let alternatives = alternatives.filter(|member| member.name.is_empty());
        match self.0.ty(ty).unwrap().kind {
            TypeKind::Union(_) => alternatives
                .map(|member| self.flat(member.ty, member.bit))
                .find(has_first),
            _ => Some(self.flat(ty, bit)),
        }
    }

    /// The members of a struct or union that starts at this bit, those of members without a name in their
    /// places.
    fn flat(&self, ty: TypeId, bit: u32) -> Vec<Member> {
        let own = self.own(ty, bit).into_iter();
        own.flat_map(|member| match member.name.is_empty() {
            true => self.flat(member.ty, member.bit),
            false => vec![member],
        })
        .collect()
    }

    fn own(&self, ty: TypeId, start: u32) -> Vec<Member> {
        let ty = self.0.skip_mods_and_typedefs(ty).unwrap();
        let (TypeKind::Struct(composite) | TypeKind::Union(composite)) =
            self.0.ty(ty).unwrap().kind
        else {
            return Vec::new();
        };
        let members = composite.members.iter();
        members
            .map(|member| {
                let whole = || self.0.resolve_size(member.ty).unwrap() * 8;
                let is_bit_field = member.bitfield_size != 0;
                Member {
                    name: self.0.name_at(member.name_off).unwrap().to_owned(),
                    bit: start + member.bit_offset,
                    bits: match is_bit_field {
                        true => member.bitfield_size.into(),
                        false => whole(),
                    },
                    is_bit_field,
                    ty: member.ty,
                }
            })
            .collect()
    }
}

impl Member {
    fn overlaps(&self, start: u32, size: u32) -> bool {
        self.bit < start + size && start < self.bit + self.bits
    }

    /// Whether it is there and so long; of bit-fields, whether they are inside.
    fn is_at(&self, start: u32, size: u32) -> bool {
        match self.is_bit_field {
            true => start <= self.bit && self.bit + self.bits <= start + size,
            false => (start, size) == (self.bit, self.bits),
        }
    }
}

/// A name without what makes a keyword one.
fn bare(name: &str) -> &str {
    name.trim_start_matches("r#")
}
