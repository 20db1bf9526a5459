//! The way of log lines to standard error: nobody who logs ever waits, fails or dies of it.
//!
//! Lines go into a bounded queue, and one thread writes them. That thread may wait as long as the
//! reader likes; what does not fit meanwhile, or cannot be written at all, is dropped and counted,
//! and the count is told as soon as lines can be written again.

use std::cell::Cell;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::options::LogFormat;
use crate::subscriber::own_line;

/// Lines that may wait to be written; more are lost, and counted.
const LINES_MAX: usize = 4096;

/// Bytes of all lines that wait; more are lost, and counted.
const BYTES_MAX: usize = 1 << 20;

/// A log that is written in the background. What is written to it is a line, whole with its end;
/// writing never fails.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    entries: Sender<Entry>,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    lost: AtomicU64,
    bytes: AtomicUsize,
    format: LogFormat,
}

#[derive(Debug)]
enum Entry {
    Line(Vec<u8>),
    /// Dropped when all lines before it are written, or lost.
    Flush {
        _done: Sender<()>,
    },
}

/// What the writing thread writes to.
trait Output: Write {
    /// Waits until a write that would block may be tried again.
    fn wait(&self) -> io::Result<()>;
}

impl Log {
    /// Starts the thread that writes to standard error.
    ///
    /// # Errors
    ///
    /// If there can be no more threads.
    pub(crate) fn to_stderr(format: LogFormat) -> io::Result<Self> {
        Self::start(io::stderr(), format)
    }

    fn start(output: impl Output + Send + 'static, format: LogFormat) -> io::Result<Self> {
        let (sender, entries) = bounded(LINES_MAX);
        let state = Arc::new(State { format, ..State::default() });
        let log = Self { entries: sender, state: Arc::clone(&state) };
        let write = move || write_all(&entries, &state, output);
        thread::Builder::new().name("log".into()).spawn(write)?;
        Ok(log)
    }

