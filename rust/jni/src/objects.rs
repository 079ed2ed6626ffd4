//! The exports that list objects and work on many of them, and how orders and results cross the boundary.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError};

use emrkeys_core::{Code, Error, Problem, Provider};
use emrkeys_objects::convert::{self, Convert, Form};
use emrkeys_objects::{
    outcome_name, report_line, work_on_all, Listed, Listing, ObjectUri, Rewrap, Store, Target,
    INSTRUCTION_SUFFIX,
};
use jni::objects::{JByteArray, JClass};
use jni::sys::{jint, jlong};
use jni::EnvUnowned;

use crate::calls::{finished, respond_later, respond_or_wait, Finish};
use crate::handles;
use crate::natives::required;
use crate::wire::{malformed, Reader, Response, Writer};

/// `byte[] list(long handle, byte[] objects)`: the number of a listing.
// SAFETY of this and every `no_mangle` below: the names are those of the native methods of one Java class, and no
// other symbol of this library has them.
#[unsafe(no_mangle)]
extern "system" fn Java_org_emrkeys_bridge_Natives_list<'local>(
    env: EnvUnowned<'local>,
    _class: JClass<'local>,
    handle: jlong,
    objects: JByteArray<'local>,
) -> JByteArray<'local> {
    respond_later(env, |env| {
        let provider = handles::PROVIDERS.get(handle)?;
        let objects = required(env, &objects)?;
        Ok(move |_: &AtomicBool| {
            let listing = open_listing(&Store::of(&provider)?, &objects)?;
            let finish: Finish = Box::new(move || {
                let handle = handles::LISTINGS.insert(Mutex::new(Some(listing)))?;
                Ok(Writer::success(8).long(handle).finish())
            });
            Ok(finish)
        })
    })
}

/// `byte[] next(long listing, int count)`: the next objects, and where to go on behind them.
#[unsafe(no_mangle)]
extern "system" fn Java_org_emrkeys_bridge_Natives_next<'local>(
    env: EnvUnowned<'local>,
    _class: JClass<'local>,
    listing: jlong,
    count: jint,
) -> JByteArray<'local> {
    respond_later(env, |_| {
        let place = handles::LISTINGS.get(listing)?;
        Ok(move |_: &AtomicBool| {
            // Put back where its objects are taken: of a listing that lost some there is nothing more.
            let mut listing = lock(&place).take().ok_or_else(lost_listing)?;
            let count = usize::try_from(count).unwrap_or(0);
            let objects = listing.by_ref().take(count).collect::<Result<Vec<_>, _>>()?;
            let finish: Finish = Box::new(move || {
                *lock(&place) = Some(listing);
                Ok(listed(&objects))
            });
            Ok(finish)
        })
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn lost_listing() -> Error {
    Problem::new(
        Code::Closed,
        "objects of the listing were lost, because a call for them failed or was interrupted",
        "List again behind the last mark.",
    )
    .into()
}

fn listed(objects: &[Listed]) -> Response {
    let mark = objects.last().map_or_else(String::new, Listed::mark);
    let head = Writer::success(objects.len() * 64)
        .text(&mark)
        .number(objects.len());
    let write = |writer: Writer, listed: &Listed| writer.text(&listed.uri.key).long(long(listed.length));
    objects.iter().fold(head, write).finish()
}

/// `int endList(long listing)`: as `close`.
#[unsafe(no_mangle)]
extern "system" fn Java_org_emrkeys_bridge_Natives_endList(
    _env: EnvUnowned,
    _class: JClass,
    listing: jlong,
) -> jint {
    std::panic::catch_unwind(|| handles::LISTINGS.remove(listing)).map_or(-1, jint::from)
}

/// `byte[] rewrap(long handle, byte[] order)`: what became of each object.
#[unsafe(no_mangle)]
extern "system" fn Java_org_emrkeys_bridge_Natives_rewrap<'local>(
    env: EnvUnowned<'local>,
    _class: JClass<'local>,
    handle: jlong,
    order: JByteArray<'local>,
) -> JByteArray<'local> {
    respond_later(env, |env| {
        let provider = handles::PROVIDERS.get(handle)?;
        let (rewrap, batch) = rewrap_order(&required(env, &order)?)?;
        Ok(move |stop: &AtomicBool| {
            batch.run(&provider, stop, |provider, store, uri| {
                let result = rewrap.object(provider, store, uri);
                Reported {
                    outcome: outcome_name(&result),
                    code: code(&result),
                    bytes: 0,
                    line: report_line(uri, &result),
                }
            })
        })
    })
}

