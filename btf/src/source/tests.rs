use super::*;
use crate::builder::BtfBuilder;
use crate::error::Error;
use crate::raw::Endian;
use crate::types::IntEncoding;

fn btf(endian: Endian) -> Vec<u8> {
    let mut btf = BtfBuilder::new();
    btf.add_int("int", 4, IntEncoding::SIGNED).unwrap();
    btf.to_bytes(endian).unwrap()
}

/// An ELF file of 64 bits that has nothing but these sections.
fn elf(sections: &[(&str, &[u8])]) -> Vec<u8> {
    let mut names = vec![0];
    let (mut content, mut headers) = (Vec::new(), vec![0u8; 64]);
    let all = sections.iter().copied().chain([(".shstrtab", &[][..])]);
    for (name, data) in all {
        let name_at = names.len() as u32;
        names.extend(name.bytes().chain([0]));
        let is_names = name == ".shstrtab";
        let data = if is_names {
            names.clone()
        } else {
            data.to_vec()
        };
        headers.extend(name_at.to_le_bytes());
        headers.extend((if is_names { 3u32 } else { 1 }).to_le_bytes());
        for field in [0, 0, 64 + content.len() as u64, data.len() as u64] {
            headers.extend(field.to_le_bytes());
        }
        headers.extend([0; 8]);
        headers.extend([1u64, 0].map(u64::to_le_bytes).concat());
        content.extend(data);
    }
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    file.extend([2u16, 62].map(u16::to_le_bytes).concat());
    file.extend(1u32.to_le_bytes());
    file.extend(
        [0, 0, 64 + content.len() as u64]
            .map(u64::to_le_bytes)
            .concat(),
    );
    file.extend(0u32.to_le_bytes());
    let count = sections.len() as u16 + 2;
    file.extend(
        [64u16, 0, 0, 64, count, count - 1]
            .map(u16::to_le_bytes)
            .concat(),
    );
    file.extend(content);
    file.extend(headers);
    file
}

#[test]
fn raw_btf_is_taken_as_it_is() {
    for endian in [Endian::Little, Endian::Big] {
        let raw = btf(endian);
        assert_eq!(find(&raw).unwrap().btf, raw);
    }
}

#[test]
fn sections_of_an_elf_file_are_found() {
    let raw = btf(Endian::HOST);
    let file = elf(&[(".BTF", &raw), (".BTF.base", b"base"), (".BTF.ext", b"ext")]);
    let found = find(&file).unwrap();
    assert_eq!(found.btf, raw);
    assert_eq!(found.base.unwrap(), b"base");
    assert_eq!(found.ext.unwrap(), b"ext");
}

#[test]
fn file_without_btf_says_so() {
    for file in [&elf(&[(".text", b"x")])[..], &elf(&[(".BTF", b"")])] {
        let error = find(file).unwrap_err().to_string();
        assert!(error.contains("no section .BTF"), "{error}");
    }
    for file in [&b""[..], b"hello", b"\x1f"] {
        assert!(matches!(find(file), Err(Error::NoBtf { .. })));
    }
    let error = find(b"\x7fELF but cut off").unwrap_err();
    assert!(matches!(error, Error::Container { what: "ELF", .. }));
}

#[cfg(feature = "compressed")]
mod packed {
    use std::io::Write as _;

    use super::*;
    use crate::btf::Btf;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn compressed_module_is_unpacked() {
        let raw = btf(Endian::HOST);
        assert_eq!(find(&gzip(&elf(&[(".BTF", &raw)]))).unwrap().btf, raw);
    }

    #[test]
    fn kernel_is_found_in_its_image() {
        let raw = btf(Endian::HOST);
        let false_start = b"boot code \x1f\x8b\x08 and more";
        let image = [&false_start[..], &gzip(&elf(&[(".BTF", &raw)])), b"tail"].concat();
        assert_eq!(find(&image).unwrap().btf, raw);
    }

    #[test]
    fn largest_btf_of_an_image_without_headers_counts() {
        for endian in [Endian::Little, Endian::Big] {
            let small = btf(endian);
            let mut large = BtfBuilder::new();
            for number in 0..5 {
                large.add_float(&format!("f{number}"), 4).unwrap();
            }
            let large = large.to_bytes(endian).unwrap();
            let memory = [b"code", &small[..], b"data!", &large, b"bss"].concat();
            for image in [
                memory.clone(),
                gzip(&memory),
                [b"boot", &gzip(&memory)[..]].concat(),
            ] {
                let found = find(&image).unwrap().btf;
                assert_eq!(found, large);
                assert!(Btf::parse(found).is_ok());
            }
        }
    }

    #[test]
    fn length_behind_an_lz4_kernel_is_no_data() {
        let elf = elf(&[(".BTF", &btf(Endian::HOST))]);
        // One block of nothing but literals, as the format of old kernels has it.
        let mut block = vec![0xf0];
        let mut left = elf.len() - 15;
        while left >= 255 {
            block.push(255);
            left -= 255;
        }
        block.push(left as u8);
        block.extend(&elf);
        let mut image = b"boot".to_vec();
        image.extend(0x184c_2102_u32.to_le_bytes());
        image.extend((block.len() as u32).to_le_bytes());
        image.extend(&block);
        image.extend((elf.len() as u32).to_le_bytes());
        assert_eq!(find(&image).unwrap().btf, btf(Endian::HOST));
    }

    #[test]
    fn a_file_that_grows_without_end_is_refused() {
        let error = find(&gzip(&vec![0; 64 << 20])).unwrap_err();
        let Error::Container { source, .. } = error else {
            panic!("{error}");
        };
        assert!(source.to_string().contains("grows"), "{source}");
    }

    #[test]
    fn an_image_of_nothing_but_starts_is_refused() {
        for start in [
            &b"\x1f\x8b\x08\0"[..],
            b"\xfd7zXZ\0\0\0",
            b"\x28\xb5\x2f\xfd\0\x68\0\0",
            b"\x02\x21\x4c\x18\x08\0\0\0",
        ] {
            let image = [b"boot", &start.repeat((64 << 10) / start.len())[..]].concat();
            assert!(find(&image).is_err());
        }
    }

    #[test]
    fn a_small_file_takes_no_large_window() {
        // The start of a frame that wants 128 MiB, and of one that wants 8.
        let of = |window| [b"\x28\xb5\x2f\xfd", &[0, window][..]].concat();
        let why = |file: Vec<u8>| match find(&file).unwrap_err() {
            Error::Container { source, .. } => source.to_string(),
            error => panic!("{error}"),
        };
        assert!(why(of(17 << 3)).contains("window"), "{}", why(of(17 << 3)));
        assert!(!why(of(13 << 3)).contains("window"), "{}", why(of(13 << 3)));
    }

    #[test]
    fn damaged_data_is_an_error() {
        let mut packed = gzip(&elf(&[(".BTF", &btf(Endian::HOST))]));
        packed.truncate(packed.len() / 2);
        let error = find(&packed).unwrap_err();
        assert!(matches!(error, Error::Container { what: "gzip", .. }));
    }
}
