//! What may be said of URLs and headers where somebody logs them: not what is secret in them.

use alloc::vec::Vec;
use core::fmt;
use http::{HeaderMap, Uri};

/// A URL without a user name, a password and a query, for `Debug`.
pub(crate) struct WithoutQuery<'a>(pub(crate) &'a Uri);

impl fmt::Debug for WithoutQuery<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (url, query) = (self.0, if self.0.query().is_some() { "?…" } else { "" });
        if let (Some(scheme), Some(authority)) = (url.scheme_str(), url.authority()) {
            // The last `@` ends what names a user.
            let host = authority.as_str().rsplit('@').next().unwrap_or_default();
            write!(f, "{scheme}://{host}")?;
        }
        write!(f, "{}{query}", url.path())
    }
}

/// The names of headers without their values, for `Debug`.
pub(crate) struct NamesOf<'a>(pub(crate) &'a HeaderMap);

impl fmt::Debug for NamesOf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.keys().map(http::HeaderName::as_str).collect();
        names.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn a_url_is_shown_without_what_may_be_secret() {
        for (url, shown) in [
            ("https://a.example:8443/events?token=secret", "https://a.example:8443/events?…"),
            ("http://user:secret@a.example/", "http://a.example/"),
            ("/events?token=secret", "/events?…"),
            ("/events", "/events"),
        ] {
            assert_eq!(format!("{:?}", WithoutQuery(&url.parse().unwrap())), shown);
        }
    }
}
