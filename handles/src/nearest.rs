//! Names that are much like one that is missing, for errors.

use std::fmt;
use std::path::Path;

/// Names that exist and are much like one that does not, the nearest first; printed as an addition
/// to a sentence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nearest(Box<[Box<str>]>);

/// How many names help; more are a list to search.
const MOST: usize = 3;
/// How much alike names have to be, of 1.
const ALIKE: f64 = 0.7;

impl Nearest {
    /// Those of `known` that are much like `name`.
    pub(crate) fn of(name: &str, known: impl IntoIterator<Item = String>) -> Self {
        let alike = |known: String| {
            let alike = strsim::jaro_winkler(name, &known);
            (alike >= ALIKE).then_some((alike, known))
        };
        let mut names: Vec<(f64, String)> = known.into_iter().filter_map(alike).collect();
        names.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        let names = names.into_iter().take(MOST).map(|(_, name)| name.into());
        Self(names.collect())
    }

    /// Names in the directory of `path`, of what is like it: directories, or anything else.
    pub(crate) fn beside(path: &Path, directories: bool) -> Self {
        let names = || {
            let name = path.file_name()?.to_str()?;
            let entries = std::fs::read_dir(path.parent()?).ok()?;
            let names = entries.filter_map(|entry| {
                let entry = entry.ok()?;
                (entry.path().is_dir() == directories).then(|| entry.file_name())
            });
            let names = names.filter_map(|name| name.into_string().ok());
            Some(Self::of(name, names))
        };
        names().unwrap_or_default()
    }

    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|name| &**name)
    }
}

impl fmt::Display for Nearest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.names().enumerate() {
            let before = if index == 0 { "; there is" } else { "," };
            write!(f, "{before} `{name}`")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_names_come_first_and_others_not_at_all() {
        let known = ["lo", "eth1", "eth0", "docker0", "wlan0"].map(str::to_owned);
        let nearest = Nearest::of("eht0", known.clone());
        assert_eq!(nearest.to_string(), "; there is `eth0`, `eth1`");
        assert_eq!(Nearest::of("zzz", known).to_string(), "");
    }
}
