//! Programs and BTF on the running kernel.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod common;

use common::{
    FileSystem, attributes, count, counter, counting, lacks, load, older_than, root, since,
};
use purebpf_handles::{
    BtfId, BtfObject, Errno, Error, Map, Program, ProgramAttributes, ProgramId, RunStatistics,
    TestRun,
};
use purebpf_insn::{ProgramFlags, ProgramType, build, opcode as op};
use std::os::fd::AsFd;

#[test]
fn test_run_gives_result_and_data() {
    if !root() {
        return;
    }
    let map = counter();
    let program = load(ProgramType::XDP, counting(&map, 2));
    let packet: Vec<u8> = (0..64).collect();
    let run = TestRun::new().data(&packet).data_out(100).repeat(5);
    let result = program.test_run(&run).unwrap();
    assert_eq!((result.return_value, result.truncated), (2, false));
    assert_eq!(result.data, packet);
    assert_eq!(count(&map), 5);
    let result = program
        .test_run(&TestRun::new().data(&packet).data_out(10))
        .unwrap();
    assert!(result.truncated);
    assert_eq!(result.data, packet[..10]);
    // Its context is of 24 bytes, and knows nothing of what is outside the packet.
    let error = program
        .test_run(&TestRun::new().data(&packet).context(&[0xff; 24]))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "program `test_program`: cannot run it on given data"
    );
}

#[test]
fn a_system_call_program_writes_its_context() {
    if !root() || older_than(5, 14, "programs that make system calls") {
        return;
    }
    let insns = vec![
        build::load(op::DW, 2, 1, 0),
        build::add64_imm(2, 1),
        build::store(op::DW, 1, 8, 2),
        build::mov64_imm(0, 0),
        build::exit(),
    ];
    let attributes = ProgramAttributes {
        flags: ProgramFlags::SLEEPABLE,
        ..attributes(ProgramType::SYSCALL, insns)
    };
    let program = Program::load(&attributes).unwrap();
    let run = TestRun::new().context(&[7; 16]);
    // What is given can be given again.
    for _ in 0..2 {
        let result = program.test_run(&run).unwrap();
        let next = u64::from_ne_bytes([7; 8]) + 1;
        assert_eq!(result.context, [[7; 8], next.to_ne_bytes()].concat());
    }
}

#[test]
fn a_signature_that_is_none_is_refused() {
    if !root() || older_than(6, 18, "signed programs") {
        return;
    }
    let insns = vec![build::mov64_imm(0, 0), build::exit()];
    let attributes = attributes(ProgramType::XDP, insns);
    Program::load(&attributes).unwrap();
    let signed = ProgramAttributes {
        signature: vec![1; 64],
        ..attributes
    };
    Program::load(&signed).unwrap_err();
}

#[test]
fn rejected_program_comes_with_the_whole_log() {
    if !root() {
        return;
    }
    let bad = vec![build::load(op::DW, 0, 1, 0x7000), build::exit()];
    let error = Program::load(&attributes(ProgramType::XDP, bad)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "program `test_program`: the kernel does not accept it"
    );
    assert_eq!(error.errno(), Some(Errno::EACCES));
    let Error::Rejected { log, .. } = error else {
        panic!("{error:?}")
    };
    assert!(log.contains("invalid bpf_context access"), "{log}");
}

#[test]
fn log_longer_than_the_first_buffer_is_whole() {
    if !root() {
        return;
    }
    // Eight thousand instructions that the log shows one by one, then one that is wrong.
    let mut bad = vec![build::mov64_imm(0, 0); 8000];
    bad.extend([build::load(op::DW, 0, 1, 0x7000), build::exit()]);
    let error = Program::load(&attributes(ProgramType::XDP, bad)).unwrap_err();
    let Error::Rejected { log, .. } = error else {
        panic!("{error:?}")
    };
    assert!(log.len() > 64 << 10, "{}", log.len());
    assert!(
        log.contains("invalid bpf_context access"),
        "the end is missing"
    );
}

#[test]
fn a_program_is_the_same_whatever_it_was_opened_by() {
    if !root() {
        return;
    }
    let bpffs = FileSystem::mount("bpf");
    let map = counter();
    let program = load(ProgramType::SOCKET_FILTER, counting(&map, 1));
    assert!(program.expected_attach_type().is_some());
    let path = bpffs.path("program");
    program.pin(&path).unwrap();
    let by_fd = Program::from_fd(program.as_fd().try_clone_to_owned().unwrap()).unwrap();
    let opened = [
        Program::from_id(program.id()).unwrap(),
        Program::from_pin(&path).unwrap(),
        by_fd,
    ];
    for other in opened {
        assert_eq!(
            (other.id(), other.tag(), other.name()),
            (program.id(), program.tag(), "test_program")
        );
        assert_eq!(other.program_type(), ProgramType::SOCKET_FILTER);
        assert_eq!(other.expected_attach_type(), None);
        assert_eq!(other.map_ids().unwrap(), [map.id()]);
        assert!(other.info().unwrap().gpl_compatible);
        assert!(other.translated_instructions().unwrap().len() >= 10);
    }
    assert!(program.is_pinned().unwrap());
    let error = Map::from_pin(&path).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("the fd is a program, expected a map"),
        "{error}"
    );
    let error = Program::from_fd(map.as_fd().try_clone_to_owned().unwrap()).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("the fd is a map, expected a program"),
        "{error}"
    );
    program.unpin().unwrap();
    assert!(ProgramId::all().any(|id| id.unwrap() == program.id()));
    assert!(Program::all().any(|other| other.unwrap().id() == program.id()));
}

