//! Every property that the core knows: one table for parsing, for suggestions and for the documentation.

/// The property that lets wraps of older clients in.
pub(crate) const ALLOW_LEGACY_WRAPS: &str = "emrkeys.s3a.allow-legacy";

/// A property of the Hadoop `Configuration`.
#[derive(Debug)]
pub struct Property {
    /// The name; `<name>` and `<field>` stand for what the user chooses.
    pub name: &'static str,
    /// The form of the value.
    pub value: &'static str,
    /// The default, or when the property must be set.
    pub default: &'static str,
    /// A value that works.
    pub example: &'static str,
    /// The effect of the property.
    pub about: &'static str,
}

type Text = &'static str;

const fn property(name: Text, value: Text, default: Text, example: Text, about: Text) -> Property {
    Property {
        name,
        value,
        default,
        example,
        about,
    }
}

pub(super) const PROPERTIES: &[Property] = &[
    property(
        "emrkeys.key.<name>.type",
        "`aes`, `rsa`, `kms`, `kms-cached`, `keyring` or `data-key-service`",
        "required for each key",
        "aes",
        "Where the key's material comes from. Names of keys hold letters, digits, `-` and `_` (at most 64).",
    ),
    property(
        "emrkeys.key.<name>.file",
        "URI",
        "`aes`: this or `.credential`",
        "file:///etc/emrkeys/audit.key",
        "The AES key: 16, 24 or 32 bytes, raw, in hex or in base64. `file:` and `s3:` are read natively, any \
         other scheme through Hadoop's `FileSystem`. A local file must be a regular file that only its owner \
         can read.",
    ),
    property(
        "emrkeys.key.<name>.credential",
        "credential alias",
        "`aes`: this or `.file`",
        "audit.key",
        "The alias under which Hadoop's credential providers hold the AES key as hex or base64.",
    ),
    property(
        "emrkeys.key.<name>.encoding",
        "`auto`, `raw`, `hex` or `base64`",
        "`auto`",
        "hex",
        "How the AES key is written. `auto` refuses what could be read in two ways.",
    ),
    property(
        "emrkeys.key.<name>.public",
        "URI",
        "`rsa`: required",
        "s3://keys/audit.pub",
        "The RSA public key: X.509 SubjectPublicKeyInfo or PKCS#1, DER or PEM, 2048 bits or more.",
    ),
    property(
        "emrkeys.key.<name>.private",
        "URI",
        "none: the key encrypts and cannot decrypt",
        "hdfs:///keys/audit.pk8",
        "The RSA private key: PKCS#8 (encrypted or not) or PKCS#1, DER or PEM. It must belong to the public \
         key.",
    ),
    property(
        "emrkeys.key.<name>.password-credential",
        "credential alias",
        "none",
        "audit.password",
        "The alias under which Hadoop's credential providers hold the password of an encrypted private key \
         (`rsa`), or of the identity and the trust store (`data-key-service`).",
    ),
    property(
        "emrkeys.key.<name>.legacy-name",
        "text",
        "none",
        "payroll-2019",
        "For `rsa`: the `rsa_name` under which AWS's RSA provider stored, and can read, this key's objects. \
         Written with new objects too.",
    ),
    property(
        "emrkeys.key.<name>.kms-key-id",
        "ARN, key id or alias",
        "`kms`, `kms-cached`: required",
        "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
        "The KMS key. `keyring`: those that may protect it, several by commas and then no aliases. `kms`: the \
         S3 client uses it by itself (`KMSEncryptionMaterials`), with one KMS call for each object written and \
         each read. `kms-cached`: emrkeys calls KMS, a few times per JVM. Name keys of other accounts and \
         regions by ARN; no object is opened by another KMS key than this one and those listed here. An alias \
         means the key that it stands for today.",
    ),
    property(
        "emrkeys.key.<name>.previous-kms-key-ids",
        "ARNs or key ids",
        "none",
        "arn:aws:kms:eu-west-1:111122223333:key/0987dcba-09fe-87dc-65ba-ab0987654321",
        "`kms`, `kms-cached`: KMS keys that decrypt older objects, such as those that the alias in \
         `.kms-key-id` stood for before it was moved. An object under any other KMS key is refused \
         (`KEY_VERSION_UNKNOWN`).",
    ),
    property(
        "emrkeys.key.<name>.region",
        "region",
        "of the ARN, else of the AWS environment or the node",
        "eu-west-1",
        "`kms-cached`, `keyring`: where the KMS key is, if its id does not say.",
    ),
    property(
        "emrkeys.key.<name>.endpoint",
        "URL",
        "of the region",
        "https://vpce-0123.kms.eu-west-1.vpce.amazonaws.com",
        "`kms-cached`, `keyring`: the KMS endpoint, such as a VPC endpoint. FIPS endpoints: set \
         `AWS_USE_FIPS_ENDPOINT=true` in the environment.",
    ),
    property(
        "emrkeys.key.<name>.role-arn",
        "ARN of a role",
        "the node's own role",
        "arn:aws:iam::111122223333:role/keys",
        "`kms-cached`, `keyring`: the role to assume for KMS calls.",
    ),
    property(
        "emrkeys.key.<name>.external-id",
        "text",
        "none",
        "cluster-7",
        "`kms-cached`, `keyring`: the external id for assuming the role.",
    ),
    property(
        "emrkeys.key.<name>.encryption-context.<field>",
        "text",
        "none",
        "payroll",
        "`kms-cached`: what is added to the KMS encryption context, beside the key's name. Stored with every \
         object (at most 400 bytes in all), so that a later change strands none.",
    ),
    property(
        "emrkeys.key.<name>.uri",
        "URI",
        "`keyring`: required",
        "s3://keys/lake.keyring",
        "Where the keyring is ([formats.md](formats.md)). `file:` and `s3:` are read natively and again when \
         `emrkeys.keyring.max-age` has passed, any other scheme through Hadoop's `FileSystem` and again on \
         `refresh()` only.",
    ),
    property(
        "emrkeys.key.<name>.protector-key",
        "name of a key",
        "none",
        "master",
        "For `keyring`: a key of type `aes`, of 256 bits, that may protect it, as may its `.previous` \
         versions.",
    ),
    property(
        "emrkeys.key.<name>.protector-file",
        "URIs",
        "none",
        "file:///etc/emrkeys/master.key",
        "For `keyring`: files with an AES key of 256 bits that may protect it.",
    ),
    property(
        "emrkeys.key.<name>.min-generation",
        "number",
        "1",
        "12",
        "For `keyring`: the least value of its counter. An older keyring is refused, in a new JVM, too, which \
         has seen none yet.",
    ),
    property(
        "emrkeys.key.<name>.url",
        "URL",
        "`data-key-service`: required",
        "https://dks.example.org:8443",
        "The address of the HTTP data key service: what stands before `/datakey`. `http:` only for \
         `localhost`, `127.0.0.1` and `[::1]`. No proxy is used.",
    ),
    property(
        "emrkeys.key.<name>.identity",
        "URI",
        "`data-key-service`: required with https",
        "file:///etc/emrkeys/client.pem",
        "`data-key-service`: the client's certificate, those of its intermediate authorities, and its private \
         key, in one file: PEM (the key in PKCS#8) or PKCS#12. A local file must be one that only its owner can \
         read.",
    ),
    property(
        "emrkeys.key.<name>.trust",
        "URI",
        "the machine's own authorities",
        "file:///etc/emrkeys/ca.pem",
        "`data-key-service`: certificates of the authorities that may vouch for the service, PEM or PKCS#12, \
         at most 64 KiB.",
    ),
    property(
        "emrkeys.key.<name>.previous",
        "names of keys",
        "none",
        "audit-2024,audit-2023",
        "Older versions of an `aes`, `rsa` or `kms-cached` key, each configured like a key of its own. The key \
         itself encrypts, all of them decrypt, chosen by the stored fingerprint (`kms-cached`: by the stored \
         ARN).",
    ),
    property(
        "emrkeys.key.<name>.aliases",
        "names",
        "none",
        "finance-audit",
        "Names under which older objects know this key.",
    ),
    property(
        "emrkeys.key.<name>.match.<field>",
        "text",
        "none",
        "k1",
        "Objects whose stored description has `<field>` with this value, written by another provider, belong \
         to this key.",
    ),
    property(
        "emrkeys.rule.<name>.prefix",
        "S3 URIs",
        "required for each rule",
        "s3://lake/raw/,s3://lake/audit/",
        "The locations that the rule is for. The longest matching prefix of all rules wins. Prefixes compare \
         byte for byte after one percent-decoding; a prefix that means a folder ends with `/`; a comma is \
         written `%2C`.",
    ),
    property(
        "emrkeys.rule.<name>.job-flow",
        "job flow ids",
        "any",
        "j-2AXXXXXXGAPLF",
        "Only for writes of these clusters. At the same prefix such a rule beats one without.",
    ),
    property(
        "emrkeys.rule.<name>.key",
        "name of a key",
        "required for each rule",
        "audit",
        "The key that new objects below the prefixes get.",
    ),
    property(
        "emrkeys.default.key",
        "name of a key",
        "none: such a write is refused",
        "main",
        "The key of new objects that no rule matches, and of calls without a location.",
    ),
    property(
        "emrkeys.legacy.key",
        "names of keys",
        "none: reading them is refused",
        "old,old-rsa",
        "The key of objects whose stored description is empty or says nothing that is known. Of one AES key \
         (`aes`, `keyring`, `kms-cached`, `data-key-service`), one of type `rsa` and one of type `kms` the wrap \
         of the data key chooses. Clients that do not say the wrap (EMRFS, the SDK v1) get the first.",
    ),
    property(
        "emrkeys.local-disk.key",
        "name of a key",
        "required by the local-disk class",
        "disk",
        "The key for the cluster's local disks; an `aes` key.",
    ),
    property(
        "emrkeys.local-disk.emr-release",
        "release label",
        "read from the node",
        "emr-7.1.0",
        "The EMR release, which decides the algorithm name of local-disk keys: `AES/GCM/NoPadding` up to \
         7.0.0, `AES` from 7.1.0.",
    ),
    property(
        "emrkeys.local-disk.release-file",
        "path",
        "/mnt/var/lib/info/extraInstanceData.json",
        "/mnt/var/lib/info/extraInstanceData.json",
        "Where to read the node's release label (JSON, field `releaseLabel`). Where the file does not exist, \
         the newest release is assumed.",
    ),
    property(
        "emrkeys.keyring.max-age",
        "time, 1s to 7d",
        "`5m`",
        "1m",
        "How soon a new version of a keyring, or a changed state, is taken over without `refresh()`.",
    ),
    property(
        "emrkeys.s3.endpoint",
        "URL",
        "of the region",
        "https://s3.eu-west-1.amazonaws.com",
        "The S3 endpoint from which key material is read.",
    ),
    property(
        "emrkeys.s3.region",
        "region",
        "of the AWS environment or the node",
        "eu-west-1",
        "The region of the buckets that hold key material.",
    ),
    property(
        "emrkeys.s3.path-style-access",
        "`true` or `false`",
        "`false`",
        "true",
        "Whether the bucket stands in the path of a request for key material and not in the host name.",
    ),
    property(
        "emrkeys.cache.max-age",
        "time",
        "10m",
        "1h",
        "How long a wrapping key of a key service (`kms-cached`, `data-key-service`) encrypts, and an \
         unwrapped one decrypts, before the service is asked again. It is renewed in the background before \
         that. Times are written `250ms`, `20s`, `10m`, `1h`, `2d`, or in seconds.",
    ),
    property(
        "emrkeys.cache.max-uses",
        "number of objects",
        "1048576",
        "10000",
        "How many objects a wrapping key encrypts at most.",
    ),
    property(
        "emrkeys.cache.max-entries",
        "number",
        "10000",
        "100000",
        "How many unwrapped keys a JVM keeps for each configured key.",
    ),
    property(
        "emrkeys.cache.max-stale",
        "time",
        "0s",
        "30m",
        "How long after its `max-age` a key still serves while its service cannot be reached. A refusal by the \
         service ends it at once.",
    ),
    property(
        "emrkeys.kms.deadline",
        "time",
        "20s",
        "60s",
        "How long a request for a key waits in all: for key services with all retries, S3, other threads.",
    ),
    property(
        "emrkeys.audit",
        "`off`, `log` or a `file:` URI",
        "`off`",
        "file:///var/log/emrkeys/audit.json",
        "The audit log: a JSON line for each request for a key (time, purpose, location, key, version, source, \
         outcome), to the logger `org.emrkeys.audit` or appended to a file. Where a line cannot be written, no \
         key is given.",
    ),
    property(
        "emrkeys.stats.log-interval",
        "time",
        "0s: never",
        "5m",
        "How often the counters of keys of a key service are logged at `INFO`, while keys are asked for. JMX \
         has them at any time (`org.emrkeys:type=Keys,…`).",
    ),
    property(
        ALLOW_LEGACY_WRAPS,
        "`true` or `false`",
        "`false`",
        "true",
        "Whether `org.emrkeys.S3AKeyring` reads objects whose data key is wrapped as the SDK v1's first client \
         does (`AESWrap`, RSA-OAEP with SHA-256, `kms`). S3A's own switches do not decide it. Objects in \
         AES-CBC are refused in any case.",
    ),
    property(
        "emrkeys.native.folder",
        "path",
        "a new folder in `java.io.tmpdir`",
        "/var/lib/emrkeys",
        "Where the native library is unpacked while it loads. The folder must allow execution, and with all \
         folders above it only root and this user may write it (or its sticky bit is set). The Java classes \
         read it; where no configuration has it, the system property of the same name counts.",
    ),
    property(
        "emrkeys.jce.install",
        "`first`, `last` or `off`",
        "`first`",
        "off",
        "Where the JCE provider `EmrKeys` goes among the security providers of the JVM when the S3 class is \
         configured: at position 1, behind all others, or nowhere. See [jce.md](jce.md).",
    ),
    property(
        "emrkeys.jce.release-unverified-plaintext",
        "`never`, `sdk` or `always`",
        "`sdk`",
        "never",
        "Whether decryption by AES-GCM through `EmrKeys` may hand out plaintext before the tag is verified. \
         `sdk`: only where the cipher was initialised by an `IvParameterSpec`, as the SDK v1 clients do and \
         Bouncy Castle does for them. `never`: the start tries out that it holds in this JVM, and fails with \
         `UNVERIFIED_PLAINTEXT` if it does not.",
    ),
    property(
        "emrkeys.jce.max-buffered-bytes",
        "bytes, 1 to 68719476736",
        "1073741824",
        "268435456",
        "How much one decryption by AES-GCM may hold back (off the Java heap) until its tag is verified.",
    ),
    property(
        "emrkeys.jce.oaep-mgf1",
        "`sha1`, `sha256` or `both`",
        "`sha1`",
        "both",
        "The mask of `OAEPWithSHA-256AndMGF1Padding` where no parameters say: SunJCE's, Bouncy Castle's, or \
         SunJCE's with either accepted on unwrapping.",
    ),
    property(
        "emrkeys.jce.stand-in-for-bc",
        "`true` or `false`",
        "`false`",
        "true",
        "Whether the provider name `BC` is taken over, too, for SDKs that ask for Bouncy Castle by name; see \
         [jce.md](jce.md) for what follows from it. Has no effect where nothing is installed.",
    ),
    property(
        "emrkeys.allow-plaintext-secrets",
        "`true` or `false`",
        "`false`",
        "true",
        "Whether a secret may stand in a site file in the clear.",
    ),
];

