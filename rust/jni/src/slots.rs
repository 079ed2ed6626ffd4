//! The table behind all handles: numbers that Java holds in place of pointers.
//!
//! A handle names a slot of a table and the slot's generation, which changes when the slot is freed: a stale handle is
//! refused and never reaches what took the slot over. A slot whose generations are used up is not used again.

use std::hash::{BuildHasher, Hasher, RandomState};

use super::sync::{Mutex, MutexGuard, OnceLock};

/// Slots in the first chunk; each further chunk has twice as many as the one before.
const FIRST: u32 = 256;
const CHUNKS: usize = 16;
/// Slots in all chunks together: 16,776,960.
const MOST: u32 = FIRST * ((1 << CHUNKS) - 1);
/// The last generation: a handle is a positive `long`.
const LAST: u32 = 0x7fff_ffff;

/// Why a handle gives nothing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is not, or no longer, open.
    Closed,
    /// Another thread uses what it stands for.
    Busy,
}

/// Objects by their handles. Operations on different slots do not wait for each other, except in [`Table::insert`] and
/// [`Table::remove`], for the list of free slots.
pub(crate) struct Table<T> {
    chunks: [OnceLock<Chunk<T>>; CHUNKS],
    free: Mutex<Free>,
    first_generation: u32,
    most: u32,
}

type Chunk<T> = Box<[Mutex<Slot<T>>]>;

struct Slot<T> {
    generation: u32,
    object: Option<T>,
}

#[derive(Default)]
struct Free {
    slots: Vec<u32>,
    /// How many slots were ever used.
    made: u32,
}

/// A lock is poisoned only by a panic in the body of [`Table::with`], which has taken the object out of its slot: the
/// slot is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl<T> Table<T> {
    /// An empty table whose generations begin anywhere, so that a handle of another copy of this library, or of another
    /// table, names nothing here.
    pub(crate) fn starting_anywhere() -> Self {
        let random = RandomState::new().build_hasher().finish();
        Table::new((random >> 34) as u32 + 1, MOST)
    }

    /// An empty table whose slots begin at `first_generation` (1 to 2^31 - 1) and which holds at most `most` objects.
    pub(crate) fn new(first_generation: u32, most: u32) -> Self {
        Table {
            chunks: [const { OnceLock::new() }; CHUNKS],
            free: Mutex::new(Free::default()),
            first_generation,
            most: most.min(MOST),
        }
    }

    /// The slot of an index, if its chunk exists or `make` says to make it.
    fn slot(&self, index: u32, make: bool) -> Option<&Mutex<Slot<T>>> {
        let chunk = (index / FIRST + 1).ilog2();
        let at = index - FIRST * ((1 << chunk) - 1);
        let cell = self.chunks.get(chunk as usize)?;
        let slots = if make {
            cell.get_or_init(|| {
                (0..FIRST << chunk)
                    .map(|_| {
                        Mutex::new(Slot {
                            generation: self.first_generation,
                            object: None,
                        })
                    })
                    .collect()
            })
        } else {
            cell.get()?
        };
        slots.get(at as usize)
    }

    /// Takes an object in and gives its handle, which is positive; `None` if the table is full.
    pub(crate) fn insert(&self, object: T) -> Option<i64> {
        let index = {
            let mut free = lock(&self.free);
            match free.slots.pop() {
                Some(index) => index,
                None if free.made < self.most => {
                    free.made += 1;
                    free.made - 1
                }
                None => return None,
            }
        };
        let mut slot = lock(self.slot(index, true)?);
        slot.object = Some(object);
        Some(i64::from(slot.generation) << 32 | i64::from(index))
    }

    fn of(&self, handle: i64) -> Result<(&Mutex<Slot<T>>, u32), Refusal> {
        let generation = u32::try_from(handle >> 32).map_err(|_| Refusal::Closed)?;
        let slot = self.slot(handle as u32, false).ok_or(Refusal::Closed)?;
        Ok((slot, generation))
    }

    /// Runs `body` on an object that nothing else uses meanwhile. If `body` panics, the object is dropped.
    pub(crate) fn with<R>(&self, handle: i64, body: impl FnOnce(&mut T) -> R) -> Result<R, Refusal> {
        let (slot, generation) = self.of(handle)?;
        let mut slot = match slot.try_lock() {
            Ok(slot) => slot,
            Err(std::sync::TryLockError::WouldBlock) => return Err(Refusal::Busy),
            Err(std::sync::TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        };
        if slot.generation != generation {
            return Err(Refusal::Closed);
        }
        let mut object = slot.object.take().ok_or(Refusal::Closed)?;
        let result = body(&mut object);
        slot.object = Some(object);
        Ok(result)
    }

    /// Reads from an object, after whatever uses it now.
    pub(crate) fn read<R>(&self, handle: i64, body: impl FnOnce(&T) -> R) -> Result<R, Refusal> {
        let (slot, generation) = self.of(handle)?;
        let slot = lock(slot);
        match &slot.object {
            Some(object) if slot.generation == generation => Ok(body(object)),
            _ => Err(Refusal::Closed),
        }
    }

    /// Frees a handle, after whatever uses it now. The object is dropped.
    pub(crate) fn remove(&self, handle: i64) -> Result<(), Refusal> {
        let (slot, generation) = self.of(handle)?;
        let object = {
            let mut slot = lock(slot);
            if slot.generation != generation || generation == LAST {
                // The last generation is that of a slot that is not used again.
                return Err(Refusal::Closed);
            }
            slot.generation += 1;
            slot.object.take()
        };
        if generation + 1 < LAST {
            lock(&self.free).slots.push(handle as u32);
        }
        drop(object);
        Ok(())
    }

    /// Drops every object, when no handle is in use any more.
    pub(crate) fn clear(&self) {
        for slot in self.chunks.iter().filter_map(OnceLock::get).flatten() {
            lock(slot).object = None;
        }
    }
}
