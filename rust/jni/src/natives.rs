//! The exports: one for each native method of `org.emrkeys.bridge.Natives`, by its JNI name; those that work on objects
//! are in [`objects`](crate::objects).

use std::sync::Arc;

use emrkeys_core::inspect::checks::{self, Cluster};
use emrkeys_core::{Config, Error, Provider, Request};
use emrkeys_objects::{ContentKey, Envelope};
use jni::objects::{JByteArray, JClass};
use jni::sys::{jint, jlong};
use jni::{Env, EnvUnowned};

use crate::boundary::{argument, respond};
use crate::calls::{finish_or_wait, respond_or_wait, Finish, CALLS};
use crate::defect::internal;
use crate::handles;
use crate::wire::{self, Writer};

/// `int abi()`
// SAFETY of this and every `no_mangle` below: the names are those of the native methods of one Java class, and no
// other symbol of this library has them.
#[unsafe(no_mangle)]
extern "system" fn Java_org_emrkeys_bridge_Natives_abi(_env: EnvUnowned, _class: JClass) -> jint {
    wire::ABI
}

/// `byte[] configure(int client, byte[] properties)`: a handle of the configuration, and the inputs that only Java can
/// open.
#[unsafe(no_mangle)]
extern "system" fn Java_org_emrkeys_bridge_Natives_configure<'local>(
    env: EnvUnowned<'local>,
    _class: JClass<'local>,
    client: jint,
    properties: JByteArray<'local>,
) -> JByteArray<'local> {
    respond(env, |env| {
        let settings = wire::settings(&required(env, &properties)?)?;
        let config = Config::parse(wire::client(client)?, &settings)?;
        let inputs = config.required_inputs();
        let handle = handles::CONFIGS.insert(config)?;
        Ok(wire::configuration(handle, &inputs))
    })
}

/// `int discard(long config)`: as `close`.
#[unsafe(no_mangle)]
extern "system" fn Java_org_emrkeys_bridge_Natives_discard(
    _env: EnvUnowned,
    _class: JClass,
    config: jlong,
) -> jint {
    std::panic::catch_unwind(|| handles::CONFIGS.remove(config)).map_or(-1, jint::from)
}

/// `byte[] checks(int client, byte[] properties)`: what is said of the properties of the client.
#[unsafe(no_mangle)]
extern "system" fn Java_org_emrkeys_bridge_Natives_checks<'local>(
    env: EnvUnowned<'local>,
    _class: JClass<'local>,
    client: jint,
    properties: JByteArray<'local>,
) -> JByteArray<'local> {
    respond(env, |env| {
        let settings = wire::settings(&required(env, &properties)?)?;
        let findings = checks::client(wire::client(client)?, &settings, Cluster::of_node());
        Ok(Writer::success(2048).findings(&findings).finish())
    })
}

/// `byte[] open(long config, byte[] inputs)`: a handle and a report.
#[unsafe(no_mangle)]
extern "system" fn Java_org_emrkeys_bridge_Natives_open<'local>(
    env: EnvUnowned<'local>,
    _class: JClass<'local>,
    config: jlong,
    inputs: JByteArray<'local>,
) -> JByteArray<'local> {
    finish_or_wait(env, |env| {
        let config = handles::CONFIGS.get(config)?;
        let inputs = wire::inputs(&required(env, &inputs)?)?;
        Ok(move || {
            let (provider, report) = Provider::open(Arc::clone(&config), &inputs)?;
            let finish: Finish = Box::new(move || {
                Ok(Writer::success(256)
                    .long(handles::PROVIDERS.insert(provider)?)
                    .report(&report)
                    .finish())
            });
            Ok(finish)
        })
    })
}

/// `byte[] refresh(long handle, long config, byte[] inputs)`: a report.
#[unsafe(no_mangle)]
extern "system" fn Java_org_emrkeys_bridge_Natives_refresh<'local>(
    env: EnvUnowned<'local>,
    _class: JClass<'local>,
    handle: jlong,
    config: jlong,
    inputs: JByteArray<'local>,
) -> JByteArray<'local> {
    respond_or_wait(env, |env| {
        let provider = handles::PROVIDERS.get(handle)?;
        let config = handles::CONFIGS.get(config)?;
        let inputs = wire::inputs(&required(env, &inputs)?)?;
        Ok(move || {
            let report = provider.refresh(Arc::clone(&config), &inputs)?;
            Ok(Writer::success(256).report(&report).finish())
        })
    })
}

