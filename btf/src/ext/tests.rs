use super::*;
use crate::id::TypeId;

/// A section of these words behind the magic, in the host's byte order.
fn of_words(words: &[u32]) -> Vec<u8> {
    let [a, b] = raw::MAGIC.to_ne_bytes();
    let words = words.iter().flat_map(|word| word.to_ne_bytes());
    [a, b, raw::VERSION, 0].into_iter().chain(words).collect()
}

fn section(func: &[u32], line: &[u32], core: &[u32]) -> Vec<u8> {
    let mut words = vec![32];
    let mut offset = 0;
    for list in [func, line, core] {
        words.extend([offset, list.len() as u32 * 4]);
        offset += list.len() as u32 * 4;
    }
    words.extend([func, line, core].concat());
    of_words(&words)
}

fn swapped(section: &[u8]) -> Vec<u8> {
    let mut data = section.to_vec();
    swap(&mut data);
    data
}

const FUNCS: [u32; 9] = [8, 11, 2, 0, 3, 16, 4, 12, 1];

fn sample() -> Vec<u8> {
    // The second block of functions is cut off here; its one record follows.
    let func = [&FUNCS[..], &[24, 5]].concat();
    section(
        &func,
        &[16, 11, 1, 8, 20, 30, 7 << 10 | 9],
        &[16, 11, 1, 40, 2, 50, 12],
    )
}

#[test]
fn all_three_lists_are_read_in_both_byte_orders() {
    for data in [sample(), swapped(&sample())] {
        let ext = BtfExt::parse(data).unwrap();
        let funcs: Vec<_> = ext.func_infos().sections().collect();
        assert_eq!(
            funcs.iter().map(|s| s.section_name_off).collect::<Vec<_>>(),
            [11, 12]
        );
        assert_eq!(
            funcs[0].get(1).unwrap(),
            FuncInfo {
                insn_off: 16,
                type_id: TypeId(4)
            }
        );
        assert_eq!(
            (funcs[0].len(), funcs[0].get(2), funcs[1].len()),
            (2, None, 1)
        );
        let line = ext.line_infos().sections().next().unwrap().get(0).unwrap();
        assert_eq!(
            (line.insn_off, line.line, line.column, line.line_off),
            (8, 7, 9, 30)
        );
        let core = ext
            .core_relos()
            .sections()
            .next()
            .unwrap()
            .iter()
            .next()
            .unwrap();
        assert_eq!(
            (core.type_id, core.access_str_off, core.kind),
            (TypeId(2), 50, 12)
        );
    }
}

#[test]
fn longer_records_are_kept_whole() {
    let data = section(&[12, 11, 2, 0, 3, 77, 8, 4, 78], &[], &[]);
    let ext = BtfExt::parse(data.clone()).unwrap();
    let block = ext.func_infos().sections().next().unwrap();
    assert_eq!((block.record_size, block.bytes.len()), (12, 24));
    assert_eq!(block.get(1).unwrap().type_id, TypeId(4));
    assert_eq!(block.record_bytes(1).unwrap()[8..], 78u32.to_ne_bytes());
    let error = BtfExt::parse(swapped(&data)).unwrap_err().to_string();
    assert!(error.contains("foreign byte order"), "{error}");
}

#[test]
fn a_short_header_has_no_relocations() {
    let ext = BtfExt::parse(of_words(&[24, 0, 20, 0, 0, 8, 11, 1, 0, 3])).unwrap();
    assert!(ext.core_relos().is_empty() && !ext.func_infos().is_empty());
    assert_eq!(ext.line_infos().sections().len(), 0);
}

#[test]
fn each_malformed_list_is_named() {
    for (func, problem) in [
        (&[4, 11, 1, 0][..], "record size"),
        (&[9, 11, 1, 0], "record size"),
        (&[8], "no blocks"),
        (&[8, 11], "block's header"),
        (&[8, 11, 0], "no records"),
        (&[8, 11, 2, 0, 3], "ends behind the list"),
        (&[8, 11, u32::MAX, 0, 3], "ends behind the list"),
    ] {
        let error = BtfExt::parse(section(func, &[], &[]))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("func_info") && error.contains(problem),
            "{error}"
        );
    }
}

#[test]
fn truncated_or_flipped_input_never_panics() {
    let data = sample();
    for len in 0..data.len() {
        assert!(BtfExt::parse(&data[..len]).is_err(), "{len}");
    }
    for index in 0..data.len() {
        for bit in 0..8 {
            let mut data = data.clone();
            data[index] ^= 1 << bit;
            if let Ok(ext) = BtfExt::parse(data) {
                let _ = ext
                    .func_infos()
                    .sections()
                    .map(|s| s.iter().count())
                    .sum::<usize>();
                let _ = ext
                    .core_relos()
                    .sections()
                    .map(|s| s.iter().count())
                    .sum::<usize>();
            }
        }
    }
}

#[test]
fn rewriting_reaches_every_id_and_offset() {
    for data in [sample(), swapped(&sample())] {
        let ext = BtfExt::parse(data.clone()).unwrap();
        let up = |value: u32| value + 100;
        let new = ext
            .rewrite(|id| Ok(TypeId(up(id.0))), |offset| Ok(up(offset)))
            .unwrap();
        assert_eq!(new.to_bytes(Endian::HOST), new.raw_bytes());
        let funcs: Vec<_> = new.func_infos().sections().collect();
        assert_eq!(funcs[1].section_name_off, 112);
        assert_eq!(funcs[0].get(1).unwrap().type_id, TypeId(104));
        let line = new.line_infos().sections().next().unwrap().get(0).unwrap();
        assert_eq!(
            (line.file_name_off, line.line_off, line.line),
            (120, 130, 7)
        );
        let core = new.core_relos().sections().next().unwrap().get(0).unwrap();
        assert_eq!(
            (core.type_id, core.access_str_off, core.kind),
            (TypeId(102), 150, 12)
        );
        let down = |value: u32| value - 100;
        let old = new
            .rewrite(|id| Ok(TypeId(down(id.0))), |offset| Ok(down(offset)))
            .unwrap();
        assert_eq!(old.to_bytes(old.endian()), data);
    }
}
