//! A dry run: what would be done to an object.

use super::outcome::{Plan, Stored};
use super::requests::Requests;
use super::{Convert, Form, Found, Job, PIECE};
use crate::store::Place;
use emrkeys_core::envelope::Content;

impl Convert {
    pub(super) fn plan(&self, job: &Job<'_>, found: &Found) -> Plan {
        let envelope = found.envelope.as_ref().map(|(envelope, _)| envelope);
        let to = [self.form.name(), job.under.as_deref().unwrap_or_default()].join(" ");
        Plan {
            bytes: found.head.length,
            before: Stored::found(&found.head, envelope),
            to: to.trim_end().to_owned(),
            requests: self.requests(job, found),
        }
    }

    /// The requests of [`Convert::object`] for such an object where nothing goes wrong.
    fn requests(&self, job: &Job<'_>, found: &Found) -> Requests {
        let length = found.head.length;
        let pieces = length.div_ceil(piece_of(length)).max(1);
        let is_large = length > PIECE;
        let mut requests = Requests::default();
        requests.add("GetObject", pieces);
        // The instruction file that an object in the clear might have.
        requests.add("GetObject", job.old.is_none().into());
        requests.add("GetObjectTagging", 1 + u64::from(is_large));
        requests.add("GetObjectAcl", job.settings.has_acls.into());
        if is_large {
            let proof = job
                .old
                .as_ref()
                .is_some_and(|(_, envelope, _)| envelope.content == Content::Cbc);
            requests.add("GetObject", proof.into());
            requests.add("CreateMultipartUpload", 1);
            requests.add("UploadPart", pieces);
            requests.add("HeadObject", 1);
            requests.add("CompleteMultipartUpload", 1);
        } else {
            requests.add("PutObject", 1);
        }
        requests.add("HeadObject", (self.form == Form::Plaintext).into());
        requests.add("GetObject", self.second_read.into());
        if let Some((_, _, Place::InstructionFile { .. })) = &job.old {
            requests.add("GetObject", 1);
            requests.add("DeleteObject", 1);
            requests.add("CopyObject", (self.form == Form::Plaintext).into());
        }
        requests
    }
}

/// Bytes of a piece of an object of so many: S3 takes 10,000 parts.
pub(super) fn piece_of(length: u64) -> u64 {
    PIECE.max(length.div_ceil(10_000))
}
