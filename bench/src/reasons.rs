//! What is refused before the kernel is asked, by whom, and whether for the same reason.

use std::collections::BTreeMap;

use crate::report::Failure;

/// Parts of messages that mean the same: libbpf's, ours.
const SAME: &[(&str, &str)] = &[];

/// Whether the messages of both sides mean the same, as far as the table knows.
fn is_same(theirs: &Failure, ours: &Failure) -> bool {
    let (theirs, ours) = (theirs.text(), ours.text());
    SAME.iter()
        .any(|(their, our)| theirs.contains(their) && ours.contains(our))
}

/// A message without what differs from file to file: numbers, names in quotes.
fn normal(message: &str) -> String {
    let mut text = String::new();
    let mut quote = None;
    for char in message.chars() {
        match (quote, char) {
            (Some(end), _) if char == end => {
                quote = None;
                text += "_";
                text.push(char);
            }
            (Some(_), _) => {}
            // Not an apostrophe.
            (None, '\'' | '`' | '"') if !text.ends_with(char::is_alphanumeric) => {
                quote = Some(char);
                text.push(char);
            }
            (None, '0'..='9') if text.ends_with('#') => {}
            (None, '0'..='9') => text.push('#'),
            _ => text.push(char),
        }
    }
    text
}

/// What both say of the same thing, normalised, and whether that is the same reason.
type Pair = (String, String, bool);

/// Refusals of both sides.
#[derive(Default)]
pub struct Refusals {
    libbpf: usize,
    both: usize,
    same: usize,
    ours: usize,
    /// How often, and one example.
    pairs: BTreeMap<Pair, (usize, String)>,
}

impl Refusals {
    /// One object or program; a side that failed in the kernel, or not at all, did not refuse it.
    pub fn add(&mut self, what: &str, theirs: Option<&Failure>, ours: Option<&Failure>) {
        let refused = |side: Option<&Failure>| side.is_some_and(|failure| !failure.by_kernel);
        let is_same = match (refused(theirs), refused(ours), theirs, ours) {
            (true, true, Some(theirs), Some(ours)) => {
                let is_same = is_same(theirs, ours);
                self.libbpf += 1;
                self.both += 1;
                self.same += usize::from(is_same);
                is_same
            }
            (true, ..) => {
                self.libbpf += 1;
                false
            }
            (false, true, ..) => {
                self.ours += 1;
                false
            }
            _ => return,
        };
        let said = |side: Option<&Failure>| match side {
            Some(Failure {
                by_kernel: true, ..
            }) => "(the kernel refuses it)".to_owned(),
            Some(failure) => normal(&failure.text()),
            None => "(takes it)".to_owned(),
        };
        let pair = (said(theirs), said(ours), is_same);
        let entry = self.pairs.entry(pair).or_insert((0, what.to_owned()));
        entry.0 += 1;
    }

    /// Prints each pair of messages with its count and an example, the most frequent first.
    pub fn print(&self) {
        let mut pairs: Vec<_> = self.pairs.iter().collect();
        pairs.sort_by_key(|(_, (count, _))| std::cmp::Reverse(*count));
        for ((theirs, ours, is_same), (count, example)) in pairs {
            let verdict = match (is_same, ours.starts_with('('), theirs.starts_with('(')) {
                (true, ..) => "SAME",
                (_, true, _) => "ONLY LIBBPF",
                (_, _, true) => "ONLY PUREBPF",
                _ => "UNJUDGED",
            };
            println!(
                "{verdict} {count} times, as {example}\n    libbpf:  {theirs}\n    purebpf: {ours}"
            );
        }
        let percent = |part: usize| 100.0 * part as f64 / self.libbpf.max(1) as f64;
        println!("refused by libbpf            {}", self.libbpf);
        println!(
            "of these by purebpf          {} ({:.2} %), {} ({:.2} %) for the same reason",
            self.both,
            percent(self.both),
            self.same,
            percent(self.same)
        );
        println!("refused by purebpf alone     {}", self.ours);
    }
}
