//! The bound in time of one request with much to do, and who else has a turn meanwhile.

use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::{Instant, timeout_at};

use super::fault::Fault;

/// How long a request may take: what it asks for behind that is refused.
pub(super) const REQUEST_TIME: Duration = Duration::from_secs(5);

/// How long all publishes of a request together wait for workers that do not keep up.
const PATIENCE: Duration = Duration::from_millis(500);

/// Work between two looks at other requests and at the time, in bytes that are published.
const BYTES_AT_ONCE: usize = 256 << 10;

/// What a publish costs beside its bytes.
const PUBLISH_COST: usize = 256;

/// See the module.
#[derive(Debug)]
pub(super) struct Pace {
    /// Until then publishes wait for workers.
    pub(super) until: Instant,
    ends: Instant,
    left: usize,
    is_over: bool,
}

impl Pace {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        let (until, ends) = (now + PATIENCE, now + REQUEST_TIME);
        Self { until, ends, left: BYTES_AT_ONCE, is_over: false }
    }

    /// Whether the request has had its time.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Pays for a publish of so many bytes.
    pub(super) async fn pay(&mut self, bytes: usize) {
        match self.left.checked_sub(bytes + PUBLISH_COST) {
            Some(left) => self.left = left,
            None => self.rest().await,
        }
    }

    /// Lets others have a turn, and looks at the time.
    pub(super) async fn rest(&mut self) {
        yield_now().await;
        self.left = BYTES_AT_ONCE;
        self.is_over = Instant::now() >= self.ends;
    }

    /// Waits for what workers answer, as long as the request may take, and lets others have a turn.
    pub(super) async fn wait<T>(
        &mut self,
        work: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        let result = timeout_at(self.ends, work).await.unwrap_or(Err(Fault::INTERNAL));
        self.rest().await;
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block_on(test: impl Future<Output = ()>) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build();
        runtime.expect("it needs nothing of the host").block_on(test);
    }

    #[test]
    fn who_does_not_answer_is_waited_for_once() {
        block_on(async {
            let (mut pace, began) = (Pace::new(), Instant::now());
            assert_eq!(pace.wait(async { Ok(1) }).await, Ok(1));
            assert!(!pace.is_over());
            for _ in 0..100 {
                let never = std::future::pending::<Result<(), Fault>>();
                assert_eq!(pace.wait(never).await, Err(Fault::INTERNAL));
                assert!(pace.is_over());
            }
            assert!(began.elapsed() < REQUEST_TIME * 2, "all of them wait together");
        });
    }

    #[test]
    fn others_have_a_turn_between_publishes_and_the_time_ends_them() {
        block_on(async {
            let mut pace = Pace::new();
            let turns = std::rc::Rc::new(std::cell::Cell::new(0));
            let local = tokio::task::LocalSet::new();
            let other = std::rc::Rc::clone(&turns);
            local.spawn_local(async move {
                loop {
                    other.set(other.get() + 1);
                    yield_now().await;
                }
            });
            local
                .run_until(async {
                    for bytes in [0, 1 << 10, 1 << 20] {
                        let before = turns.get();
                        for _ in 0..BYTES_AT_ONCE / PUBLISH_COST + 1 {
                            pace.pay(bytes).await;
                        }
                        assert!(turns.get() > before, "publishes of {bytes} bytes");
                    }
                    assert!(!pace.is_over());
                    tokio::time::advance(REQUEST_TIME).await;
                    pace.pay(BYTES_AT_ONCE).await;
                    assert!(pace.is_over());
                })
                .await;
        });
    }
}
