//! Keys of type `keyring`: versions of one key in a document that many processes share.
//!
//! The document is read at the start, by age and when an object names a version that is not known. A document that was
//! read replaces what is in use only after it has proved to be authentic and newer; whatever else happens, the process
//! goes on with what it has. The document key, which may cost a call of KMS, is asked for when the first object needs
//! it.

mod lookups;
mod remedy;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use once_cell::sync::OnceCell;
use secrecy::{ExposeSecret, SecretSlice};

use super::{aes, Source};
use crate::aws::runtime;
use crate::aws::S3Access;
use crate::config::loader::Loader;
use crate::config::{self, KeyKind};
use crate::counters::Counts;
use crate::description::{self, invalid, StoredDescription};
use crate::error::{excerpt, shell_word, Code, Error, Problem, Problems};
use crate::inputs::Inputs;
use crate::key_service::cache::{answers, Clock, Flights, Monotonic, Turn};
use crate::keyring::{self, AesProtector, Document, Keyring, Protector, Protectors, State, VersionId};
use crate::material::{self, Location, Permissions, Secrecy};
use crate::model::{MaterialKey, Materials};
use crate::release;
use crate::stderr_log;
use crate::waiting;
use lookups::{Lookups, Step};
use remedy::options;

/// A configured keyring.
pub(crate) struct KeyringKey {
    shared: Arc<Shared>,
    /// Dropped with this key, upon which the thread that reads the keyring by age ends.
    _stop: Option<Sender<()>>,
}

/// The state that the source shares with the thread that reads the keyring by age.
struct Shared {
    /// The key's name, and the older ones under which the keyring may know it.
    name: String,
    aliases: Vec<String>,
    /// `emrkeys.key.<name>.uri`
    property: String,
    location: Location,
    /// The options of `emrkeys keyring` that name what may protect it.
    options: String,
    s3: S3Access,
    min_generation: u64,
    protectors: Protectors,
    held: ArcSwap<Held>,
    /// When the keyring is read again, one thread does it.
    readings: Arc<Flights<(), Result<(), Problem>>>,
    lookups: Mutex<Lookups>,
    warned: AtomicBool,
    /// For all that one request waits for.
    deadline: Duration,
}

/// One state of the document.
struct Held {
    document: Document,
    opened: OnceCell<Opened>,
}

/// A document that proved to be authentic.
struct Opened {
    keyring: Keyring,
    places: HashMap<String, usize>,
    active: usize,
    keys: Vec<OnceCell<Arc<SecretSlice<u8>>>>,
}

/// The newest state of each keyring that this process has opened: an older one is not accepted again.
static SEEN: Mutex<BTreeMap<String, (u64, [u8; 32])>> = Mutex::new(BTreeMap::new());

pub(crate) fn load(
    name: &str,
    config: &config::KeyringKey,
    loader: &mut Loader,
) -> Result<KeyringKey, Error> {
    let mut problems = Problems::default();
    let property = config.document.property.clone();
    let aes = aes_protectors(config, loader, &mut problems);
    let protectors = Protectors::new(&property, config.kms.clone(), aes, loader.config.cache.deadline);
    let read = loader
        .file_within(
            keyring::MAX_DOCUMENT,
            &config.document,
            Secrecy::Authentic,
            Permissions::Enforce,
        )
        .and_then(|bytes| {
            keyring::parse(
                &property,
                &shown(&config.document.location),
                bytes.expose_secret(),
            )
        });
    let document = problems.keep(read);
    let document = problems.finish(document)?;
    let shared = Arc::new(Shared {
        name: name.to_owned(),
        aliases: loader
            .config
            .keys
            .get(name)
            .map(|key| key.aliases.clone())
            .unwrap_or_default(),
        property,
        location: config.document.location.clone(),
        options: options(config, loader),
        s3: loader.config.s3.clone(),
        min_generation: config.min_generation,
        protectors,
        held: ArcSwap::from_pointee(Held::new(document)),
        readings: Arc::default(),
        lookups: Mutex::default(),
        warned: AtomicBool::new(false),
        deadline: loader.config.cache.deadline,
    });
    let held = shared.held.load_full();
    shared.check(&held.document)?;
    // Where it costs nothing, and where a process that has worked so far would fail afterwards, it is opened now.
    if matches!(held.document.protector, Protector::Aes { .. }) || shared.seen().is_some() {
        held.open(&shared)?;
    }
    let watched = !matches!(shared.location, Location::External(_));
    let stop = watched
        .then(|| watch(&shared, loader.config.keyring_max_age))
        .transpose()?;
    Ok(KeyringKey { shared, _stop: stop })
}

