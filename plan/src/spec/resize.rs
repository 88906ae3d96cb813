//! Other sizes for the values of maps, variables among them.

use std::sync::Arc;

use purebpf_btf::{Btf, BtfBuilder, Kind, SecInfo, TypeId, TypeKind};
use purebpf_insn::MapType;

use super::map::MapSpec;
use super::object::ObjectSpec;
use crate::Error;

impl ObjectSpec {
    /// Sets the size of a map's values, bytes.
    ///
    /// Of a map of variables, it is the size of all of them together: the last one, which has to be
    /// an array, grows or shrinks with it, also in the object's BTF, and what is new of it begins as
    /// zeros. If the last one is no array, or its elements do not fit the size, the map gets its
    /// size, and loses the types of its variables.
    ///
    /// # Errors
    /// [`Error::NotFound`], or [`Error::Map`] if it is a struct_ops map.
    #[doc(alias = "bpf_map__set_value_size")]
    pub fn set_value_size(&mut self, map: &str, bytes: u32) -> Result<(), Error> {
        let btf = self.code.btf.clone();
        let spec = self.map_mut(map)?;
        if spec.struct_ops.is_some() {
            return Err(spec.fail("the kernel decides the size of its value"));
        }
        spec.value_size = bytes;
        if !spec.origin.is_internal() || spec.map_type != MapType::ARRAY {
            return Ok(());
        }
        if let Some(contents) = &mut spec.contents {
            let len = usize::try_from(bytes).map_err(|_| Error::Map {
                map: map.to_owned(),
                what: format!("{bytes} bytes do not fit this machine"),
            })?;
            contents.resize(len, 0);
        }
        let Some(btf) = btf else { return Ok(()) };
        match resized(&btf, spec, bytes) {
            Ok(btf) => Arc::make_mut(&mut self.code).btf = Some(Arc::new(btf)),
            Err(why) => {
                log::warn!("map `{}` loses its types: {why}", spec.name);
                spec.key_type = TypeId::VOID;
                spec.value_type = TypeId::VOID;
            }
        }
        Ok(())
    }
}

/// The BTF with the last variable of the section as long as the section allows.
///
/// # Source
/// libbpf `map_btf_datasec_resize`.
fn resized(btf: &Btf, map: &MapSpec, size: u32) -> Result<Btf, String> {
    let text = |error: purebpf_btf::Error| error.to_string();
    let section = map.section.as_deref().unwrap_or_default();
    let id = btf.find(section, Kind::Datasec);
    let id = id.ok_or_else(|| format!("BTF has no section `{section}`"))?;
    let TypeKind::Datasec { secinfos, .. } = btf.ty(id).map_err(text)?.kind else {
        return Err(format!("BTF has no section `{section}`"));
    };
    let mut entries: Vec<SecInfo> = secinfos.iter().collect();
    let last = entries.last_mut().ok_or("the section has no variables")?;
    let TypeKind::Var { ty, .. } = btf.ty(last.ty).map_err(text)?.kind else {
        return Err("its last entry is not a variable".to_owned());
    };
    let array = btf.skip_mods_and_typedefs(ty).map_err(text)?;
    let TypeKind::Array { elem, index, .. } = btf.ty(array).map_err(text)?.kind else {
        return Err("its last variable is not an array".to_owned());
    };
    let element = btf.resolve_size(elem).map_err(text)?;
    let room = size.checked_sub(last.offset);
    let count = room.filter(|room| element > 0 && room % element == 0);
    let count = count
        .and_then(|room| room.checked_div(element))
        .ok_or_else(|| format!("elements of {element} bytes do not fill its {size} bytes"))?;
    last.size = room.unwrap_or(0);
    let mut builder = BtfBuilder::from_btf(btf).map_err(text)?;
    let array = builder.add_array(elem, index, count).map_err(text)?;
    builder.set_var_type(last.ty, array).map_err(text)?;
    builder.set_datasec(id, size, &entries).map_err(text)?;
    let btf = builder.finish().and_then(|btf| btf.with_pointer_size(8));
    btf.map_err(text)
}
