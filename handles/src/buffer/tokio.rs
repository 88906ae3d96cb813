//! Awaiting records in a tokio runtime.

use std::fmt;
use std::future::poll_fn;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use purebpf_syscall::CallError;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::{PerfBuffer, PerfRecord, Record, RingBuffer};
use crate::Error;

/// A reader whose records can be awaited: of ring buffers, or of a perf buffer.
pub trait Reader: sealed::Reader + AsFd + Unpin {
    /// What it lends.
    type Record<'a>
    where
        Self: 'a;
    #[doc(hidden)]
    fn next_record(&mut self) -> Result<Option<Self::Record<'_>>, Error>;
}

mod sealed {
    pub trait Reader {
        /// Whether there is a record, which stays where it is.
        fn has_record(&self) -> Result<bool, crate::Error>;
    }
}

impl sealed::Reader for RingBuffer {
    fn has_record(&self) -> Result<bool, Error> {
        self.has_record()
    }
}

impl Reader for RingBuffer {
    type Record<'a> = Record<'a>;

    fn next_record(&mut self) -> Result<Option<Record<'_>>, Error> {
        self.next()
    }
}

impl sealed::Reader for PerfBuffer {
    fn has_record(&self) -> Result<bool, Error> {
        self.has_record()
    }
}

impl Reader for PerfBuffer {
    type Record<'a> = PerfRecord<'a>;

    fn next_record(&mut self) -> Result<Option<PerfRecord<'_>>, Error> {
        self.next()
    }
}

/// A [`RingBuffer`] or [`PerfBuffer`] in a tokio runtime (feature `tokio`).
///
/// A `Stream` cannot lend, because its items may outlive its next step, so there are two forms:
/// [`Self::next`] lends a record where it is, without a copy; [`Self::records`] is a `Stream` of what
/// a function makes of each record, which decides what is copied, and into what.
///
/// Either may be dropped at any await: a record that nobody was given stays in the buffer.
///
/// ```no_run
/// # async fn run(map: purebpf_handles::Map) -> Result<(), purebpf_handles::Error> {
/// use purebpf_handles::RingBuffer;
/// use purebpf_handles::buffer::Async;
///
/// let mut events = Async::new(RingBuffer::new(&map)?)?;
/// let record = events.next().await?;
/// println!("{} bytes", record.len());
/// drop(record);
/// let _stream = events.records(|record| record.to_vec());
/// # Ok(()) }
/// ```
pub struct Async<R: Reader> {
    fd: AsyncFd<Registered<R>>,
    /// Whether there may be records that the runtime was never told of, from before it was asked.
    may_have_old: bool,
}

struct Registered<R>(R);

impl<R: AsFd> AsRawFd for Registered<R> {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl<R: Reader> Async<R> {
    /// Registers the reader with the runtime of this task or thread.
    ///
    /// # Errors
    /// No runtime here, and what the kernel says.
    ///
    /// # Panics
    /// In a runtime that was built without `enable_io`, as all of tokio does.
    pub fn new(reader: R) -> Result<Self, Error> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(Error::invalid("buffer", "there is no tokio runtime here"));
        }
        #[allow(
            deprecated,
            reason = "what the unsafe one demands, holds: the reader has one fd as long as it lives"
        )]
        let fd = AsyncFd::with_interest(Registered(reader), Interest::READABLE);
        Ok(Self {
            fd: fd.map_err(failed)?,
            may_have_old: true,
        })
    }

    /// The next record, once there is one.
    ///
    /// # Errors
    /// As [`RingBuffer::next`] or [`PerfBuffer::next`], and what the kernel says; records that
    /// another reader of the same map takes.
    pub async fn next(&mut self) -> Result<R::Record<'_>, Error> {
        poll_fn(|context| self.poll_ready(context)).await?;
        self.take()
    }

    /// A `Stream` of what `make` makes of each record. It ends after an error.
    pub const fn records<T, F>(self, make: F) -> Records<R, F>
    where
        F: FnMut(&R::Record<'_>) -> T,
    {
        Records {
            reader: self,
            make,
            has_failed: false,
        }
    }

    /// The reader.
    #[must_use]
    pub fn get_ref(&self) -> &R {
        &self.fd.get_ref().0
    }

    /// The reader back, out of the runtime.
    #[must_use]
    pub fn into_inner(self) -> R {
        self.fd.into_inner().0
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.may_have_old {
            self.may_have_old = self.get_ref().has_record()?;
            if self.may_have_old {
                return Poll::Ready(Ok(()));
            }
        }
        loop {
            // Ready as long as nothing was missing, so that this is no system call; and the runtime
            // has its say now and then, however fast records come.
            let mut guard = ready!(self.fd.poll_read_ready(context)).map_err(failed)?;
            if guard.get_inner().0.has_record()? {
                return Poll::Ready(Ok(()));
            }
            // Of what came since the guard, tokio keeps that it is ready.
            guard.clear_ready();
        }
    }

    fn take(&mut self) -> Result<R::Record<'_>, Error> {
        let record = self.fd.get_mut().0.next_record()?;
        record.ok_or_else(|| Error::invalid("buffer", "another reader takes its records"))
    }
}

fn failed(error: std::io::Error) -> Error {
    Error::call("buffer", "await it")(CallError::io("epoll_ctl", &error))
}

/// What a function makes of each record of a buffer: see [`Async::records`].
#[must_use = "a stream does nothing unless it is polled"]
pub struct Records<R: Reader, F> {
    reader: Async<R>,
    make: F,
    has_failed: bool,
}

impl<R: Reader, T, F> Stream for Records<R, F>
where
    F: FnMut(&R::Record<'_>) -> T + Unpin,
{
    type Item = Result<T, Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if this.has_failed {
            return Poll::Ready(None);
        }
        let ready = ready!(this.reader.poll_ready(context));
        let record = ready.and_then(|()| this.reader.take());
        let item = record.map(|record| (this.make)(&record));
        this.has_failed = item.is_err();
        Poll::Ready(Some(item))
    }
}

impl<R: Reader + fmt::Debug> fmt::Debug for Async<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Async").field(self.get_ref()).finish()
    }
}

impl<R: Reader + fmt::Debug, F> fmt::Debug for Records<R, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Records")
            .field(self.reader.get_ref())
            .finish()
    }
}