/// The AES keys that may protect the keyring. The older versions of one count where they are long enough.
fn aes_protectors(
    config: &config::KeyringKey,
    loader: &mut Loader,
    problems: &mut Problems,
) -> Vec<AesProtector> {
    let keys = &loader.config.keys;
    let mut protectors = Vec::new();
    if let Some((property, name)) = &config.key {
        let older = keys.get(name).map_or(&[][..], |key| &key.previous);
        for version in std::iter::once(name).chain(older) {
            let Some(KeyKind::Aes(own)) = keys.get(version).map(|key| &key.kind) else {
                continue;
            };
            let loaded = problems.keep(aes::load(own, loader));
            if let Some(MaterialKey::Symmetric { bytes, .. }) = loaded.map(|version| version.key) {
                let protector = AesProtector::new(property, bytes);
                if version == name {
                    protectors.extend(problems.keep(protector));
                } else {
                    protectors.extend(protector.ok());
                }
            }
        }
    }
    for file in &config.files {
        protectors.extend(problems.keep(aes::load_file(file, loader)));
    }
    protectors
}

/// Reads the keyring by age, on a thread that ends when the returned end is dropped. The thread is not the JVM's and
/// keeps no process alive.
fn watch(shared: &Arc<Shared>, max_age: Duration) -> Result<Sender<()>, Problem> {
    let (stop, stopped) = mpsc::channel();
    let weak = Arc::downgrade(shared);
    runtime::thread("emrkeys-keyring", move || read_by_age(&weak, &stopped, max_age)).map_err(|error| {
        Problem::at(
            &shared.property,
            Code::SourceUnavailable,
            format!("no thread is left to read the keyring with ({error})"),
            "Raise the limits of the process (ulimit -u).",
        )
    })?;
    Ok(stop)
}

fn read_by_age(shared: &Weak<Shared>, stopped: &Receiver<()>, max_age: Duration) {
    let mut failed = false;
    loop {
        // Early enough that the reading itself fits in, and not at the same moment as on a thousand other nodes.
        let mut pause = max_age.mul_f64(0.7 + 0.2 * fastrand::f64());
        if failed {
            pause = pause.min(Duration::from_secs(30));
        }
        match stopped.recv_timeout(pause) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
        }
        let Some(shared) = shared.upgrade() else { return };
        failed = match shared.readings.join(&(), max_age) {
            Turn::Lead(lead) => {
                let result = shared.read_again();
                lead.end(result.clone());
                result.is_err()
            }
            Turn::Ended(result) => result.is_err(),
            Turn::Late => true,
        };
    }
}

impl Shared {
    /// Reads the keyring again and takes it over if it is newer. A failure is logged once, until a reading succeeds.
    /// The caller has the lead of the readings.
    fn read_again(&self) -> Result<(), Problem> {
        let result = self.read().and_then(|document| self.take_over(document));
        match &result {
            Ok(()) => {
                if self.warned.swap(false, Ordering::Relaxed) {
                    stderr_log::info(&format!("key {}: the keyring is read again", self.name));
                }
            }
            Err(problem) => {
                if !self.warned.swap(true, Ordering::Relaxed) {
                    stderr_log::warn(&format!(
                        "key {}: the keyring could not be read again, and stays in use as it was read last: {problem}",
                        self.name
                    ));
                }
            }
        }
        result
    }

    fn read(&self) -> Result<Document, Problem> {
        if let Location::External(uri) = &self.location {
            return Err(Problem::at(
                &self.property,
                Code::SourceUnavailable,
                format!("{} can be read through Hadoop only", excerpt(uri)),
                "Call refresh(), or keep the keyring in S3.",
            ));
        }
        let read = material::read(
            &self.property,
            &self.location,
            keyring::MAX_DOCUMENT,
            Secrecy::Authentic,
            Permissions::Enforce,
            &Inputs::new(),
            &self.s3,
        )?;
        keyring::parse(&self.property, &shown(&self.location), read.bytes.expose_secret())
    }

    fn take_over(&self, document: Document) -> Result<(), Problem> {
        self.check(&document)?;
        let old = self.held.load_full();
        if old.document == document {
            return Ok(());
        }
        let held = Held::new(document);
        // A keyring that nobody has used yet costs nothing until somebody does.
        if let Some(opened) = old.opened.get() {
            let root = match opened.keyring.root_for(&held.document) {
                Some(root) => root,
                None => self.protectors.unlock(&held.document)?,
            };
            held.open_with(self, root)?;
        }
        self.held.store(Arc::new(held));
        Ok(())
    }