    /// Adds a line, which ends with a newline.
    pub(crate) fn line(&self, line: &[u8]) {
        let before = self.state.bytes.fetch_add(line.len(), Ordering::Relaxed);
        let fits = before + line.len() <= BYTES_MAX;
        if !fits || self.entries.try_send(Entry::Line(line.to_vec())).is_err() {
            self.state.bytes.fetch_sub(line.len(), Ordering::Relaxed);
            self.state.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Adds a line of the program's own, whatever the level is.
    pub(crate) fn tell(&self, text: &str) {
        self.line(own_line(self.state.format, text).as_bytes());
    }

    /// Waits until all lines so far are written, but no longer than twice that time.
    pub(crate) fn flush(&self, within: Duration) {
        let (done, is_done) = bounded(0);
        if self.entries.send_timeout(Entry::Flush { _done: done }, within).is_ok() {
            // Nothing is ever sent: it ends when the other side is dropped, or in time.
            let _ = is_done.recv_timeout(within);
        }
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output for io::Stderr {
    fn wait(&self) -> io::Result<()> {
        // Others that have this pipe or terminal open may have made it one that does not block.
        poll(&mut [PollFd::new(self.as_fd(), PollFlags::POLLOUT)], PollTimeout::NONE)?;
        Ok(())
    }
}

/// Until nobody can log any more.
fn write_all(entries: &Receiver<Entry>, state: &State, output: impl Output) {
    let mut lines = Lines { output, is_within_line: Cell::new(false) };
    for entry in entries {
        let Entry::Line(line) = entry else { continue };
        let result = lines.write(&line);
        state.bytes.fetch_sub(line.len(), Ordering::Relaxed);
        if result.is_err() {
            state.lost.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        let lost = state.lost.swap(0, Ordering::Relaxed);
        let told = || own_line(state.format, &lost_lines(lost));
        if lost > 0 && lines.write(told().as_bytes()).is_err() {
            state.lost.fetch_add(lost, Ordering::Relaxed);
        }
    }
}

fn lost_lines(lost: u64) -> String {
    let lines = if lost == 1 { "line" } else { "lines" };
    format!("{lost} {lines} of this log are lost: nobody read it, or it was full")
}

/// Whole lines, as far as that is possible.
struct Lines<O> {
    output: O,
    /// Whether a failure has cut the last line.
    is_within_line: Cell<bool>,
}

impl<O: Output> Lines<O> {
    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        if self.is_within_line.get() {
            self.write_bytes(b"\n")?;
        }
        self.write_bytes(line)
    }

    fn write_bytes(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.output.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(length) => {
                    bytes = &bytes[length..];
                    self.is_within_line.set(!bytes.is_empty());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.output.wait()?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::AtomicBool;

    use super::*;

    const TEXT: LogFormat = LogFormat::Text;
    const LONG: Duration = Duration::from_secs(20);

    /// A file system that is full for a while, after the first bytes of each line.
    #[derive(Clone, Default)]
    struct Disk {
        is_full: Arc<AtomicBool>,
        bytes: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.is_full.load(Ordering::SeqCst) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.bytes.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Output for Disk {
        fn wait(&self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A pipe that nobody reads until it is told to.
    struct Pipe {
        reader: Receiver<()>,
        disk: Disk,
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // It goes on at once when the reader is there.
            let _ = self.reader.recv();
            self.disk.write(&bytes[..bytes.len().min(7)])
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Output for Pipe {
        fn wait(&self) -> io::Result<()> {
            Ok(())
        }
    }

    fn text(disk: &Disk) -> String {
        String::from_utf8(disk.bytes.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_told_when_it_can_be_again() {
        let disk = Disk::default();
        let log = Log::start(disk.clone(), TEXT).unwrap();
        for (is_full, line) in [(false, "a\n"), (true, "b\n"), (true, "c\n"), (false, "d\n")] {
            disk.is_full.store(is_full, Ordering::SeqCst);
            log.line(line.as_bytes());
            Log::flush(&log, LONG);
        }
        let told = own_line(TEXT, &lost_lines(2));
        assert!(told.contains("2 lines"), "{told}");
        assert_eq!(text(&disk), format!("a\nd\n{told}"));
    }

    #[test]
    fn who_logs_never_waits_for_a_reader_and_what_waits_is_bounded() {
        let (reader, is_there) = bounded::<()>(0);
        let disk = Disk::default();
        let log = Log::start(Pipe { reader: is_there, disk: disk.clone() }, TEXT).unwrap();
        let lines = LINES_MAX + 100;
        (0..lines).for_each(|number| log.line(format!("{number:>9}\n").as_bytes()));
        log.line(&[b'x'; BYTES_MAX]);
        Log::flush(&log, Duration::from_millis(1));
        assert!(log.state.bytes.load(Ordering::Relaxed) <= BYTES_MAX);
        let lost = log.state.lost.load(Ordering::Relaxed);
        // One more than fit is in the hands of the thread, or is not there yet; and the large one.
        assert!((100..=101).contains(&lost), "{lost}");
        drop(reader);
        Log::flush(&log, LONG);
        let text = text(&disk);
        assert_eq!(text.lines().filter(|line| line.starts_with("throng: ")).count(), 1, "{text}");
        assert_eq!(text.lines().count(), lines + 1 + 1 - lost as usize, "the rest is there");
    }

    #[test]
    fn a_line_that_was_cut_is_ended_before_the_next() {
        struct Cutting(Disk);
        impl Write for Cutting {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let is_cut = bytes.starts_with(b"ut");
                if is_cut {
                    Err(io::ErrorKind::StorageFull.into())
                } else {
                    self.0.write(&bytes[..1])
                }
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        impl Output for Cutting {
            fn wait(&self) -> io::Result<()> {
                Ok(())
            }
        }
        let disk = Disk::default();
        let log = Log::start(Cutting(disk.clone()), TEXT).unwrap();
        log.line(b"cut\n");
        log.line(b"next\n");
        Log::flush(&log, LONG);
        assert_eq!(text(&disk), format!("c\nnext\n{}", own_line(TEXT, &lost_lines(1))));
    }
}
