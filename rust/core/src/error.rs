//! The failures of this library, each with a stable code.
//!
//! Programs and tests look at [`Code`]; people read the [`Display`](std::fmt::Display) text of [`Error`], which
//! names the property at fault and the remedy. No secret ever enters either.

use std::fmt;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// The stable name of a kind of failure. `EmrKeysException.code()` in Java gives [`Code::as_str`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Code] = &[$(Code::$variant,)+];

            /// The code as it appears in messages, in Java and in the documentation.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $name,)+ }
            }

            /// One sentence on when the code occurs; the source of the table in `docs/configuration.md`.
            pub fn meaning(self) -> &'static str {
                match self { $(Code::$variant => concat!($($doc,)+).trim_ascii_start(),)+ }
            }
        }
    };
}

codes! {
    /// The provider was asked for materials before it was configured, or was configured with `null`; or only a part of
    /// Hadoop is on the class path.
    NotConfigured = "NOT_CONFIGURED",
    /// A property that starts with `emrkeys.` is not one of ours; the message suggests the nearest known one.
    UnknownProperty = "UNKNOWN_PROPERTY",
    /// A property has a value that it cannot take.
    InvalidValue = "INVALID_VALUE",
    /// A property that something else needs is absent or empty.
    MissingProperty = "MISSING_PROPERTY",
    /// A rule, a default, a list or the writer of a table names a key that is not configured.
    UnknownKey = "UNKNOWN_KEY",
    /// Two rules have the same prefix (and the same job flow), so neither can win.
    DuplicateRule = "DUPLICATE_RULE",
    /// A prefix or an object's location is not an S3 URI with a bucket, or the address of a key service is not one.
    InvalidUri = "INVALID_URI",
    /// Keys name each other as older versions in a circle.
    Cycle = "CYCLE",
    /// Two properties contradict each other.
    Conflict = "CONFLICT",
    /// Rules by prefix are set, but the client is not configured to pass the object's location on.
    DescriptionDisabled = "DESCRIPTION_DISABLED",
    /// The V2 client could not read back the objects that it writes under a key of type `kms`.
    KmsWithV2 = "KMS_WITH_V2",
    /// A secret stands in a site file in the clear.
    PlaintextSecret = "PLAINTEXT_SECRET",
    /// Local disks and tables need a symmetric key, and the key named is not one.
    KeyNotSymmetric = "KEY_NOT_SYMMETRIC",
    /// A key file does not exist.
    KeyFileNotFound = "KEY_FILE_NOT_FOUND",
    /// A key file exists and cannot be read.
    KeyFileUnreadable = "KEY_FILE_UNREADABLE",
    /// A key file with a secret can be read or written by others than its owner.
    KeyFilePermissions = "KEY_FILE_PERMISSIONS",
    /// A key file is a symbolic link, a folder or a device.
    KeyFileNotRegular = "KEY_FILE_NOT_REGULAR",
    /// A key file that is to be made exists already.
    KeyFileExists = "KEY_FILE_EXISTS",
    /// A key file could not be written.
    KeyFileUnwritable = "KEY_FILE_UNWRITABLE",
    /// Key material has no bytes.
    KeyFileEmpty = "KEY_FILE_EMPTY",
    /// Key material is larger than any key (64 KiB).
    KeyFileTooLarge = "KEY_FILE_TOO_LARGE",
    /// Key material is not what its type says: truncated, of another kind, or badly encoded.
    KeyMaterialInvalid = "KEY_MATERIAL_INVALID",
    /// Key material can be read in two ways that give two keys.
    KeyMaterialAmbiguous = "KEY_MATERIAL_AMBIGUOUS",
    /// A key has a length that is not allowed.
    KeySize = "KEY_SIZE",
    /// A public and a private key do not belong together.
    KeyPairMismatch = "KEY_PAIR_MISMATCH",
    /// An encrypted private key has no password, or the wrong one.
    KeyPassword = "KEY_PASSWORD",
    /// No Hadoop credential provider knows the alias.
    CredentialNotFound = "CREDENTIAL_NOT_FOUND",
    /// Key material could not be fetched: the store did not answer, or answered with a fault.
    SourceUnavailable = "SOURCE_UNAVAILABLE",
    /// Key material could not be fetched: the store refused.
    SourceDenied = "SOURCE_DENIED",
    /// The TLS certificate of a key service does not verify.
    SourceUntrusted = "SOURCE_UNTRUSTED",
    /// A key service (KMS, or the HTTP data key service) answers "too many requests", and did so until the deadline.
    SourceThrottled = "SOURCE_THROTTLED",
    /// The key of a key service cannot be used: disabled, about to be deleted, unknown in its region, or of the wrong
    /// kind.
    KeyUnusable = "KEY_UNUSABLE",
    /// The wrapped key that is stored with the object does not unwrap under the key that the object leads to: it was
    /// changed, belongs to another key or encryption context, or is wrapped in a way that does not suit the key's type.
    /// The same holds for the wrapped key in a file of a table.
    WrappedKeyInvalid = "WRAPPED_KEY_INVALID",
    /// No rule matches the object's location and no default key is set.
    NoRule = "NO_RULE",
    /// A materials description is malformed.
    InvalidDescription = "INVALID_DESCRIPTION",
    /// A materials description is larger than any that S3 can store.
    DescriptionTooLarge = "DESCRIPTION_TOO_LARGE",
    /// Nothing in the stored description says which key it belongs to.
    DescriptionUnknown = "DESCRIPTION_UNKNOWN",
    /// The stored description belongs to two keys.
    DescriptionAmbiguous = "DESCRIPTION_AMBIGUOUS",
    /// The stored description names a key that is not configured.
    KeyNotConfigured = "KEY_NOT_CONFIGURED",
    /// The stored description names a version that the key does not have.
    KeyVersionUnknown = "KEY_VERSION_UNKNOWN",
    /// The stored description names a version that was disabled.
    KeyVersionDisabled = "KEY_VERSION_DISABLED",
    /// The stored description names a version that was destroyed: the object cannot be read any more.
    KeyVersionDestroyed = "KEY_VERSION_DESTROYED",
    /// A version of a keyring cannot go from its state to the one asked for.
    KeyVersionState = "KEY_VERSION_STATE",
    /// A keyring is not valid: truncated, malformed, or with fields that this release does not know.
    KeyringInvalid = "KEYRING_INVALID",
    /// A keyring was changed by somebody who does not hold its key.
    KeyringNotAuthentic = "KEYRING_NOT_AUTHENTIC",
    /// A keyring is older than one that was seen before, or than the configuration allows.
    KeyringRolledBack = "KEYRING_ROLLED_BACK",
    /// A keyring is protected by a key that is not configured for it.
    KeyringProtector = "KEYRING_PROTECTOR",
    /// A keyring was changed by somebody else at the same time, or exists already.
    KeyringChanged = "KEYRING_CHANGED",
    /// The object's data key is wrapped in an older way, and reading such objects through S3A is not allowed.
    LegacyWrap = "LEGACY_WRAP",
    /// The object's content is encrypted in a way that S3A would not read right.
    ContentUnsupported = "CONTENT_UNSUPPORTED",
    /// The envelope of an object (how it is encrypted, in its metadata or instruction file) is malformed or contradicts
    /// itself.
    InvalidEnvelope = "INVALID_ENVELOPE",
    /// A client encrypted the object, and the instruction file that says how is gone.
    InstructionFileMissing = "INSTRUCTION_FILE_MISSING",
    /// The content of an object is in AES-CBC, which shows no change, and reading such objects was not allowed by name.
    ContentUnauthenticated = "CONTENT_UNAUTHENTICATED",
    /// It is not certain that a data key that was unwrapped is the one of the object's content, so that its envelope is
    /// not replaced.
    DataKeyNotProven = "DATA_KEY_NOT_PROVEN",
    /// An inventory of a bucket is malformed, or is one of another bucket or format.
    InvalidInventory = "INVALID_INVENTORY",
    /// The content of an object does not decrypt: it was changed or cut short.
    ObjectDamaged = "OBJECT_DAMAGED",
    /// There is no such object, or no such bucket.
    ObjectNotFound = "OBJECT_NOT_FOUND",
    /// An object was written by somebody else in the meantime; nothing was done to it.
    ObjectChanged = "OBJECT_CHANGED",
    /// An object was replaced, or may have been, and nothing shows that the new one is what was sent. The message says
    /// where the object as it was is.
    ReplacementNotProven = "REPLACEMENT_NOT_PROVEN",
    /// Some of many objects could not be worked on; each was reported by itself.
    ObjectsFailed = "OBJECTS_FAILED",
    /// S3 refused an operation on an object.
    StoreDenied = "STORE_DENIED",
    /// S3 did not answer, or answered with a fault.
    StoreUnavailable = "STORE_UNAVAILABLE",
    /// The key has only its public half: it encrypts and cannot decrypt.
    KeyCannotDecrypt = "KEY_CANNOT_DECRYPT",
    /// The audit log cannot be written, so that no key is given.
    AuditUnavailable = "AUDIT_UNAVAILABLE",
    /// The thread was interrupted while it waited for a key service, for S3 or for another thread.
    Interrupted = "INTERRUPTED",
    /// The provider was closed.
    Closed = "CLOSED",
    /// The jar holds no native library for this operating system and architecture.
    NativePlatform = "NATIVE_PLATFORM",
    /// The folder for the native library is on a file system mounted `noexec`.
    NativeNoexec = "NATIVE_NOEXEC",
    /// The native library could not be unpacked or loaded.
    NativeLoad = "NATIVE_LOAD",
    /// The native library is of another version than the Java classes.
    NativeVersion = "NATIVE_VERSION",
    /// A defect in emrkeys; the operation was abandoned and nothing was returned.
    Internal = "INTERNAL",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing that is wrong: what, where, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The kind of failure.
    pub code: Code,
    /// The configuration property at fault, where there is one.
    pub property: Option<String>,
    /// The fault. Never a secret, never more than a short excerpt of outside input.
    pub message: String,
    /// The remedy.
    pub remedy: String,
}

