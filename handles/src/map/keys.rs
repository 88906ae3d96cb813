//! Walks through keys, bounded also on a map that changes meanwhile.

use super::{Map, UpdateFlags};
use crate::Error;

/// How often a walk may start over before it gives up.
const MOST_RESTARTS: u32 = 16;

/// A walk through the keys of a map, see [`Map::keys`].
#[derive(Clone, Debug)]
pub struct Keys {
    map: Map,
    state: State,
    given: Vec<u8>,
    ahead: Vec<u8>,
    /// The first key since the start, or since it started over.
    first: Vec<u8>,
    /// Keys since then.
    pass: u32,
    restarts: u32,
    total: u64,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Start,
    /// Nothing is known of what comes after the key given last.
    After,
    /// The next key is known already.
    Ahead,
    End,
}

impl Map {
    /// All keys, in the kernel's own order. An error is the last item.
    ///
    /// The element of the key given last may be deleted without harm. When others delete elements of
    /// a hash map, the kernel may start over, so that keys come again: [`Keys::restarts`] counts that.
    /// The walk ends in any case, with [`Error::Unsteady`] after the 17th such start.
    #[must_use]
    pub fn keys(&self) -> Keys {
        let key = vec![0; self.key_size() as usize];
        Keys {
            map: self.clone(),
            state: State::Start,
            given: key.clone(),
            ahead: key.clone(),
            first: key,
            pass: 0,
            restarts: 0,
            total: 0,
        }
    }

    /// The key after `key` in the kernel's own order, `None` after the last; without one, the first.
    /// An unknown key of a hash map, such as one deleted in the meantime, is followed by the first.
    ///
    /// # Errors
    /// A key of the wrong size, and what the kernel says.
    #[doc(alias = "bpf_map__get_next_key")]
    pub fn next_key(&self, key: Option<&[u8]>) -> Result<Option<Vec<u8>>, Error> {
        let mut next = vec![0; self.key_size() as usize];
        Ok(self.next_key_into(key, &mut next)?.then_some(next))
    }

    /// As [`Self::next_key`], into `next`; whether there is one.
    ///
    /// # Errors
    /// A key of the wrong size, and what the kernel says.
    pub fn next_key_into(&self, key: Option<&[u8]>, next: &mut [u8]) -> Result<bool, Error> {
        let found = self.kernel().next_key(key, next);
        self.present(found, "walk through its keys", || {
            // The one that is of another size, if one is.
            let wrong = key.filter(|key| key.len() != self.key_size() as usize);
            (wrong.unwrap_or(next), None, UpdateFlags::ANY)
        })
    }
}

impl Keys {
    /// How often the walk has started over because the map changed: keys given before each such
    /// start may come once more.
    #[must_use]
    pub const fn restarts(&self) -> u32 {
        self.restarts
    }

    /// The next key, without an allocation; `None` after the last.
    ///
    /// # Errors
    /// What the kernel says, and [`Error::Unsteady`]; it is the end as well.
    pub fn advance(&mut self) -> Result<Option<&[u8]>, Error> {
        let state = std::mem::replace(&mut self.state, State::End);
        let is_there = match state {
            State::Start => self.map.next_key_into(None, &mut self.given)?,
            State::After => self
                .map
                .next_key_into(Some(&self.given), &mut self.ahead)
                .inspect(|_| std::mem::swap(&mut self.given, &mut self.ahead))?,
            State::Ahead => {
                std::mem::swap(&mut self.given, &mut self.ahead);
                true
            }
            State::End => false,
        };
        if !is_there {
            return Ok(None);
        }
        self.count()?;
        // Looked up before the key is given, so that whoever deletes it does not lose the place.
        let next = self.map.next_key_into(Some(&self.given), &mut self.ahead);
        self.state = match next {
            Ok(true) => State::Ahead,
            Ok(false) => State::End,
            Err(_) => State::After,
        };
        Ok(Some(&self.given))
    }

    /// Notices that the walk started over: by its first key, or by more keys than the map holds.
    fn count(&mut self) -> Result<(), Error> {
        let most = match self.map.max_entries() {
            0 => u32::MAX,
            most => most,
        };
        if self.pass != 0 && (self.pass >= most || self.given == self.first) {
            self.restarts = self.restarts.saturating_add(1);
            self.pass = 0;
        }
        if self.restarts > MOST_RESTARTS {
            return Err(Error::unsteady(&self.map, self.total));
        }
        if self.pass == 0 {
            self.first.copy_from_slice(&self.given);
        }
        self.pass = self.pass.saturating_add(1);
        self.total = self.total.saturating_add(1);
        Ok(())
    }
}

impl Iterator for Keys {
    type Item = Result<Vec<u8>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance()
            .map(|key| key.map(<[u8]>::to_vec))
            .transpose()
    }
}

impl std::iter::FusedIterator for Keys {}
