//! Questions about a configuration that need no key: what it says, which key a new object would get, and what is wrong
//! with the clients' own settings.

pub(crate) mod catalogs;
pub mod checks;
pub(crate) mod config_summary;
pub(crate) mod explain;
mod finding;
pub(crate) mod table_uses;

pub use finding::{Finding, Level};
