//! Access control lists: read, and given to the object that takes another's place.

use aws_sdk_s3::types::{Grant, Permission};
use emrkeys_core::{Code, Problem};

use super::bucket::Settings;
use super::calls::wait;
use super::store::{ObjectUri, Store};

/// The note on an object whose list may not be read: the new object has the list of every new object.
pub(super) const UNREADABLE: &str = "acl-unreadable";

/// Sets the grants of a list on a request that makes an object.
macro_rules! grant {
    ($request:expr, $acl:expr) => {{
        let acl: &$crate::acl::Acl = $acl;
        $request
            .set_grant_full_control(acl.full_control.clone())
            .set_grant_read(acl.read.clone())
            .set_grant_read_acp(acl.read_acp.clone())
            .set_grant_write_acp(acl.write_acp.clone())
    }};
}
pub(super) use grant;

/// The grants of an access control list, as headers take them; all `None` for the list that every new object has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Acl {
    pub(super) full_control: Option<String>,
    pub(super) read: Option<String>,
    pub(super) read_acp: Option<String>,
    pub(super) write_acp: Option<String>,
}

impl Acl {
    fn of(owner: Option<&str>, grants: &[Grant]) -> Acl {
        let own = |grant: &Grant| {
            grant.permission == Some(Permission::FullControl)
                && owner.is_some()
                && grant.grantee().and_then(|grantee| grantee.id()) == owner
        };
        if grants.iter().all(own) {
            return Acl::default();
        }
        let header = |permission: &Permission| {
            let some = grants
                .iter()
                .filter(|grant| grant.permission.as_ref() == Some(permission));
            let some: Vec<String> = some.filter_map(grantee).collect();
            (!some.is_empty()).then(|| some.join(", "))
        };
        Acl {
            full_control: header(&Permission::FullControl),
            read: header(&Permission::Read),
            read_acp: header(&Permission::ReadAcp),
            write_acp: header(&Permission::WriteAcp),
        }
    }
}

/// As a header names it. Source: Amazon S3 API Reference, `PutObject`, `x-amz-grant-read`.
fn grantee(grant: &Grant) -> Option<String> {
    let grantee = grant.grantee()?;
    let by = |name: &str, value: Option<&str>| value.map(|value| format!("{name}=\"{value}\""));
    by("id", grantee.id())
        .or_else(|| by("uri", grantee.uri()))
        .or_else(|| by("emailAddress", grantee.email_address()))
}

impl Store {
    /// The access control list that an object keeps, which S3 never copies, and [`UNREADABLE`] where it may not be read
    /// and is lost. One request, unless the bucket has no lists.
    ///
    /// # Errors
    /// `OBJECT_NOT_FOUND`, `STORE_UNAVAILABLE`
    pub(super) fn acl(
        &self,
        uri: &ObjectUri,
        settings: Settings,
    ) -> Result<(Acl, Option<&'static str>), Problem> {
        if !settings.has_acls {
            return Ok((Acl::default(), None));
        }
        let call = self.client.get_object_acl().bucket(&uri.bucket).key(&uri.key);
        let call = call.set_version_id(self.version().map(str::to_owned));
        match wait(uri, "GetObjectAcl", call.send()) {
            Ok(answer) => {
                let owner = answer.owner().and_then(|owner| owner.id());
                Ok((Acl::of(owner, answer.grants()), None))
            }
            Err(problem) if problem.code == Code::StoreDenied => Ok((Acl::default(), Some(UNREADABLE))),
            Err(problem) => Err(problem),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_s3::types::{Grantee, Type};

    fn grant(permission: Permission, id: Option<&str>, uri: Option<&str>) -> Grant {
        let kind = if id.is_some() {
            Type::CanonicalUser
        } else {
            Type::Group
        };
        let grantee = Grantee::builder()
            .set_id(id.map(str::to_owned))
            .set_uri(uri.map(str::to_owned))
            .r#type(kind);
        Grant::builder()
            .permission(permission)
            .grantee(grantee.build().unwrap())
            .build()
    }

    #[test]
    fn the_list_of_every_new_object_needs_no_header() {
        let owner = grant(Permission::FullControl, Some("me"), None);
        assert_eq!(Acl::of(Some("me"), std::slice::from_ref(&owner)), Acl::default());
        assert_ne!(Acl::of(Some("you"), &[owner]), Acl::default());
    }

    #[test]
    fn grants_become_headers() {
        let all = "http://acs.amazonaws.com/groups/global/AllUsers";
        let grants = [
            grant(Permission::FullControl, Some("me"), None),
            grant(Permission::Read, None, Some(all)),
            grant(Permission::Read, Some("you"), None),
        ];
        let acl = Acl::of(Some("me"), &grants);
        assert_eq!(acl.full_control.as_deref(), Some("id=\"me\""));
        assert_eq!(acl.read, Some(format!("uri=\"{all}\", id=\"you\"")));
        assert_eq!((acl.read_acp, acl.write_acp), (None, None));
    }
}
