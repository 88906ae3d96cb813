//! A process that does all there is to do with an object, turn by turn, while another looks at its calls
//! and lets some of them fail.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

use std::arch::asm;
use std::io::{BufRead as _, BufReader, Lines};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, Uid, gettid, setresuid};

use crate::census;
use crate::intercept::{self, Call, Traced};
use crate::turn::{Job, Part};

const ROOT: &str = "PUREBPF_TEST_BPFFS";
const OBJECT: &str = "PUREBPF_TEST_OBJECT";
const GROUP: &str = "PUREBPF_TEST_GROUP";
const FIRST: &str = "PUREBPF_TEST_FIRST";
const ATTACHES: &str = "PUREBPF_TEST_ATTACHES";

/// How many programs of an object are loaded at a time: a turn that attaches many takes seconds.
pub(crate) const PROGRAMS: usize = 4;

/// A process that takes longer from one report to the next is killed.
const LIMIT: Duration = Duration::from_secs(60);

/// What a victim said of one turn.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) failed: Vec<String>,
    /// What is there in the end is not what would be.
    pub(crate) differs: Option<String>,
    /// What it holds, or holds no longer.
    pub(crate) left: Vec<String>,
}

/// The function that a fixture has uprobes on.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn purebpf_probed(value: u64) -> u64 {
    std::hint::black_box(value) + 1
}

/// The static probe that a fixture is for, at two places: instructions that do nothing, and a note
/// about each.
#[inline(never)]
fn pass_probes() {
    macro_rules! probe {
        () => {
            // SAFETY: it does nothing; the rest goes into a section that is not loaded.
            unsafe {
                asm!(
                    "990: nop",
                    ".pushsection .note.stapsdt, \"?\", \"note\"",
                    ".balign 4",
                    ".4byte 992f-991f, 994f-993f, 3",
                    "991: .asciz \"stapsdt\"",
                    "992: .balign 4",
                    "993: .8byte 990b, 0, 0",
                    ".asciz \"purebpf\"",
                    ".asciz \"plain\"",
                    ".asciz \"-4@%ecx\"",
                    "994: .balign 4",
                    ".popsection",
                    in("ecx") 1,
                    options(nostack)
                )
            }
        };
    }
    probe!();
    probe!();
}

#[test]
#[ignore = "run by another test, for one fixture"]
fn victim() {
    let [Some(root), Some(object), Some(group)] = [ROOT, OBJECT, GROUP].map(std::env::var_os)
    else {
        return;
    };
    let first: usize = std::env::var(FIRST).unwrap().parse().unwrap();
    let part = Part {
        programs: first..first + PROGRAMS,
        attaches: std::env::var_os(ATTACHES).is_some(),
    };
    // Programs are the real user's, rights those of the effective one.
    let same = Uid::from_raw(u32::MAX);
    setresuid(user(std::process::id()), same, same).unwrap();
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).unwrap();
    // What others mount does not show here.
    let (none, private) = (None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE);
    mount(none, "/", none, private, none).unwrap();
    let job = Job::new(object.into(), root.into(), group.into(), part);
    // Without being called they would not be there.
    purebpf_probed(1);
    pass_probes();
    intercept::submit();
    println!("\nthread {}", gettid());
    let expected = job.turn(|| ());
    let mut held = census::held(job.root());
    println!("refused {}", expected.there.is_none());
    println!("links {}", job.links());
    loop {
        // Here it holds nothing.
        intercept::mark();
        let outcome = job.turn(intercept::mark);
        let left = census::held(job.root());
        // Mounts go away where somebody else removes the folder.
        let is_own = |line: &&String| !line.starts_with(census::MOUNTS);
        let missing = held.difference(&left).filter(is_own);
        for line in left.difference(&held).chain(missing) {
            println!("left {line}");
        }
        if left != held {
            // Said once.
            job.sweep();
            held = census::held(job.root());
        }
        let of_expected = |line: &&String| expected.failed.contains(line);
        for line in outcome.failed.iter().filter(|line| !of_expected(line)) {
            println!("failed {line}");
        }
        if outcome != expected {
            println!("differs {outcome:?}");
        }
        println!("end");
    }
}

/// The user that a process's programs are of, and no other's.
pub(crate) fn user(process: u32) -> Uid {
    Uid::from_raw(1_000_000 + process)
}

/// A process that does one fixture, stopped at a mark before a turn. It is killed in the end.
pub(crate) struct Victim {
    pub(crate) process: u32,
    traced: Option<Traced>,
    lines: Lines<BufReader<ChildStdout>>,
    /// Who is told nothing for too long kills the process, as when this is dropped.
    alive: Option<mpsc::Sender<()>>,
    watchdog: Option<JoinHandle<()>>,
    pub(crate) is_refused: bool,
    /// How many programs and struct_ops maps can be attached.
    pub(crate) links: usize,
    pub(crate) root: String,
}

impl Victim {
    /// `None` if the process ends before it comes to its first mark.
    pub(crate) fn start(object: &Path, root: &Path, group: &Path, part: &Part) -> Option<Self> {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["victim::victim", "--exact", "--ignored", "--nocapture"])
            .env(ROOT, root)
            .env(OBJECT, object)
            .env(GROUP, group)
            .env(FIRST, part.programs.start.to_string())
            .envs(part.attaches.then_some((ATTACHES, "")))
            .process_group(0)
            // The target of a link that has none.
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let process = child.id();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (alive, reports) = mpsc::channel();
        let watchdog = std::thread::spawn(move || {
            while reports.recv_timeout(LIMIT).is_ok() {}
            killpg(Pid::from_raw(process.cast_signed()), Signal::SIGKILL).ok();
            child.wait().unwrap();
        });
        let mut victim = Self {
            process,
            traced: None,
            lines,
            alive: Some(alive),
            watchdog: Some(watchdog),
            is_refused: false,
            links: 0,
            root: root.display().to_string(),
        };
        let thread = victim.said("thread ")?.parse().unwrap();
        victim.traced = Traced::first(Pid::from_raw(thread));
        victim.is_refused = victim.said("refused ")? == "true";
        victim.links = victim.said("links ")?.parse().unwrap();
        victim.traced.is_some().then_some(victim)
    }

    /// The rest of the next line that begins like this.
    fn said(&mut self, start: &str) -> Option<String> {
        let rest = |line: String| line.strip_prefix(start).map(str::to_owned);
        self.lines.by_ref().map_while(Result::ok).find_map(rest)
    }

    /// One turn whose calls `judge` is shown as [`Traced::watch`] says; `None` if the process ends over
    /// it.
    pub(crate) fn turn(
        &mut self,
        judge: impl FnMut(&Call<'_>) -> Option<Option<Errno>>,
    ) -> Option<Report> {
        let traced = self.traced.as_ref()?;
        traced.pass()?;
        traced.watch(judge)?;
        traced.pass()?;
        self.alive.as_ref()?.send(()).ok()?;
        let mut report = Report::default();
        for line in self.lines.by_ref().map_while(Result::ok) {
            let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
            let rest = rest.to_owned();
            match word {
                "failed" => report.failed.push(rest),
                "left" => report.left.push(rest),
                "differs" => report.differs = Some(rest),
                "end" => return Some(report),
                _ => {}
            }
        }
        None
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        self.alive = None;
        if let Some(traced) = &self.traced {
            traced.wait_for_its_end();
        }
        self.watchdog.take().unwrap().join().unwrap();
    }
}