    /// The checks of a document that need no key.
    fn check(&self, document: &Document) -> Result<(), Problem> {
        let Document { name, generation, .. } = document;
        if name != &self.name && !self.aliases.contains(name) {
            return Err(Problem::at(
                &self.property,
                Code::KeyringInvalid,
                format!(
                    "{} is the keyring of key {}, not of {}",
                    excerpt(&shown(&self.location)),
                    excerpt(name),
                    self.name
                ),
                format!(
                    "Correct the location, or add the name to emrkeys.key.{}.aliases if the key was renamed.",
                    self.name
                ),
            ));
        }
        if *generation < self.min_generation {
            return Err(self.rolled_back(&format!(
                "its counter is {generation}, and emrkeys.key.{}.min-generation is {}",
                self.name, self.min_generation
            )));
        }
        match self.seen() {
            Some((seen, _)) if *generation < seen => Err(self.rolled_back(&format!(
                "its counter is {generation}, and this process has seen {seen}"
            ))),
            Some((seen, tag)) if *generation == seen && document.tag != tag => Err(self.rolled_back(
                &format!("its counter is {generation}, with which this process has seen another content"),
            )),
            _ => Ok(()),
        }
    }

    fn rolled_back(&self, why: &str) -> Problem {
        Problem::at(
            &self.property,
            Code::KeyringRolledBack,
            format!("an older keyring was put in the place of a newer one: {why}"),
            "Put the newest keyring back. If the older one is right after all, start new processes, with a \
             lower min-generation.",
        )
    }

    fn place(&self) -> String {
        format!("{:?} {:?} {}", self.location, self.s3.endpoint, self.name)
    }

    fn seen(&self) -> Option<(u64, [u8; 32])> {
        let seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(&self.place()).copied()
    }

    /// Remembers a document that is authentic, unless a newer one is known.
    fn saw(&self, document: &Document) -> Result<(), Problem> {
        {
            let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
            let newest = seen
                .entry(self.place())
                .or_insert((document.generation, document.tag));
            if newest.0 < document.generation {
                *newest = (document.generation, document.tag);
            }
        }
        self.check(document)
    }

    /// The newest state that knows the version.
    fn held_with(&self, version: &str) -> Result<Arc<Held>, Problem> {
        let arrived = Monotonic.now();
        let held = self.held.load_full();
        if held.open(self)?.places.contains_key(version) {
            return Ok(held);
        }
        waiting::may_wait()?;
        let mut failure = None;
        let possible = VersionId::parse(version).is_some() && !matches!(self.location, Location::External(_));
        while possible && failure.is_none() && self.step(version, arrived) != Step::Absent {
            match self.readings.join(&(), waiting::left(self.deadline)) {
                Turn::Lead(lead) => {
                    // The last one may have ended since the look above.
                    if let Step::Read(pause) = self.step(version, arrived) {
                        std::thread::sleep(waiting::left(pause));
                        let began = Monotonic.now();
                        let result = self.read_again();
                        // A thread with more time may succeed where this one did not.
                        if result.is_ok() || answers(lead.patience(), self.deadline) {
                            self.lookups().read(began);
                        }
                        failure = result.clone().err();
                        lead.end(result);
                    }
                }
                // It may have begun before this object was asked for: then it does not count.
                Turn::Ended(_) => {}
                Turn::Late => failure = Some(self.late()),
            }
            let held = self.held.load_full();
            if held.open(self)?.places.contains_key(version) {
                return Ok(held);
            }
        }
        self.step(version, arrived);
        let held = self.held.load_full();
        let also = failure
            .map(|problem| format!("; reading it again failed: {problem}"))
            .unwrap_or_default();
        Err(Problem::at(
            &self.property,
            Code::KeyVersionUnknown,
            format!(
                "the object was written with version {} of key {}, which its keyring (generation {}) does \
                 not have{also}",
                excerpt(version),
                self.name,
                held.document.generation
            ),
            "Where the keyring was changed just now and is not in S3 or on a local disk, call refresh(). \
             Otherwise the object is of another keyring, or its description was changed.",
        ))
    }

    fn step(&self, version: &str, arrived: Duration) -> Step {
        self.lookups().step(version, arrived, Monotonic.now())
    }

    fn lookups(&self) -> MutexGuard<'_, Lookups> {
        self.lookups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn late(&self) -> Problem {
        Problem::at(
            &self.property,
            Code::SourceUnavailable,
            "another thread has been reading it for too long",
            "See that this node reaches it.",
        )
    }

    fn materials(&self, opened: &Opened, place: usize) -> Result<Arc<SecretSlice<u8>>, Problem> {
        let version = &opened.keyring.document().versions[place];
        opened.keys[place]
            .get_or_try_init(|| opened.keyring.key(&self.property, version).map(Arc::new))
            .cloned()
    }
}

impl Held {
    fn new(document: Document) -> Self {
        Held {
            document,
            opened: OnceCell::new(),
        }
    }