impl Problem {
    /// A problem with no property.
    pub fn new(code: Code, message: impl Into<String>, remedy: impl Into<String>) -> Self {
        Problem {
            code,
            property: None,
            message: message.into(),
            remedy: remedy.into(),
        }
    }

    /// A problem with the value of `property`.
    pub fn at(
        property: impl Into<String>,
        code: Code,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Problem {
            property: Some(property.into()),
            ..Problem::new(code, message, remedy)
        }
    }

    /// A defect of emrkeys: something that cannot happen has happened.
    pub fn defect(message: impl Into<String>) -> Self {
        Problem::new(Code::Internal, message, "Report this defect.")
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(property) = &self.property {
            write!(f, "{property}: ")?;
        }
        write!(f, "{} [{}]. {}", self.message, self.code, self.remedy)
    }
}

/// One or more problems; everything that was found, not only the first.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Error {
    first: Problem,
    rest: Vec<Problem>,
}

impl Error {
    /// The code of the first problem.
    pub fn code(&self) -> Code {
        self.first.code
    }

    /// The first problem.
    pub(crate) fn first(&self) -> &Problem {
        &self.first
    }

    /// All problems, at least one.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        std::iter::once(&self.first).chain(&self.rest)
    }

    /// The same problems, each as `change` makes it.
    #[must_use]
    pub fn map(self, change: impl Fn(Problem) -> Problem) -> Error {
        Error {
            first: change(self.first),
            rest: self.rest.into_iter().map(change).collect(),
        }
    }
}

