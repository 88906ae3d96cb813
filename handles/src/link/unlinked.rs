//! What is attached without a link of the kernel's: it stays so until it is detached on purpose.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::Error;

/// How something is detached. Called again only if it failed.
pub(crate) type Undo = Box<dyn FnMut() -> Result<(), Error> + Send>;

/// Such an attachment; detached when dropped, unless it is to stay.
pub(crate) struct Unlinked(Mutex<State>);

struct State {
    undo: Option<Undo>,
    stays: bool,
}

impl Unlinked {
    pub(crate) fn new(undo: impl FnMut() -> Result<(), Error> + Send + 'static) -> Self {
        Self(Mutex::new(State {
            undo: Some(Box::new(undo)),
            stays: false,
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Dropping it will not detach.
    pub(crate) fn stay(&self) {
        self.state().stays = true;
    }

    /// Detaches; once more does nothing.
    pub(crate) fn detach(&self) -> Result<(), Error> {
        let mut state = self.state();
        if let Some(undo) = &mut state.undo {
            undo()?;
        }
        state.undo = None;
        Ok(())
    }
}

impl Drop for Unlinked {
    fn drop(&mut self) {
        if self.state().stays {
            return;
        }
        // Nobody is left to try again.
        if let Err(error) = self.detach().or_else(|_| self.detach()) {
            log::warn!("it stays attached: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn counted() -> (Arc<AtomicU32>, Unlinked) {
        let count = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&count);
        let undo = move || match counter.fetch_add(1, Ordering::Relaxed) {
            0 => Err(Error::invalid("test", "not yet")),
            _ => Ok(()),
        };
        (count, Unlinked::new(undo))
    }

    #[test]
    fn detaching_is_tried_again_until_it_works() {
        let (count, unlinked) = counted();
        assert!(unlinked.detach().is_err());
        unlinked.detach().unwrap();
        unlinked.detach().unwrap();
        drop(unlinked);
        assert_eq!(count.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn dropping_tries_once_more() {
        let (count, unlinked) = counted();
        drop(unlinked);
        assert_eq!(count.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn what_is_to_stay_is_not_detached_by_dropping() {
        let (count, unlinked) = counted();
        unlinked.stay();
        drop(unlinked);
        assert_eq!(count.load(Ordering::Relaxed), 0);
    }
}
