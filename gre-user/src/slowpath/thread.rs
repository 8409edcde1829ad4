//! A thread of the slow path, which waits for packets until it is told to end.

use std::{
    io::{self, PipeReader, PipeWriter, pipe},
    iter,
    os::fd::{AsFd, BorrowedFd},
    thread::{self, JoinHandle},
    time::Duration,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

/// The thread; it ends when this is dropped.
pub(super) struct Thread {
    name: &'static str,
    /// Closed to end it.
    stop: Option<PipeWriter>,
    handle: Option<JoinHandle<()>>,
}

/// By which a thread learns that it is time to end.
pub(super) struct Stop(PipeReader);

impl Thread {
    /// Runs `work` in it.
    pub fn start(
        name: &'static str,
        work: impl FnOnce(Stop) -> io::Result<()> + Send + 'static,
    ) -> io::Result<Self> {
        let (stopped, stop) = pipe()?;
        let handle = thread::Builder::new().name(name.to_owned()).spawn(move || {
            if let Err(error) = work(Stop(stopped)) {
                eprintln!("xgre: the {name} has ended: {error}");
            }
        });
        Ok(Self { name, stop: Some(stop), handle: Some(handle?) })
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(handle) = self.handle.take()
            && handle.join().is_err()
        {
            eprintln!("xgre: the {} has panicked", self.name);
        }
    }
}

impl Stop {
    /// Waits until one of these can be read, so long at most; `None`: as long as it takes. False: it is time to end.
    pub fn wait<'f>(
        &'f self,
        files: impl Iterator<Item = BorrowedFd<'f>>,
        time: Option<Duration>,
    ) -> io::Result<bool> {
        let watch = |file| PollFd::new(file, PollFlags::POLLIN);
        let mut files: Vec<_> = iter::once(self.0.as_fd()).chain(files).map(watch).collect();
        let never = || PollTimeout::NONE;
        let time =
            time.map_or_else(never, |time| PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX));
        match poll(&mut files, time) {
            Ok(_) | Err(Errno::EINTR) => {
                Ok(files[0].revents().is_none_or(|events| events.is_empty()))
            }
            Err(errno) => Err(errno.into()),
        }
    }
}