    /// The authentic keyring. If many threads need it at once, KMS is asked once.
    fn open(&self, shared: &Shared) -> Result<&Opened, Problem> {
        if let Some(opened) = self.opened.get() {
            return Ok(opened);
        }
        // A document that was seen since may be newer.
        shared.check(&self.document)?;
        // Not within the cell, where those who wait for a service that is down would do so one after the other.
        let root = shared.protectors.unlock(&self.document)?;
        self.open_with(shared, root)
    }

    fn open_with(&self, shared: &Shared, root: keyring::Root) -> Result<&Opened, Problem> {
        self.opened
            .get_or_try_init(|| Opened::new(shared, self.document.clone(), root))
    }
}

impl Opened {
    fn new(shared: &Shared, document: Document, root: keyring::Root) -> Result<Self, Problem> {
        let keyring = Keyring::open(&shared.property, document, root)?;
        let document = keyring.document();
        shared.saw(document)?;
        let versions = &document.versions;
        Ok(Opened {
            places: versions
                .iter()
                .enumerate()
                .map(|(place, version)| (version.id.as_str().to_owned(), place))
                .collect(),
            active: versions
                .iter()
                .position(|version| version.state == State::Active)
                .ok_or_else(defect)?,
            keys: versions.iter().map(|_| OnceCell::new()).collect(),
            keyring,
        })
    }
}

impl Source for KeyringKey {
    fn for_encryption(&self) -> Result<Materials, Problem> {
        let held = self.shared.held.load();
        let opened = held.open(&self.shared)?;
        let key = self.shared.materials(opened, opened.active)?;
        let id = opened.keyring.document().versions[opened.active].id.as_str();
        Ok(materials(
            key,
            StoredDescription::from_iter([
                (description::KEY, &*self.shared.name),
                (description::VERSION, id),
            ]),
        ))
    }

    /// The stored version and no other.
    fn for_decryption(&self, stored: StoredDescription) -> Result<Materials, Problem> {
        let Some(id) = stored.get(description::VERSION) else {
            return Err(invalid(format!(
                "it has {} and no {}",
                description::KEY,
                description::VERSION
            )));
        };
        let shared = &self.shared;
        let held = shared.held_with(id)?;
        let opened = held.open(shared)?;
        let place = *opened.places.get(id).ok_or_else(defect)?;
        let refused = |code, remedy: String| {
            let state = opened.keyring.document().versions[place].state;
            let what = format!(
                "the object was written with version {id} of key {}, which is {state}",
                shared.name
            );
            Err(Problem::at(&shared.property, code, what, remedy))
        };
        match opened.keyring.document().versions[place].state {
            State::Active | State::DecryptOnly => {
                let key = shared.materials(opened, place)?;
                Ok(materials(key, stored))
            }
            State::Disabled => refused(
                Code::KeyVersionDisabled,
                format!(
                    "If it is to be readable again: `emrkeys keyring enable {} {id}{}`",
                    shell_word(&shown(&shared.location)),
                    shared.options
                ),
            ),
            State::Destroyed => refused(
                Code::KeyVersionDestroyed,
                "Its key is gone for good: restore the object from a copy under another key.".to_owned(),
            ),
        }
    }

    /// No other provider has ever had a key of a keyring.
    fn for_decryption_of_foreign(&self, stored: StoredDescription) -> Result<Materials, Problem> {
        Err(Problem::at(
            &self.shared.property,
            Code::DescriptionUnknown,
            format!(
                "the object's description ({}) names no version of key {}, and everything under a keyring has one",
                stored.names(),
                self.shared.name
            ),
            "Set emrkeys.legacy.key or .match to the key under which the object was written.",
        ))
    }

    fn counts(&self) -> Option<(Counts, Option<Duration>)> {
        let counts = self.shared.protectors.counts()?;
        let held = self.shared.held.load();
        let mut versions = held.document.versions.iter();
        let active = versions.find(|version| version.state == State::Active);
        Some((counts, active.map(|version| version.created.age())))
    }

    fn type_name(&self) -> &'static str {
        "keyring"
    }

    fn summary(&self) -> String {
        let held = self.shared.held.load();
        let count = held.document.versions.len();
        let versions = if count == 1 {
            ""
        } else {
            &format!(", {count} versions")
        };
        format!("keyring{versions}")
    }
}

fn materials(key: Arc<SecretSlice<u8>>, description: StoredDescription) -> Materials {
    Materials {
        key: MaterialKey::Symmetric {
            algorithm: release::ALGORITHM,
            bytes: key,
        },
        description,
    }
}

fn shown(location: &Location) -> String {
    match location {
        Location::File(path) => format!("file://{}", path.display()),
        Location::S3 { bucket, key } => format!("s3://{bucket}/{key}"),
        Location::External(uri) => uri.clone(),
    }
}

fn defect() -> Problem {
    Problem::defect("a version of a keyring was lost")
}

#[cfg(test)]
mod tests;
