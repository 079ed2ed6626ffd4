//! Content that goes through in pieces: read some at once, worked on in order, written some at once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{sync_channel, Receiver};
use std::sync::{Mutex, PoisonError};
use std::thread;

use emrkeys_core::Error;

/// Pieces that are read at once.
const READERS: usize = 2;
/// Pieces that are written at once.
const WRITERS: usize = 2;
/// Pieces that are in memory at most: with the one that is worked on.
pub(super) const IN_MEMORY: u64 = (READERS + WRITERS + 1) as u64;

type Offered = (usize, Vec<u8>);

/// Pumps `count` pieces: `read` gives each, `turn` makes of it what `write` takes, one after the other on this thread.
/// Gives what `write` gave, in order; an empty piece is not written.
///
/// # Errors
/// The first of any; what is under way then is waited for.
pub(super) fn pump<T: Send>(
    count: usize,
    read: impl Fn(usize) -> Result<Vec<u8>, Error> + Sync,
    turn: impl FnMut(usize, Vec<u8>) -> Result<Vec<u8>, Error>,
    write: impl Fn(usize, Vec<u8>) -> Result<T, Error> + Sync,
) -> Result<Vec<T>, Error> {
    let failed = AtomicBool::new(false);
    let written = Mutex::new(Vec::new());
    let (offer, queue) = sync_channel::<Offered>(0);
    let queue = Mutex::new(queue);
    let turned = thread::scope(|scope| {
        let inputs: Vec<_> = (0..READERS.min(count))
            .map(|first| {
                let (give, input) = sync_channel(0);
                let read = &read;
                scope.spawn(move || {
                    for index in (first..count).step_by(READERS) {
                        let piece = read(index);
                        let ended = piece.is_err();
                        // Nobody waits for it any more after a failure.
                        if give.send(piece).is_err() || ended {
                            return;
                        }
                    }
                });
                input
            })
            .collect();
        for _ in 0..WRITERS.min(count) {
            scope.spawn(|| drain(&queue, &failed, &written, &write));
        }
        let turned = turn_all(count, inputs, turn, &failed, |piece| offer.send(piece).is_ok());
        if turned.is_err() {
            failed.store(true, Ordering::Relaxed);
        }
        drop(offer);
        turned
    });
    let mut written: Vec<(usize, Result<T, Error>)> =
        written.into_inner().unwrap_or_else(PoisonError::into_inner);
    written.sort_by_key(|(index, _)| *index);
    let written: Vec<T> = written
        .into_iter()
        .map(|(_, result)| result)
        .collect::<Result<_, _>>()?;
    turned.map(|()| written)
}

fn turn_all(
    count: usize,
    inputs: Vec<Receiver<Result<Vec<u8>, Error>>>,
    mut turn: impl FnMut(usize, Vec<u8>) -> Result<Vec<u8>, Error>,
    failed: &AtomicBool,
    offer: impl Fn(Offered) -> bool,
) -> Result<(), Error> {
    for index in 0..count {
        // After a failure of a writer, which has the reason.
        if failed.load(Ordering::Relaxed) {
            break;
        }
        // A reader sends its pieces, or a failure as its last.
        let Ok(piece) = inputs[index % inputs.len()].recv() else {
            break;
        };
        let piece = turn(index, piece?)?;
        if !piece.is_empty() && !offer((index, piece)) {
            break;
        }
    }
    Ok(())
}

/// Writes what is offered, until nothing more is. After a failure it goes on to take: whoever offers would wait.
fn drain<T>(
    queue: &Mutex<Receiver<Offered>>,
    failed: &AtomicBool,
    written: &Mutex<Vec<(usize, Result<T, Error>)>>,
    write: impl Fn(usize, Vec<u8>) -> Result<T, Error>,
) {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((index, piece)) = next else { return };
        if failed.load(Ordering::Relaxed) {
            continue;
        }
        let result = write(index, piece);
        if result.is_err() {
            failed.store(true, Ordering::Relaxed);
        }
        let mut written = written.lock().unwrap_or_else(PoisonError::into_inner);
        written.push((index, result));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use emrkeys_core::{Code, Problem};
    use std::sync::atomic::AtomicUsize;

    fn error() -> Error {
        Problem::new(Code::StoreUnavailable, "gone", "Wait.").into()
    }

    fn byte(index: usize) -> u8 {
        u8::try_from(index).unwrap()
    }

    #[test]
    fn pieces_are_turned_in_order_and_results_come_in_order() {
        for count in 1..12 {
            let mut seen = Vec::new();
            let written = pump(
                count,
                |index| Ok(vec![byte(index)]),
                |index, piece| {
                    seen.push(index);
                    Ok(piece)
                },
                |_, piece| Ok(piece[0]),
            );
            let wanted: Vec<usize> = (0..count).collect();
            assert_eq!(seen, wanted);
            assert_eq!(
                written.unwrap(),
                wanted.iter().map(|index| byte(*index)).collect::<Vec<_>>()
            );
        }
    }

    #[test]
    fn no_more_pieces_are_in_memory_than_is_said() {
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        pump(
            40,
            |_| {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                Ok(vec![0])
            },
            |_, piece| Ok(piece),
            |_, _| Ok(now.fetch_sub(1, Ordering::SeqCst)),
        )
        .unwrap();
        assert!(most.into_inner() as u64 <= IN_MEMORY);
    }

    #[test]
    fn a_failure_anywhere_ends_all_and_nobody_waits() {
        for stage in 0..3 {
            let fail = |at, index| {
                if stage == at && index == 5 {
                    Err(error())
                } else {
                    Ok(())
                }
            };
            let done = pump(
                30,
                |index| fail(0, index).map(|()| vec![1]),
                |index, piece| fail(1, index).map(|()| piece),
                |index, _| fail(2, index),
            );
            assert_eq!(done.unwrap_err().code(), Code::StoreUnavailable, "{stage}");
        }
    }

    #[test]
    fn an_empty_piece_is_not_written() {
        let written = pump(
            3,
            |index| Ok(vec![byte(index); usize::from(index < 2)]),
            |_, piece| Ok(piece),
            |_, piece| Ok(piece[0]),
        );
        assert_eq!(written.unwrap(), [0, 1]);
    }
}