/// `byte[] materials(long handle, byte[] description)`: the key and what is stored; `null` is the call without an
/// argument.
#[unsafe(no_mangle)]
extern "system" fn Java_org_emrkeys_bridge_Natives_materials<'local>(
    env: EnvUnowned<'local>,
    _class: JClass<'local>,
    handle: jlong,
    description: JByteArray<'local>,
) -> JByteArray<'local> {
    respond_or_wait(env, |env| {
        let provider = handles::PROVIDERS.get(handle)?;
        let bytes = argument(env, &description)?;
        Ok(move || {
            let entries = bytes.as_ref().map(|bytes| wire::description(bytes)).transpose()?;
            let request = match entries {
                None => Request::NoArgument,
                Some(None) => Request::NoDescription,
                Some(Some(entries)) => Request::Description(entries),
            };
            provider
                .materials(request)
                .map(|materials| wire::materials(materials.as_ref()))
        })
    })
}

/// `byte[] write(long handle, byte[] object)`: the key and what is stored, for a client that says which object it
/// writes.
#[unsafe(no_mangle)]
extern "system" fn Java_org_emrkeys_bridge_Natives_write<'local>(
    env: EnvUnowned<'local>,
    _class: JClass<'local>,
    handle: jlong,
    object: JByteArray<'local>,
) -> JByteArray<'local> {
    respond_or_wait(env, |env| {
        let provider = handles::PROVIDERS.get(handle)?;
        let object = required(env, &object)?;
        Ok(move || {
            let (bucket, key) = wire::object(&object)?;
            provider
                .materials(Request::Write { bucket, key })
                .map(|materials| wire::materials(materials.as_ref()))
        })
    })
}

/// `byte[] read(long handle, byte[] envelope)`: the key and what was stored, for a client that says that it reads.
#[unsafe(no_mangle)]
extern "system" fn Java_org_emrkeys_bridge_Natives_read<'local>(
    env: EnvUnowned<'local>,
    _class: JClass<'local>,
    handle: jlong,
    envelope: JByteArray<'local>,
) -> JByteArray<'local> {
    respond_or_wait(env, |env| {
        let provider = handles::PROVIDERS.get(handle)?;
        let bytes = required(env, &envelope)?;
        Ok(move || {
            let wire::Envelope {
                wrap,
                content,
                stored,
                object,
            } = wire::envelope(&bytes)?;
            provider
                .materials(Request::Read {
                    stored,
                    wrap,
                    content,
                    object,
                })
                .map(|materials| wire::materials(materials.as_ref()))
        })
    })
}

/// `byte[] wrapTableKey(long handle, byte[] key)`: the wrapped form of a key of a table.
#[unsafe(no_mangle)]
extern "system" fn Java_org_emrkeys_bridge_Natives_wrapTableKey<'local>(
    env: EnvUnowned<'local>,
    _class: JClass<'local>,
    handle: jlong,
    key: JByteArray<'local>,
) -> JByteArray<'local> {
    respond_or_wait(env, |env| {
        let provider = handles::PROVIDERS.get(handle)?;
        let bytes = required(env, &key)?;
        Ok(move || {
            let wire::TableKey { kind, under, key } = wire::table_key(&bytes)?;
            let wrapped = provider.wrap_table_key(kind, under, key)?;
            Ok(wire::key_of_table(&wrapped))
        })
    })
}

/// `byte[] unwrapTableKey(long handle, byte[] key)`: a key of a table, from its wrapped form.
#[unsafe(no_mangle)]
extern "system" fn Java_org_emrkeys_bridge_Natives_unwrapTableKey<'local>(
    env: EnvUnowned<'local>,
    _class: JClass<'local>,
    handle: jlong,
    key: JByteArray<'local>,
) -> JByteArray<'local> {
    respond_or_wait(env, |env| {
        let provider = handles::PROVIDERS.get(handle)?;
        let bytes = required(env, &key)?;
        Ok(move || {
            let wire::TableKey { kind, under, key } = wire::table_key(&bytes)?;
            let key = provider.unwrap_table_key(kind, under, key)?;
            Ok(wire::key_of_table(&key))
        })
    })
}

