//! The properties `emrkeys.jce.*`: whether and how the Java side puts its ciphers before the JVM's own.

/// The validated settings of the JCE provider. The core only reads them; Java does what they say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JceSettings {
    /// Where the provider goes among those of the JVM.
    pub install: JceInstall,
    /// When GCM plaintext may leave before its tag is verified.
    pub release: JceRelease,
    /// How many bytes a GCM decryption may hold until its tag is verified; 1 to 64 GiB.
    pub max_buffered_bytes: u64,
    /// The mask of `OAEPWithSHA-256AndMGF1Padding` where no parameters say.
    pub oaep_mgf1: JceMgf1,
    /// Whether the name `BC` is taken over, too.
    pub stand_in_for_bc: bool,
}

/// The limit of GCM on one message (SP 800-38D: 2^39 - 256 bits), rounded up; holding more than that has no use.
pub(crate) const MAX_BUFFERED_LIMIT: u64 = 64 << 30;

impl Default for JceSettings {
    fn default() -> Self {
        JceSettings {
            install: JceInstall::First,
            release: JceRelease::Sdk,
            max_buffered_bytes: 1 << 30,
            oaep_mgf1: JceMgf1::Sha1,
            stand_in_for_bc: false,
        }
    }
}

/// `emrkeys.jce.install`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JceInstall {
    /// At position 1.
    First,
    /// Behind all others: for those who ask for it by name.
    Last,
    /// Not at all.
    Off,
}

/// `emrkeys.jce.release-unverified-plaintext`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JceRelease {
    /// Decryption gives plaintext after its tag is verified.
    Never,
    /// Only who initialises GCM by an `IvParameterSpec`, as the SDK v1 clients do, gets plaintext at once.
    Sdk,
    /// Everybody gets plaintext at once.
    Always,
}

/// `emrkeys.jce.oaep-mgf1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JceMgf1 {
    /// As SunJCE.
    Sha1,
    /// As Bouncy Castle.
    Sha256,
    /// Wraps as SunJCE, unwraps both.
    Both,
}
