//! What came of fuzzing, out of what the fuzzer says.

/// What became of a target.
pub(crate) struct Row {
    pub(crate) target: String,
    pub(crate) counts: Counts,
    /// Inputs of its corpus, once minimised.
    pub(crate) inputs: usize,
    /// What fails: names of inputs.
    pub(crate) findings: Vec<String>,
    /// What the fuzzer said of the last of them.
    pub(crate) said: String,
}

/// What the fuzzer counts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    executions: u64,
    per_second: u64,
    /// Edges of the code that were reached (`cov`).
    edges: u64,
    /// The same by how often they were (`ft`).
    features: u64,
    /// The most memory that the process had, megabytes.
    memory: u64,
}

/// Reads the last counts of a log.
pub(crate) fn read(log: &str) -> Counts {
    let number = |text: &str| text.trim().parse().ok();
    // `stat::NAME: 7`, in the end.
    let stat = |name: &str| {
        let mut lines = log.lines().rev();
        lines.find_map(|line| {
            number(
                line.strip_prefix("stat::")?
                    .strip_prefix(name)?
                    .strip_prefix(':')?,
            )
        })
    };
    // `#1024 NEW cov: 7 ft: 9 corp: 2/3b`, ever again.
    let last = |name: &str| {
        let mut lines = log.lines().rev().filter(|line| line.starts_with('#'));
        lines.find_map(|line| number(line.split_once(name)?.1.split_whitespace().next()?))
    };
    Counts {
        executions: stat("number_of_executed_units").unwrap_or(0),
        per_second: stat("average_exec_per_sec").unwrap_or(0),
        edges: last(" cov: ").unwrap_or(0),
        features: last(" ft: ").unwrap_or(0),
        memory: stat("peak_rss_mb").unwrap_or(0),
    }
}

/// What a log says of a failure: its start, of a long stack the first calls, and the end.
pub(crate) fn failure(log: &str) -> String {
    const FIRST: usize = 40;
    const LAST: usize = 10;
    let is_start = |line: &&str| line.contains("panicked at") || line.contains("ERROR:");
    let lines: Vec<&str> = log.lines().filter(|line| !line.starts_with('#')).collect();
    let start = lines.iter().position(is_start).unwrap_or(0);
    let mut shown = lines.get(start..).unwrap_or_default().to_vec();
    if shown.len() > FIRST + LAST {
        let end = shown.len() - LAST;
        shown.splice(FIRST..end, ["..."]);
    }
    shown.join("\n")
}

/// Prints a line for each target, and what failed.
#[expect(clippy::print_stdout, reason = "the user of a task reads it")]
pub(crate) fn print(rows: &[Row]) {
    println!(
        "{:<16} {:>12} {:>8} {:>7} {:>8} {:>7} {:>6} {:>9}",
        "target", "executions", "/s", "edges", "features", "inputs", "MB", "findings"
    );
    for row in rows {
        let counts = &row.counts;
        println!(
            "{:<16} {:>12} {:>8} {:>7} {:>8} {:>7} {:>6} {:>9}",
            row.target,
            counts.executions,
            counts.per_second,
            counts.edges,
            counts.features,
            row.inputs,
            counts.memory,
            row.findings.len()
        );
    }
    let executions: u64 = rows.iter().map(|row| row.counts.executions).sum();
    let findings: usize = rows.iter().map(|row| row.findings.len()).sum();
    println!(
        "{} targets, {executions} executions, {findings} findings",
        rows.len()
    );
    for row in rows {
        for finding in &row.findings {
            println!("{}: {finding}", row.target);
        }
        if !row.said.is_empty() {
            println!("{}", row.said);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_counts_of_a_log_are_read() {
        let log = "INFO: Seed: 1\n\
            #2\tINITED cov: 3 ft: 4 corp: 1/1b exec/s: 0 rss: 30Mb\n\
            #17\tNEW    cov: 5 ft: 6 corp: 2/3b lim: 4 exec/s: 0 rss: 31Mb L: 2/2 MS: 1 X-\n\
            #99\tDONE   cov: 7 ft: 9 corp: 3/9b lim: 4 exec/s: 49 rss: 32Mb\n\
            Done 99 runs in 2 second(s)\n\
            stat::number_of_executed_units: 99\n\
            stat::average_exec_per_sec:     49\n\
            stat::peak_rss_mb:              32\n";
        let expected = Counts {
            executions: 99,
            per_second: 49,
            edges: 7,
            features: 9,
            memory: 32,
        };
        assert_eq!(read(log), expected);
        assert_eq!(read("it did not start"), Counts::default());
    }

    #[test]
    fn of_a_failure_start_and_end_are_shown() {
        assert_eq!(failure("it did not start"), "it did not start");
        let calls: Vec<String> = (0..200)
            .map(|number| format!("  #{number} 0x1 in f"))
            .collect();
        let log = format!(
            "INFO: Seed: 1\n#2\tINITED cov: 3\n==7==ERROR: stack-overflow\n{}\nSUMMARY: it",
            calls.join("\n")
        );
        let shown = failure(&log);
        assert!(
            shown.starts_with("==7==ERROR: stack-overflow\n  #0 0x1"),
            "{shown}"
        );
        assert!(shown.ends_with("  #199 0x1 in f\nSUMMARY: it"), "{shown}");
        assert_eq!(shown.lines().count(), 51);
    }
}
