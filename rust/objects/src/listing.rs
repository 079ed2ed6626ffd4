//! Where many objects come from: a prefix that is listed, or an inventory.

use std::collections::VecDeque;

use super::inventory::Inventory;
use super::store::{Listed, ObjectUri, Page, Store};
use emrkeys_core::Error;

/// Objects of an inventory that make a page.
const ROWS: usize = 1000;

/// All objects of a bucket whose keys begin with a prefix, page by page. A prefix that is listed comes in the order of
/// the keys' bytes, an inventory in an order of its own.
pub struct Listing {
    source: Source,
    page: VecDeque<Listed>,
    ended: bool,
}

enum Source {
    Prefix {
        store: Store,
        prefix: ObjectUri,
        after: Option<String>,
        next: Option<String>,
    },
    Inventory(Box<Inventory>),
}

impl Listing {
    /// Lists the prefix, or takes the inventory with this `manifest.json`, from behind `after`, which [`Listed::mark`]
    /// gave.
    ///
    /// # Errors
    /// Of an inventory: `INVALID_INVENTORY` for what is no manifest, one of another bucket, or one of a format other
    /// than CSV; `OBJECT_NOT_FOUND`, `STORE_DENIED`, `STORE_UNAVAILABLE`.
    pub fn open(
        store: &Store,
        prefix: &ObjectUri,
        inventory: Option<&ObjectUri>,
        after: Option<&str>,
    ) -> Result<Listing, Error> {
        let source = match inventory {
            Some(manifest) => Source::Inventory(Box::new(Inventory::open(store, manifest, prefix, after)?)),
            None => Source::Prefix {
                store: store.clone(),
                prefix: prefix.clone(),
                after: after.map(str::to_owned),
                next: None,
            },
        };
        Ok(Listing {
            source,
            page: VecDeque::new(),
            ended: false,
        })
    }

    /// The next objects, as many as come at once and at least one; `None`: there are no more. Blocks.
    ///
    /// # Errors
    /// `OBJECT_NOT_FOUND` for a bucket that is not there, `STORE_DENIED`, `STORE_UNAVAILABLE`, `INVALID_INVENTORY`.
    /// There is nothing more after an error.
    pub fn next_page(&mut self) -> Result<Option<Page>, Error> {
        if self.ended {
            return Ok(None);
        }
        // Until this page is known to have another behind it.
        self.ended = true;
        let page = match &mut self.source {
            Source::Prefix {
                store,
                prefix,
                after,
                next,
            } => loop {
                let page = store.list(prefix, after.as_deref(), next.as_deref())?;
                *next = page.next.clone();
                if next.is_none() || !page.objects.is_empty() {
                    self.ended = next.is_none();
                    break page;
                }
            },
            Source::Inventory(inventory) => {
                let mut page = Page::default();
                while page.objects.len() < ROWS {
                    match inventory.next()? {
                        Some(listed) => page.objects.push(listed),
                        None => break,
                    }
                }
                self.ended = page.objects.len() < ROWS;
                page
            }
        };
        Ok(Some(page).filter(|page| !page.objects.is_empty()))
    }

    /// The next object; blocks as [`Listing::next_page`].
    fn pop(&mut self) -> Result<Option<Listed>, Error> {
        if self.page.is_empty() {
            self.page = self.next_page()?.unwrap_or_default().objects.into();
        }
        Ok(self.page.pop_front())
    }
}

impl Iterator for Listing {
    type Item = Result<Listed, Error>;

    /// Blocks, and fails, as [`Listing::next_page`].
    fn next(&mut self) -> Option<Self::Item> {
        self.pop().transpose()
    }
}