#[test]
fn statistics_are_counted_while_they_are_on() {
    if !root() {
        return;
    }
    let map = counter();
    let program = load(ProgramType::XDP, counting(&map, 2));
    let run = TestRun::new().data(&[0; 64]).repeat(10);
    let statistics = RunStatistics::enable().unwrap();
    let other = statistics.clone();
    drop(statistics);
    program.test_run(&run).unwrap();
    drop(other);
    let info = program.info().unwrap();
    assert_eq!(info.run_count, 10);
    assert!(!info.run_time.is_zero());
}

#[test]
fn a_test_run_has_every_option() {
    if !root() || older_than(5, 18, "frames that are sent") {
        return;
    }
    // XDP_DROP, at the first byte behind the Ethernet header.
    let program = load(
        ProgramType::XDP,
        vec![build::mov64_imm(0, 1), build::exit()],
    );
    let mut run = TestRun::new().data(&[1; 64]).repeat(4);
    let result = program.test_run(&run.clone().data_out(16)).unwrap();
    assert_eq!((result.return_value, &*result.data), (1, &[1; 16][..]));
    assert!(result.truncated);
    // A frame that is sent comes from a device: the loopback.
    let context: Vec<u8> = [0_u32, 64, 0, 1, 0, 0].map(u32::to_ne_bytes).concat();
    run = run.context(&context);
    let result = program.test_run(&run.clone().context_out(24)).unwrap();
    assert_eq!(result.context, context);
    // Somebody else may have had the statistics on until now.
    let before = program.info().unwrap().run_count;
    let statistics = RunStatistics::enable().unwrap();
    program.test_run(&run.live_frames(2)).unwrap();
    drop(statistics);
    assert_eq!(program.info().unwrap().run_count - before, 4);
    let filter = load(
        ProgramType::SCHED_CLS,
        vec![build::mov64_imm(0, 0), build::exit()],
    );
    let run = TestRun::new().data(&[0; 64]);
    let checked = filter.test_run(&run.checksum_complete());
    // Kernels before 6.11 refuse the flag, or pass over it.
    assert!(checked.is_ok() || !since(6, 11), "{checked:?}");
}

#[test]
fn bound_map_is_among_the_programs_maps() {
    if !root() {
        return;
    }
    let map = counter();
    let program = load(
        ProgramType::XDP,
        vec![build::mov64_imm(0, 2), build::exit()],
    );
    assert_eq!(program.map_ids().unwrap(), []);
    program.bind_map(&map).unwrap();
    assert_eq!(program.map_ids().unwrap(), [map.id()]);
}

#[test]
fn btf_is_loaded_and_read_back() {
    if !root() {
        return;
    }
    // Header, then one `int` of 32 bits, then two strings.
    let mut data = Vec::new();
    data.extend(0xeb9f_u16.to_ne_bytes());
    data.extend([1, 0]);
    data.extend(
        [24_u32, 0, 16, 16, 5]
            .iter()
            .flat_map(|word| word.to_ne_bytes()),
    );
    data.extend(
        [1_u32, 1 << 24, 4, 1 << 24 | 32]
            .iter()
            .flat_map(|word| word.to_ne_bytes()),
    );
    data.extend(b"\0int\0");
    let btf = BtfObject::load(&data, None).unwrap();
    assert_eq!(btf.data().unwrap(), data);
    let info = btf.info().unwrap();
    assert_eq!(
        (info.size as usize, info.is_kernel, &*info.name),
        (data.len(), false, "")
    );
    let again = BtfObject::from_id(BtfId(info.id)).unwrap();
    assert_eq!(again.data().unwrap(), data);
    data[24] = 200;
    let error = BtfObject::load(&data, None).unwrap_err();
    let Error::Rejected { log, .. } = &error else {
        panic!("{error:?}")
    };
    assert!(log.contains("Invalid name"), "{log}");
}

#[test]
fn btf_of_the_kernel_is_named() {
    if !root() || older_than(5, 11, "names of BTF") {
        return;
    }
    let vmlinux = BtfObject::all().map(Result::unwrap).find(|btf| {
        let info = btf.info().unwrap();
        info.is_kernel && info.name == "vmlinux"
    });
    if lacks(vmlinux.is_none(), "BTF of the kernel") {
        return;
    }
    let file = std::fs::read("/sys/kernel/btf/vmlinux").unwrap();
    assert!(vmlinux.unwrap().data().unwrap() == file);
}