/// `byte[] rewrapTarget(long handle, byte[] order)`: the keys and versions that `rewrap` wraps by.
#[unsafe(no_mangle)]
extern "system" fn Java_org_emrkeys_bridge_Natives_rewrapTarget<'local>(
    env: EnvUnowned<'local>,
    _class: JClass<'local>,
    handle: jlong,
    order: JByteArray<'local>,
) -> JByteArray<'local> {
    respond_or_wait(env, |env| {
        let provider = handles::PROVIDERS.get(handle)?;
        let (rewrap, batch) = rewrap_order(&required(env, &order)?)?;
        Ok(move || batch.target(|place| rewrap.target(&provider, place)))
    })
}

/// `byte[] convert(long handle, byte[] order)`: what became of each object.
#[unsafe(no_mangle)]
extern "system" fn Java_org_emrkeys_bridge_Natives_convert<'local>(
    env: EnvUnowned<'local>,
    _class: JClass<'local>,
    handle: jlong,
    order: JByteArray<'local>,
) -> JByteArray<'local> {
    respond_later(env, |env| {
        let provider = handles::PROVIDERS.get(handle)?;
        let (convert, batch) = convert_order(&required(env, &order)?)?;
        Ok(move |stop: &AtomicBool| {
            batch.run(&provider, stop, |provider, store, uri| {
                let result = convert.object(provider, store, uri);
                Reported {
                    outcome: convert::outcome_name(&result),
                    code: code(&result),
                    bytes: match &result {
                        Ok(convert::Outcome::Converted(done)) => done.bytes,
                        _ => 0,
                    },
                    line: convert::report(uri, &result).to_string(),
                }
            })
        })
    })
}

/// `byte[] convertTarget(long handle, byte[] order)`: the form, and the keys and versions that `convert` wraps by.
#[unsafe(no_mangle)]
extern "system" fn Java_org_emrkeys_bridge_Natives_convertTarget<'local>(
    env: EnvUnowned<'local>,
    _class: JClass<'local>,
    handle: jlong,
    order: JByteArray<'local>,
) -> JByteArray<'local> {
    respond_or_wait(env, |env| {
        let provider = handles::PROVIDERS.get(handle)?;
        let (convert, batch) = convert_order(&required(env, &order)?)?;
        Ok(move || batch.target(|place| convert.target(&provider, place)))
    })
}

/// The state that the orders of a job share in this process: memory for content, settings of buckets, keys that did not
/// open objects. Of the newest job alone.
static JOB: Mutex<Option<(String, Convert)>> = Mutex::new(None);

/// Forgets the state of the newest job.
pub(crate) fn clear() {
    *JOB.lock().unwrap_or_else(PoisonError::into_inner) = None;
}

fn shared(job: &str) -> Convert {
    let mut newest = JOB.lock().unwrap_or_else(PoisonError::into_inner);
    match &*newest {
        Some((known, convert)) if known == job => convert.clone(),
        _ => {
            let convert = Convert::to(Form::V2);
            *newest = Some((job.to_owned(), convert.clone()));
            convert
        }
    }
}

/// The report on one object.
struct Reported {
    outcome: &'static str,
    /// Of the error; empty for work that did not fail.
    code: &'static str,
    /// Of content that were read and written for it.
    bytes: u64,
    line: String,
}

