//! Data through a cipher, piece by piece.
//!
//! Sizes are checked before a byte is written. Each byte of input is read before output overwrites it, however the two
//! lie to each other. Input of a message that is held back is read once.

use emrkeys_crypto::cipher::BLOCK;
use emrkeys_crypto::gcm_verified::GcmVerified;
use emrkeys_crypto::wipe;
use jni::sys::jint;
use zeroize::Zeroizing;

use super::memory::{Overlap, Sides};
use super::object::{GcmState, Object};
use super::{code, Answer, CODE_RANGE};

/// Longest stretch of a Java array that is pinned at a time: the collector waits no longer than this takes.
pub(super) const CRITICAL: usize = 256 * 1024;
/// Up to here, copying a region costs less than pinning.
pub(super) const REGION: usize = 1024 + 64;
/// A short message, its tag included if it is decrypted.
pub(super) const SHORT: usize = super::SHORT as usize;

/// Feeds the input of a call to the message under way, and ends it if this is the `last` call. Returns how many bytes
/// of output were written.
pub(crate) fn run(object: &mut Object, sides: &Sides, last: bool) -> Answer {
    if let Some(verified) = object.verified() {
        if !last {
            return hold(verified, sides).map(|()| 0);
        }
        let result = open(verified, sides);
        object.idle();
        return result;
    }
    if last && sides.len <= SHORT {
        if let Some(gcm) = object.sealing() {
            return seal_last(gcm, sides);
        }
    }
    let size = object.update_size(sides.len) + if last { object.finish_size() } else { 0 };
    sides.to.check(sides.to_at, size)?;
    let written = update(object, sides, sides.overlap(size))?;
    if !last {
        return Ok(written);
    }
    let mut end = [0u8; BLOCK];
    let count = object.finish(&mut end).map_err(code)?;
    if count > 0 {
        sides.to.write(sides.to_at + written, &end[..count])?;
    }
    Ok(written + count)
}

/// Turns all input; output has room for what comes.
fn update(object: &mut Object, sides: &Sides, overlap: Overlap) -> Answer {
    let mut copy = Zeroizing::new(Vec::new());
    let whole = match overlap {
        Overlap::Ahead => Some(sides.from.copy(sides.from_at, sides.len, &mut copy)?.to_vec()),
        _ => None,
    }
    .map(Zeroizing::new);
    let (mut done, mut written) = (0, 0);
    while done < sides.len {
        let now = (sides.len - done).min(CRITICAL);
        let size = object.update_size(now);
        let (from_at, to_at) = (sides.from_at + done, sides.to_at + written);
        written += if let Some(whole) = &whole {
            let input = &whole[done..done + now];
            sides
                .to
                .lend_mut(to_at, size, |output| object.turn(input, output))?
                .map_err(code)?
        } else if now <= SHORT {
            by_region::<SHORT>(object, sides, (from_at, now), to_at)?
        } else if now <= REGION {
            by_region::<REGION>(object, sides, (from_at, now), to_at)?
        } else if overlap == Overlap::Apart {
            sides
                .lend((done, now), (written, size), |input, output| {
                    object.turn(input, output)
                })?
                .map_err(code)?
        } else if from_at == to_at {
            sides
                .to
                .lend_mut(to_at, now, |buffer| object.turn_in_place(buffer))?
                .map_err(code)?
        } else {
            // Decryption lags by the tag: output of this piece begins before its input does.
            let input = sides.from.copy(from_at, now, &mut copy)?;
            sides
                .to
                .lend_mut(to_at, size, |output| object.turn(input, output))?
                .map_err(code)?
        };
        done += now;
    }
    Ok(written)
}

/// One piece by way of the stack. Two sizes, because clearing the larger costs as much as a short message.
fn by_region<const SIZE: usize>(
    object: &mut Object,
    sides: &Sides,
    (from_at, len): (usize, usize),
    to_at: usize,
) -> Answer {
    let mut buffer = [0u8; SIZE];
    let buffer = buffer.get_mut(..len).ok_or(CODE_RANGE)?;
    sides.from.read(from_at, buffer)?;
    let result = object.turn_in_place(buffer).map_err(code);
    let result = result.and_then(|count| sides.to.write(to_at, &buffer[..count]).map(|()| count));
    if object.gives_plaintext() || result.is_err() {
        wipe(buffer);
    }
    result
}

/// The end of an encryption by way of the stack: a short last piece and the tag in one write, because each call of the
/// JVM costs a tenth of what the message does.
fn seal_last(gcm: &mut GcmState, sides: &Sides) -> Answer {
    let mut buffer = [0u8; SHORT + BLOCK];
    sides.to.check(sides.to_at, sides.len + gcm.tag_len())?;
    sides.from.read(sides.from_at, &mut buffer[..sides.len])?;
    match gcm.seal_last(&mut buffer, sides.len) {
        Ok(end) => sides.to.write(sides.to_at, &buffer[..end]).map(|()| end),
        Err(error) => {
            wipe(&mut buffer);
            Err(code(error))
        }
    }
}

/// Takes in input whose plaintext is held back.
fn hold(verified: &mut GcmVerified, sides: &Sides) -> Result<(), jint> {
    // Before any pin, so that holding allocates nothing.
    verified.reserve(sides.len).map_err(code)?;
    let mut done = 0;
    while done < sides.len {
        let now = (sides.len - done).min(CRITICAL);
        sides
            .from
            .lend(sides.from_at + done, now, |input| verified.hold(input))?
            .map_err(code)?;
        done += now;
    }
    Ok(())
}

/// The end of a message whose plaintext is held back: all input is read before a byte of output is written.
fn open(verified: &mut GcmVerified, sides: &Sides) -> Answer {
    let size = usize::try_from(verified.final_size(sides.len)).map_err(|_| CODE_RANGE)?;
    sides.to.check(sides.to_at, size)?;
    let whole = if sides.len <= SHORT {
        open_whole::<SHORT>(verified, sides)?
    } else if sides.len <= REGION {
        open_whole::<REGION>(verified, sides)?
    } else {
        None
    };
    if let Some(count) = whole {
        return Ok(count);
    }
    hold(verified, sides)?;
    verified.verify().map_err(code)?;
    let mut written = 0;
    while written < size {
        let now = (size - written).min(CRITICAL);
        let count = sides
            .to
            .lend_mut(sides.to_at + written, now, |output| verified.release(output))?
            .map_err(code)?;
        if count == 0 {
            return Err(super::CODE_PANIC);
        }
        written += count;
    }
    Ok(written)
}

/// A message that is whole, by way of the stack; `None` if part of it came in before.
fn open_whole<const SIZE: usize>(verified: &mut GcmVerified, sides: &Sides) -> Result<Option<usize>, jint> {
    let mut buffer = [0u8; SIZE];
    let buffer = buffer.get_mut(..sides.len).ok_or(CODE_RANGE)?;
    sides.from.read(sides.from_at, buffer)?;
    let Some(count) = verified.open_whole(buffer).map_err(code)? else {
        return Ok(None);
    };
    let written = sides.to.write(sides.to_at, &buffer[..count]);
    wipe(&mut buffer[..count]);
    written.map(|()| Some(count))
}
