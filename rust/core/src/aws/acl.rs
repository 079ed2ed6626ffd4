//! Access control lists of objects in S3, as the requests that make an object take them.

use aws_sdk_s3::operation::get_object_acl::GetObjectAclOutput;
use aws_sdk_s3::types::{Grant, Permission};

/// The note on an object whose list may not be read: the new object has the list of every new object.
pub const ACL_UNREADABLE: &str = "acl-unreadable";

/// The grants of an access control list, as headers take them; all `None` for the list that every new object has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acl {
    pub(super) full_control: Option<String>,
    pub(super) read: Option<String>,
    pub(super) read_acp: Option<String>,
    pub(super) write_acp: Option<String>,
}

impl Acl {
    /// The list in the answer of S3.
    pub(super) fn found(answer: &GetObjectAclOutput) -> Acl {
        Acl::of(answer.owner().and_then(|owner| owner.id()), answer.grants())
    }

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