fn code<T>(result: &Result<T, Error>) -> &'static str {
    result.as_ref().err().map_or("", |error| error.code().as_str())
}

/// Objects, and how many of them at once.
pub(crate) struct Batch {
    /// A name that the orders of a job have in common, and no other job's.
    job: String,
    dry_run: bool,
    /// Whether an earlier run left the objects in doubt.
    doubted: bool,
    /// Threads.
    jobs: usize,
    bucket: String,
    objects: Vec<ObjectUri>,
    /// The end of the keys of instruction files.
    instruction_suffix: String,
}

impl Batch {
    /// The job, two flags (dry run, in doubt), threads, the bucket and keys in it; the options of the work stand behind
    /// them.
    fn read(reader: &mut Reader) -> Result<Batch, Error> {
        let job = reader.text(Code::InvalidValue, "the name of the job")?.to_owned();
        let dry_run = reader.byte()? != 0;
        let doubted = reader.byte()? != 0;
        let jobs = usize::try_from(reader.number()?).map_err(|_| malformed())?;
        let bucket = reader.text(Code::InvalidUri, "the name of the bucket")?;
        let count = reader.count(4)?;
        let mut objects = Vec::with_capacity(count);
        for _ in 0..count {
            objects.push(ObjectUri {
                bucket: bucket.to_owned(),
                key: reader.text(Code::InvalidUri, "the key of an object")?.to_owned(),
            });
        }
        Ok(Batch {
            job,
            dry_run,
            doubted,
            jobs,
            bucket: bucket.to_owned(),
            objects,
            instruction_suffix: INSTRUCTION_SUFFIX.to_owned(),
        })
    }

    /// Works on each object, until `stop` is set: a response with the reports, in no order.
    fn run(
        self,
        provider: &Provider,
        stop: &AtomicBool,
        work: impl Fn(&Provider, &Store, &ObjectUri) -> Reported + Sync,
    ) -> Result<Finish, Error> {
        let store = Store::of(provider)?.with_instruction_suffix(&self.instruction_suffix);
        let reports = work_on_all(self.objects, self.jobs, stop, |uri| work(provider, &store, uri))?;
        let head = Writer::success(reports.len() * 200).number(reports.len());
        let write = |writer: Writer, (uri, report): &(ObjectUri, Reported)| {
            let writer = writer.text(&uri.key).text(report.outcome).text(report.code);
            writer.long(long(report.bytes)).text(&report.line)
        };
        Ok(finished(reports.iter().fold(head, write).finish()))
    }

    /// A response with the keys and versions that wrap at the bucket.
    fn target(&self, target: impl FnOnce(&ObjectUri) -> Result<String, Error>) -> Result<Response, Error> {
        let place = ObjectUri {
            bucket: self.bucket.clone(),
            key: String::new(),
        };
        let target = target(&place)?;
        Ok(Writer::success(target.len() + 8).text(&target).finish())
    }
}

/// The URI of a prefix, that of an inventory and a mark; either of the last two may be empty.
fn open_listing(store: &Store, bytes: &[u8]) -> Result<Listing, Error> {
    let mut reader = Reader::new(bytes);
    let prefix = ObjectUri::parse(reader.text(Code::InvalidUri, "the prefix")?)?;
    let inventory = match reader.text(Code::InvalidUri, "the URI of the inventory")? {
        "" => None,
        uri => Some(ObjectUri::parse(uri)?),
    };
    let after = reader.text(Code::InvalidValue, "the mark")?;
    reader.end()?;
    let after = Some(after).filter(|after| !after.is_empty());
    Listing::open(store, &prefix, inventory.as_ref(), after)
}