/// The properties of EMRFS that are read too. They are not ours, so that unknown ones beside them are ignored.
const EMRFS_PROPERTIES: &[Property] = &[
    property(
        "fs.s3.cse.rsa.public",
        "URI",
        "none",
        "s3://keys/public.der",
        "AWS's RSA provider: with no key of ours configured, the public key of a key named `default`. Lax \
         permissions of a local file are a warning here, unless everybody may write it.",
    ),
    property(
        "fs.s3.cse.rsa.private",
        "URI",
        "none",
        "s3://keys/private.der",
        "AWS's RSA provider: the private key that goes with it. Lax permissions of a local file are a warning \
         here.",
    ),
    property(
        "fs.s3.cse.rsa.name",
        "text",
        "none",
        "payroll-2019",
        "AWS's RSA provider: the `rsa_name` stored with objects.",
    ),
    property(
        "fs.s3.cse.kms.keyId",
        "ARN, key id or alias",
        "none",
        "alias/emr",
        "With no key of ours configured, the KMS key of a key named `default`.",
    ),
    property(
        "fs.s3.cse.materialsDescription.enabled",
        "`true` or `false`",
        "`false`",
        "true",
        "Whether EMRFS passes an object's location on. Rules by prefix need it.",
    ),
    property(
        "fs.s3.cse.encryptionV2.enabled",
        "`true` or `false`",
        "`false`",
        "true",
        "Whether EMRFS uses the V2 client, which cannot read `kms` objects back where the description is \
         enabled, too.",
    ),
];

/// Our own properties, then those of EMRFS that are read.
pub fn reference() -> (&'static [Property], &'static [Property]) {
    (PROPERTIES, EMRFS_PROPERTIES)
}

/// The two groups of properties that have a name of the user's choice.
pub(crate) const KEY_PREFIX: &str = "emrkeys.key.";
pub(crate) const RULE_PREFIX: &str = "emrkeys.rule.";
