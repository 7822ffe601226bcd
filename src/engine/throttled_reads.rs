//! Patience with the reads that come before a run: an account at its API rate limit answers a little later.

use super::budget::{self, Backoff};
use crate::model::{CallError, ErrorKind};
use tokio::time::Instant;

/// Repeats `read` while it is throttled, as long as a run would. `call_error` returns the failed call of an error, `tell` is
/// told about the first refusal.
pub async fn through_throttling<T, E>(
    mut read: impl AsyncFnMut() -> Result<T, E>,
    call_error: impl Fn(&E) -> Option<&CallError>,
    tell: impl Fn(&str),
) -> Result<T, E> {
    let (started, mut backoff, mut told) = (Instant::now(), Backoff::default(), false);
    loop {
        let error = match read().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let Some(throttled) = call_error(&error).filter(|error| error.class == ErrorKind::Throttled) else {
            return Err(error);
        };
        if budget::patience(throttled.class).is_none_or(|patience| started.elapsed() >= patience) {
            return Err(error);
        }
        if !told {
            told = true;
            tell(&format!("throttled: {throttled}; trying again"));
        }
        tokio::time::sleep(backoff.next().unwrap_or_default()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn itself(error: &CallError) -> Option<&CallError> {
        Some(error)
    }

    #[tokio::test(start_paused = true)]
    async fn a_throttled_read_is_repeated_for_minutes_and_any_other_error_ends_it() {
        let (tries, told) = (Cell::new(0_u32), Cell::new(0_u32));
        let tell = |_: &str| told.set(told.get() + 1);
        let read = async || {
            tries.set(tries.get() + 1);
            match tries.get() {
                1..=9 => Err(CallError::new(ErrorKind::Throttled, "Rate exceeded")),
                _ => Ok(()),
            }
        };
        through_throttling(read, itself, tell).await.unwrap();
        assert_eq!((tries.get(), told.get()), (10, 1));

        let started = Instant::now();
        let never = async || Err::<(), _>(CallError::new(ErrorKind::Throttled, "Rate exceeded"));
        assert!(through_throttling(never, itself, tell).await.is_err());
        assert!(started.elapsed() >= budget::patience(ErrorKind::Throttled).unwrap());

        let denied = async || Err::<(), _>(CallError::new(ErrorKind::Denied, "no"));
        let before = Instant::now();
        assert!(through_throttling(denied, itself, tell).await.is_err());
        assert_eq!(before.elapsed().as_secs(), 0);
    }
}