/// `byte[] contentKey(long handle, byte[] object)`: the key of an object's content, for a client that decrypts ranges.
#[unsafe(no_mangle)]
extern "system" fn Java_org_emrkeys_bridge_Natives_contentKey<'local>(
    env: EnvUnowned<'local>,
    _class: JClass<'local>,
    handle: jlong,
    object: JByteArray<'local>,
) -> JByteArray<'local> {
    respond_or_wait(env, |env| {
        let provider = handles::PROVIDERS.get(handle)?;
        let bytes = required(env, &object)?;
        Ok(move || {
            let wire::Stored {
                bucket,
                key,
                metadata,
                instruction,
            } = wire::stored(&bytes)?;
            let envelope = match instruction {
                Some(instruction) => Some(Envelope::parse_instruction(instruction, &metadata)?),
                None => Envelope::parse_alone(&metadata)?,
            };
            let found = envelope
                .map(|envelope| ContentKey::of(&provider, &envelope, Some((bucket, key))))
                .transpose()?;
            Ok(wire::content_key(found.as_ref()))
        })
    })
}

/// `byte[] await(long call)`: the response of a call that had to wait. Once for each call.
#[unsafe(no_mangle)]
extern "system" fn Java_org_emrkeys_bridge_Natives_await<'local>(
    env: EnvUnowned<'local>,
    _class: JClass<'local>,
    call: jlong,
) -> JByteArray<'local> {
    respond(env, |_| {
        let waited = CALLS.get(call)?;
        let response = waited.wait();
        CALLS.remove(call);
        response
    })
}

/// `int cancel(long call)`: ends the waiting for a call, from another thread. 1; 0 if the call has ended; -1 for a
/// defect.
#[unsafe(no_mangle)]
extern "system" fn Java_org_emrkeys_bridge_Natives_cancel(
    _env: EnvUnowned,
    _class: JClass,
    call: jlong,
) -> jint {
    std::panic::catch_unwind(|| CALLS.get(call).map(|call| call.cancel()).is_ok()).map_or(-1, jint::from)
}

/// `byte[] stats(long handle)`: the counters of the keys that have a key service.
#[unsafe(no_mangle)]
extern "system" fn Java_org_emrkeys_bridge_Natives_stats<'local>(
    env: EnvUnowned<'local>,
    _class: JClass<'local>,
    handle: jlong,
) -> JByteArray<'local> {
    respond(env, |_| {
        Ok(Writer::success(512)
            .stats(&handles::PROVIDERS.get(handle)?.stats())
            .finish())
    })
}

/// `byte[] audit(long handle)`: the lines that are to be logged, which are then forgotten here.
#[unsafe(no_mangle)]
extern "system" fn Java_org_emrkeys_bridge_Natives_audit<'local>(
    env: EnvUnowned<'local>,
    _class: JClass<'local>,
    handle: jlong,
) -> JByteArray<'local> {
    respond(env, |_| {
        Ok(Writer::success(512)
            .lines(&handles::PROVIDERS.get(handle)?.take_audit())
            .finish())
    })
}

/// `int close(long handle)`: 1; 0 where the handle names nothing (any more); -1 for a defect.
#[unsafe(no_mangle)]
extern "system" fn Java_org_emrkeys_bridge_Natives_close(
    _env: EnvUnowned,
    _class: JClass,
    handle: jlong,
) -> jint {
    // Dropping a provider wipes memory and joins nothing, but a panic must not cross whatever it does.
    std::panic::catch_unwind(|| handles::PROVIDERS.remove(handle)).map_or(-1, jint::from)
}

/// `byte[] panic()`: fails like a defect. Only a panic in the library that ships shows that none crosses its boundary.
#[unsafe(no_mangle)]
#[allow(clippy::panic)]
extern "system" fn Java_org_emrkeys_bridge_Natives_panic<'local>(
    env: EnvUnowned<'local>,
    _class: JClass<'local>,
) -> JByteArray<'local> {
    respond(env, |_| panic!("asked for"))
}

pub(crate) fn required(env: &Env, array: &JByteArray) -> Result<zeroize::Zeroizing<Vec<u8>>, Error> {
    argument(env, array)?.ok_or_else(|| internal("an argument is null".to_owned()))
}