impl From<Problem> for Error {
    fn from(first: Problem) -> Self {
        Error {
            first,
            rest: Vec::new(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.rest.is_empty() {
            return self.first.fmt(f);
        }
        write!(f, "{} problems:", self.rest.len() + 1)?;
        for (number, problem) in self.problems().enumerate() {
            write!(f, "\n  {}. {problem}", number + 1)?;
        }
        Ok(())
    }
}

/// Gathers problems so that all of them can be reported at once.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<Problem>);

impl Problems {
    pub(crate) fn add(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    pub(crate) fn add_all(&mut self, error: Error) {
        self.0.push(error.first);
        self.0.extend(error.rest);
    }

    /// Keeps the value of a success; keeps the problems of a failure and gives `None`.
    pub(crate) fn keep<T>(&mut self, result: Result<T, impl Into<Error>>) -> Option<T> {
        result.map_err(|error| self.add_all(error.into())).ok()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value, if nothing went wrong; else every problem.
    ///
    /// # Errors
    /// Every problem that was added; `INTERNAL` if there is neither a problem nor a value.
    pub(crate) fn finish<T>(self, value: Option<T>) -> Result<T, Error> {
        match (self.into_error(), value) {
            (Some(error), _) => Err(error),
            (None, Some(value)) => Ok(value),
            (None, None) => Err(Problem::defect("a value was neither made nor refused").into()),
        }
    }

    pub(crate) fn into_error(self) -> Option<Error> {
        let mut all = self.0.into_iter();
        all.next().map(|first| Error {
            first,
            rest: all.collect(),
        })
    }
}

/// At most 120 characters of outside input, quoted and with control characters escaped, for use in a message.
pub fn excerpt(text: &str) -> String {
    const SHOWN: usize = 120;
    let shown: String = text.chars().take(SHOWN).collect();
    let more = if shown.len() < text.len() { "…" } else { "" };
    format!("\"{}{more}\"", shown.escape_debug())
}

/// The text as one word of a POSIX shell, for a command in a message.
pub fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~/:=,@%+".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// Why a service did not answer as asked. The kind decides what is tried again.
#[derive(Clone, Debug)]
pub enum Failure {
    /// It said no, and will say so again: denied, no such key, disabled, not its ciphertext. Never retried.
    Refused(Problem),
    /// It said "not now": throttled. Retried.
    Throttled(Problem),
    /// It did not answer, or with a fault. Retried.
    Unavailable(Problem),
}

impl Failure {
    /// Whether it is an answer, which more time would not have changed.
    pub fn is_final(&self) -> bool {
        matches!(self, Failure::Refused(_))
    }

    /// The problem, whatever is to be done about it.
    pub fn into_problem(self) -> Problem {
        match self {
            Failure::Refused(problem) | Failure::Throttled(problem) | Failure::Unavailable(problem) => {
                problem
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_takes_a_text_as_one_word() {
        assert_eq!(shell_word("s3://a/b.json"), "s3://a/b.json");
        assert_eq!(shell_word("a b"), "'a b'");
        assert_eq!(shell_word("it's"), "'it'\\''s'");
        assert_eq!(shell_word(""), "''");
    }
}
