//! The facts on an object that an audit reports.

use emrkeys_core::Code;

use crate::terminal::Tone;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Severity {
    /// Nothing has to be done today.
    Minor,
    /// Somebody should look at it.
    Doubtful,
    /// Content that is not protected, or cannot be read.
    Bad,
}

impl Severity {
    /// For a terminal.
    pub(super) fn tone(self) -> Tone {
        match self {
            Severity::Minor => Tone::Plain,
            Severity::Doubtful => Tone::Doubtful,
            Severity::Bad => Tone::Bad,
        }
    }

    /// For the page.
    pub(super) fn name(self) -> &'static str {
        match self {
            Severity::Minor => "minor",
            Severity::Doubtful => "doubtful",
            Severity::Bad => "bad",
        }
    }
}

/// A fact on an object that an auditor should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Finding {
    /// Nobody encrypted it.
    Plaintext,
    /// No client encrypted it, and S3 itself does.
    ServerSideOnly,
    /// It is ciphertext whose instruction file is gone.
    InstructionMissing,
    /// Its key is not one that the rules give at its place.
    OtherKey,
    /// The configuration does not read it.
    Unreadable(Code),
    /// S3A would corrupt it.
    Cbc,
    /// S3A refuses it without `emrkeys.s3a.allow-legacy`.
    LegacyWrap,
    /// No rule gives its key any more.
    Retired,
    /// The version of its key does not encrypt any more.
    OldVersion,
    /// Its envelope cannot be read.
    Malformed,
    /// The length that its metadata notes is not that of its content.
    WrongLength,
    /// An instruction file without its object.
    Orphan,
    /// It could not be looked at.
    NotSeen(Code),
}

impl Finding {
    pub(super) fn name(&self) -> String {
        let (name, code) = match self {
            Finding::Plaintext => ("plaintext", None),
            Finding::ServerSideOnly => ("server-side-only", None),
            Finding::InstructionMissing => ("instruction-file-missing", None),
            Finding::OtherKey => ("other-key", None),
            Finding::Unreadable(code) => ("unreadable", Some(code)),
            Finding::Cbc => ("cbc", None),
            Finding::LegacyWrap => ("legacy-wrap", None),
            Finding::Retired => ("retired-key", None),
            Finding::OldVersion => ("old-version", None),
            Finding::Malformed => ("malformed", None),
            Finding::WrongLength => ("wrong-length", None),
            Finding::Orphan => ("orphaned-instruction", None),
            Finding::NotSeen(code) => ("not-seen", Some(code)),
        };
        code.map_or_else(|| name.to_owned(), |code| format!("{name}:{code}"))
    }

    pub(super) fn severity(&self) -> Severity {
        match self {
            Finding::Plaintext
            | Finding::InstructionMissing
            | Finding::Unreadable(_)
            | Finding::Cbc
            | Finding::Malformed
            | Finding::NotSeen(_) => Severity::Bad,
            Finding::ServerSideOnly | Finding::OtherKey | Finding::WrongLength | Finding::LegacyWrap => {
                Severity::Doubtful
            }
            Finding::Retired | Finding::OldVersion | Finding::Orphan => Severity::Minor,
        }
    }

    pub(super) fn what(&self) -> &'static str {
        match self {
            Finding::Plaintext => "Neither a client nor S3 encrypted the object.",
            Finding::ServerSideOnly => {
                "No client encrypted the object; S3 itself does (column sse), and decrypts it for \
                 everyone who may read it."
            }
            Finding::InstructionMissing => {
                "A client encrypted the object (it notes the length of the plaintext), and the \
                 instruction file that says how is gone: nobody can read it."
            }
            Finding::OtherKey => {
                "Another key protects the object than the rules give to new objects at its place: it \
                 was written before the rules, or copied from elsewhere."
            }
            Finding::Unreadable(code) | Finding::NotSeen(code) => code.meaning(),
            Finding::Cbc => {
                "The content is in AES-CBC: not authenticated, and S3A would return it truncated or as \
                 ciphertext."
            }
            Finding::LegacyWrap => {
                "The data key is wrapped as the first client of the SDK v1 did: S3A refuses it without \
                 emrkeys.s3a.allow-legacy."
            }
            Finding::Retired => "No rule and no default gives this key to new objects.",
            Finding::OldVersion => "A version of the key that is not given to new objects protects it.",
            Finding::Malformed => "The envelope contradicts itself or is not what any client writes.",
            Finding::WrongLength => {
                "The length of the plaintext that the object's metadata notes is none, or not that of \
                 its content: clients that trust it list the object with a wrong length."
            }
            Finding::Orphan => "An instruction file whose object is gone.",
        }
    }

    pub(super) fn remedy(&self) -> &'static str {
        match self {
            Finding::Plaintext | Finding::ServerSideOnly => {
                "If it should be encrypted: `emrkeys convert URI --from-plaintext`."
            }
            Finding::InstructionMissing => {
                "Restore the instruction file, from an older version of it or a copy; do not encrypt the object again."
            }
            Finding::OtherKey => {
                "Where it belongs there, re-wrap it with --from that key; else see who copied it."
            }
            Finding::Unreadable(_) => {
                "Configure the key that the object names, or see what its code says in docs/configuration.md."
            }
            Finding::Cbc => {
                "Keep S3A from it until `emrkeys convert URI` has encrypted it in AES-GCM."
            }
            Finding::LegacyWrap => {
                "Set emrkeys.s3a.allow-legacy=true while such objects are read, or re-wrap them."
            }
            Finding::Retired => "Keep the key until its objects are re-wrapped or gone.",
            Finding::OldVersion => "Keep the version until its objects are re-wrapped or gone.",
            Finding::Malformed => "Restore the object's metadata or instruction file.",
            Finding::WrongLength => "Copy it through an encrypting client, which notes the length anew.",
            Finding::Orphan => "Delete it if the object was deleted on purpose; else restore the object.",
            Finding::NotSeen(Code::ObjectNotFound) => "Nothing, if it was deleted while the audit ran.",
            Finding::NotSeen(_) => {
                "Allow s3:GetObject (and kms:Decrypt for SSE-KMS) to this role and audit again."
            }
        }
    }
}
