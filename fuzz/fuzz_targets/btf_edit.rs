//! BTF made and changed by its user in any way.

#![no_main]

use std::sync::Arc;

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use purebpf_btf::{
    Btf, BtfBuilder, IntEncoding, Kind, Linkage, NewEnumerator, NewMember, NewParam, RawRecord,
    SecInfo, TypeId,
};
use purebpf_fuzz::limits;

const MOST_EDITS: usize = 64;
const NAMES: [&str; 6] = ["", "int", "task", "task___old", ".data", "not a name"];
const LINKAGES: [Linkage; 3] = [Linkage::STATIC, Linkage::GLOBAL, Linkage::EXTERN];

fn name<'a>(input: &mut Unstructured<'a>) -> Result<&'a str> {
    match input.ratio(1, 8)? {
        true => input.arbitrary(),
        false => input.choose(&NAMES).copied(),
    }
}

/// Mostly a type that is there.
fn id(builder: &BtfBuilder, input: &mut Unstructured<'_>) -> Result<TypeId> {
    input.int_in_range(0..=builder.len() + 1).map(TypeId)
}

/// A few of something.
fn few<'a, T>(
    input: &mut Unstructured<'a>,
    mut one: impl FnMut(&mut Unstructured<'a>) -> Result<T>,
) -> Result<Vec<T>> {
    let count = input.int_in_range(0..=4)?;
    (0..count).map(|_| one(input)).collect()
}

fn edit(builder: &mut BtfBuilder, input: &mut Unstructured<'_>) -> Result<()> {
    let (text, a, b) = (name(input)?, id(builder, input)?, id(builder, input)?);
    let number = input.arbitrary::<u32>()?;
    let linkage = *input.choose(&LINKAGES)?;
    let size = number % 32;
    let result = match input.int_in_range(0..=21)? {
        0 => builder
            .add_int(text, size, IntEncoding(number as u8))
            .is_ok(),
        1 => builder.add_float(text, size).is_ok(),
        2 => builder.add_ptr(a).is_ok(),
        3 => builder.add_const(a).is_ok(),
        4 => builder.add_array(a, b, number).is_ok(),
        kind @ (5 | 6) => {
            let members = few(input, |input| {
                Ok(NewMember {
                    name: name(input)?,
                    ty: TypeId(input.int_in_range(0..=builder.len())?),
                    bit_offset: input.arbitrary::<u16>()?.into(),
                    bitfield_size: input.int_in_range(0..=64)?,
                })
            })?;
            match kind {
                5 => builder.add_struct(text, number, &members).is_ok(),
                _ => builder.add_union(text, number, &members).is_ok(),
            }
        }
        kind @ (7 | 8) => {
            let values = few(input, |input| {
                let (name, value) = (name(input)?, input.arbitrary::<i64>()?.into());
                Ok(NewEnumerator { name, value })
            })?;
            match kind {
                7 => builder.add_enum(text, size, &values).is_ok(),
                _ => builder
                    .add_enum64(text, size, number & 1 != 0, &values)
                    .is_ok(),
            }
        }
        9 => builder.add_fwd(text, number & 1 != 0).is_ok(),
        10 => builder.add_typedef(text, a).is_ok(),
        11 => builder.add_type_tag(text, a).is_ok(),
        12 => builder.add_decl_tag(text, a, number as i32).is_ok(),
        13 => builder.add_func(text, linkage, a).is_ok(),
        14 => {
            let params = few(input, |input| {
                let ty = TypeId(input.int_in_range(0..=builder.len())?);
                Ok(NewParam {
                    name: name(input)?,
                    ty,
                })
            })?;
            builder.add_func_proto(a, &params).is_ok()
        }
        15 => builder.add_var(text, linkage, a).is_ok(),
        kind @ (16 | 17) => {
            let infos = few(input, |input| {
                let ty = TypeId(input.int_in_range(0..=builder.len())?);
                let [offset, size] = input.arbitrary::<[u16; 2]>()?.map(u32::from);
                Ok(SecInfo { ty, offset, size })
            })?;
            match kind {
                16 => builder.add_datasec(text, number, &infos).is_ok(),
                _ => builder.set_datasec(a, number, &infos).is_ok(),
            }
        }
        18 => builder.set_var_type(a, b).is_ok() | builder.set_var_linkage(a, linkage).is_ok(),
        19 => match builder.add_str(text) {
            Ok(offset) => {
                builder.set_name(a, offset).is_ok()
                    | builder.set_param_name(a, size as usize, offset).is_ok()
            }
            Err(_) => false,
        },
        20 => builder.set_func_linkage(a, linkage).is_ok(),
        _ => {
            let Some(kind) = Kind::from_number((number % 20) as u8) else {
                return Ok(());
            };
            let Ok(record) = builder.raw_record(b) else {
                return Ok(());
            };
            let extra = few(input, Unstructured::arbitrary)?;
            let record = RawRecord {
                kind,
                extra,
                ..record
            };
            builder.replace(a, &record).is_ok()
        }
    };
    std::hint::black_box(result);
    Ok(())
}

fn edited(mut builder: BtfBuilder, input: &mut Unstructured<'_>) -> Option<Btf> {
    for _ in 0..MOST_EDITS {
        if input.is_empty() || edit(&mut builder, input).is_err() {
            break;
        }
    }
    let btf = builder.finish().ok()?;
    purebpf_fuzz::walk(&btf);
    Some(btf)
}

fuzz_target!(|data: &[u8]| {
    let _limits = limits::arm(data, 1 << 20, 32);
    let mut input = Unstructured::new(data);
    let Some(btf) = edited(BtfBuilder::new(), &mut input) else {
        return;
    };
    purebpf_fuzz::write(&btf, Btf::parse);
    let base = Arc::new(btf);
    if let Some(split) = edited(BtfBuilder::new_split(Arc::clone(&base)), &mut input) {
        purebpf_fuzz::write(&split, |bytes| Btf::parse_split(bytes, Arc::clone(&base)));
    }
});
