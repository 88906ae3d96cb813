//! The only other program of an empty machine: mounts what BPF needs, runs each line of `/job` while
//! processes start and end, says how many failed, and ends the machine.

use std::error::Error;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};

/// Type and place of each file system.
const MOUNTS: [(&str, &str); 5] = [
    ("devtmpfs", "/dev"),
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("bpf", "/sys/fs/bpf"),
    ("tracefs", "/sys/kernel/tracing"),
];
/// What this program does when it is told so: nothing, for others to watch.
const NOTHING: &str = "nothing";
const LIMIT: Duration = Duration::from_secs(60);

#[expect(clippy::print_stdout, reason = "the console is read outside")]
fn main() -> Result<(), Box<dyn Error>> {
    if std::env::args().nth(1).is_some_and(|word| word == NOTHING) {
        return Ok(());
    }
    for (kind, place) in MOUNTS {
        std::fs::create_dir_all(place)?;
        mount(
            Some(kind),
            place,
            Some(kind),
            MsFlags::empty(),
            None::<&str>,
        )?;
    }
    let mut failed = 0u32;
    for line in std::fs::read_to_string("/job")?.lines() {
        let begin = Instant::now();
        let status = run(line)?;
        println!("-- {line}: {status}, {} ms", begin.elapsed().as_millis());
        failed = failed.saturating_add(u32::from(status != "ok"));
    }
    println!("@@EXIT {failed}@@");
    reboot(RebootMode::RB_POWER_OFF)?;
    Ok(())
}

/// Runs a program to its end, and how it ended.
fn run(line: &str) -> Result<String, Box<dyn Error>> {
    let mut words = line.split_whitespace();
    let mut child = Command::new(words.next().unwrap_or_default())
        .args(words)
        .stdin(Stdio::null())
        .spawn()?;
    let begin = Instant::now();
    loop {
        match child.try_wait()? {
            Some(status) if status.success() => return Ok("ok".to_owned()),
            Some(status) => return Ok(status.to_string()),
            None if begin.elapsed() > LIMIT => child.kill()?,
            None => {
                Command::new("/init").arg(NOTHING).status()?;
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}