/// A batch, the key that is to wrap, names of keys to move from, and a flag (upgrade of wraps).
pub(crate) fn rewrap_order(bytes: &[u8]) -> Result<(Rewrap, Batch), Error> {
    let mut reader = Reader::new(bytes);
    let batch = Batch::read(&mut reader)?;
    let job = shared(&batch.job);
    let rewrap = Rewrap {
        dry_run: batch.dry_run,
        doubts: job.doubts,
        buckets: job.buckets,
        ..Rewrap::to(target(&mut reader)?)
    };
    let rewrap = Rewrap {
        from: names(&mut reader)?,
        upgrade_wrap: reader.byte()? != 0,
        ..rewrap
    };
    reader.end()?;
    Ok((rewrap, batch))
}

/// A batch, the form (0 v2, 1 v4, 2 plaintext), the key that is to wrap, names of keys to move from, three flags (from
/// plaintext, renew, second read), and the end of the keys of instruction files.
pub(crate) fn convert_order(bytes: &[u8]) -> Result<(Convert, Batch), Error> {
    let mut reader = Reader::new(bytes);
    let mut batch = Batch::read(&mut reader)?;
    let mut convert = shared(&batch.job);
    convert.form = match reader.byte()? {
        0 => Form::V2,
        1 => Form::V4,
        2 => Form::Plaintext,
        _ => return Err(malformed()),
    };
    convert.target = target(&mut reader)?;
    convert.from = names(&mut reader)?;
    convert.from_plaintext = reader.byte()? != 0;
    convert.renew = reader.byte()? != 0;
    convert.second_read = reader.byte()? != 0;
    convert.dry_run = batch.dry_run;
    convert.doubted = batch.doubted;
    let suffix = reader.text(Code::InvalidUri, "the end of the keys of instruction files")?;
    batch.instruction_suffix = suffix.to_owned();
    reader.end()?;
    Ok((convert, batch))
}

/// The name of a key, or nothing for the keys that the rules give.
fn target(reader: &mut Reader) -> Result<Target, Error> {
    Ok(match reader.text(Code::InvalidValue, "the name of the key")? {
        "" => Target::Rules,
        key => Target::Key(key.to_owned()),
    })
}

fn names(reader: &mut Reader) -> Result<BTreeSet<String>, Error> {
    let count = reader.count(4)?;
    let name = |_| {
        let name = reader.text(Code::InvalidValue, "the name of a key")?;
        Ok(name.to_owned())
    };
    (0..count).map(name).collect()
}

fn long(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn order(options: &[u8]) -> Vec<u8> {
        let text = |text: &str| [&i32::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat();
        let number = |number: i32| number.to_be_bytes().to_vec();
        let head = [
            text("job"),
            vec![1, 1],
            number(8),
            text("lake"),
            number(1),
            text("a/b"),
        ];
        [&head.concat(), options].concat()
    }

    #[test]
    fn an_order_comes_through_as_it_was_sent() {
        let (rewrap, batch) = rewrap_order(&order(b"\0\0\0\x01k\0\0\0\x01\0\0\0\x03old\x01")).unwrap();
        assert_eq!(rewrap.target, Target::Key("k".to_owned()));
        assert_eq!(rewrap.from, BTreeSet::from(["old".to_owned()]));
        assert!(rewrap.upgrade_wrap && rewrap.dry_run);
        assert_eq!((batch.jobs, batch.bucket.as_str()), (8, "lake"));
        assert_eq!(batch.objects, [ObjectUri::parse("s3://lake/a/b").unwrap()]);
        let sent = order(b"\x01\0\0\0\0\0\0\0\0\x01\x01\0\0\0\0\x02.i");
        let (convert, batch) = convert_order(&sent).unwrap();
        assert_eq!((convert.form, &convert.target), (Form::V4, &Target::Rules));
        assert!(convert.from.is_empty() && convert.from_plaintext && convert.renew && !convert.second_read);
        assert!(convert.dry_run && convert.doubted);
        assert_eq!(batch.instruction_suffix, ".i");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = rewrap_order(&order(&bytes));
            let _ = convert_order(&order(&bytes));
            let _ = rewrap_order(&bytes);
            let _ = convert_order(&bytes);
        }
    }
}
