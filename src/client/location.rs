//! Where a redirect leads: a `Location` resolved against the URL that answered.

use super::error::RedirectError;
use alloc::string::String;
use alloc::vec::Vec;
use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};

/// Resolves a reference by RFC 3986, 5.2, as far as `http` and `https` go. The fragment is dropped.
///
/// Bytes that no URL holds, such as spaces and text beyond ASCII, are percent-encoded in path and
/// query, as browsers do. So is the backslash, which browsers read as a slash: here it leads
/// nowhere else.
pub(super) fn resolve(base: &Uri, location: &[u8]) -> Result<Uri, RedirectError> {
    let location = location.trim_ascii();
    let location = location.split(|byte| *byte == b'#').next().unwrap_or_default();
    if location.is_empty() {
        return Err(RedirectError::NoLocation);
    }
    let (scheme, rest) = match split_scheme(location) {
        Some((scheme, rest)) => (parse_scheme(scheme)?, rest),
        None => (base.scheme().cloned().ok_or(RedirectError::Location)?, location),
    };
    let has_scheme = rest.len() < location.len();
    let (authority, rest) = match rest.strip_prefix(b"//") {
        Some(rest) => {
            let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'\\'));
            let (authority, rest) = rest.split_at(end.unwrap_or(rest.len()));
            (parse_authority(authority)?, rest)
        }
        // `http:path` is read in more than one way, and written by nobody.
        None if has_scheme => return Err(RedirectError::Location),
        None => return relative(base, scheme, rest),
    };
    build(scheme, authority, &absolute_path(rest))
}

/// Whether a URL can be asked for, by its authority.
pub(super) fn has_valid_authority(url: &Uri) -> bool {
    url.authority().is_some_and(is_valid)
}

/// Whether two URLs have the same scheme, host and port (RFC 6454, 4).
pub(super) fn is_same_origin(one: &Uri, other: &Uri) -> bool {
    let host = |url: &Uri| url.host().map(str::to_ascii_lowercase);
    one.scheme() == other.scheme() && host(one) == host(other) && port(one) == port(other)
}

fn port(url: &Uri) -> Option<u16> {
    url.port_u16().or_else(|| if is_https(url) { Some(443) } else { Some(80) })
}

pub(super) fn is_https(url: &Uri) -> bool {
    url.scheme() == Some(&Scheme::HTTPS)
}

fn split_scheme(location: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = location.iter().position(|byte| matches!(byte, b':' | b'/' | b'?'))?;
    let (scheme, rest) = location.split_at(end);
    let is_scheme = scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    Some((scheme, rest.strip_prefix(b":").filter(|_| is_scheme)?))
}

fn parse_scheme(scheme: &[u8]) -> Result<Scheme, RedirectError> {
    if scheme.eq_ignore_ascii_case(b"https") {
        Ok(Scheme::HTTPS)
    } else if scheme.eq_ignore_ascii_case(b"http") {
        Ok(Scheme::HTTP)
    } else {
        Err(RedirectError::Scheme)
    }
}

fn parse_authority(authority: &[u8]) -> Result<Authority, RedirectError> {
    if authority.contains(&b'@') {
        return Err(RedirectError::Userinfo);
    }
    Authority::try_from(authority).ok().filter(is_valid).ok_or(RedirectError::Location)
}

/// A host there must be, and a port that was written must be one.
fn is_valid(authority: &Authority) -> bool {
    let text = authority.as_str().rsplit('@').next().unwrap_or_default();
    let after_host = text.strip_prefix(authority.host());
    !authority.host().is_empty()
        && !authority.host().contains('%')
        && (matches!(after_host, Some("" | ":")) || authority.port_u16().is_some())
}

fn relative(base: &Uri, scheme: Scheme, reference: &[u8]) -> Result<Uri, RedirectError> {
    let authority = base.authority().cloned().ok_or(RedirectError::Location)?;
    let mut path = Vec::new();
    if reference.starts_with(b"?") {
        path.extend_from_slice(base.path().as_bytes());
    } else if !reference.starts_with(b"/") {
        let base = base.path();
        let directory = base.rfind('/').map_or(0, |slash| slash + 1);
        path.extend_from_slice(&base.as_bytes()[..directory]);
    }
    path.extend_from_slice(reference);
    build(scheme, authority, &absolute_path(&path))
}

fn build(scheme: Scheme, authority: Authority, path: &str) -> Result<Uri, RedirectError> {
    let path = PathAndQuery::try_from(path).map_err(|_| RedirectError::Location)?;
    Uri::builder()
        .scheme(scheme)
        .authority(authority)
        .path_and_query(path)
        .build()
        .map_err(|_| RedirectError::Location)
}

/// Path and query with a leading slash, without dot segments (RFC 3986, 5.2.4), encoded.
fn absolute_path(text: &[u8]) -> String {
    let end = text.iter().position(|byte| *byte == b'?').unwrap_or(text.len());
    let (path, query) = text.split_at(end);
    let mut segments: Vec<&[u8]> = Vec::new();
    let mut ends_in_slash = true;
    for segment in path.strip_prefix(b"/").unwrap_or(path).split(|byte| *byte == b'/') {
        ends_in_slash = matches!(segment, b"." | b"..");
        match segment {
            b"." => {}
            b".." => _ = segments.pop(),
            segment => segments.push(segment),
        }
    }
    if ends_in_slash {
        segments.push(b"");
    }
    let mut out = String::with_capacity(text.len() + 1);
    for segment in segments {
        out.push('/');
        encode(segment, &mut out);
    }
    encode(query, &mut out);
    out
}

fn encode(text: &[u8], out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text {
        if byte.is_ascii_alphanumeric() || b"-._~:/?@!$&'()*+,;=%".contains(byte) {
            out.push(char::from(*byte));
        } else {
            out.push('%');
            out.push(char::from(DIGITS[usize::from(byte >> 4)]));
            out.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn resolved(base: &str, location: &str) -> Result<String, RedirectError> {
        resolve(&base.parse().unwrap(), location.as_bytes()).map(|url| url.to_string())
    }

    /// The examples of RFC 3986, 5.4, that are URLs over HTTP. Fragments are dropped.
    #[test]
    fn references_are_resolved_as_in_the_examples_of_the_rfc() {
        for (reference, expected) in [
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g/"),
            ("?y", "http://a/b/c/d;p?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("g#s", "http://a/b/c/g"),
            ("g?y#s", "http://a/b/c/g?y"),
            (";x", "http://a/b/c/;x"),
            ("g;x", "http://a/b/c/g;x"),
            ("g;x?y#s", "http://a/b/c/g;x?y"),
            (".", "http://a/b/c/"),
            ("./", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../..", "http://a/"),
            ("../../", "http://a/"),
            ("../../g", "http://a/g"),
            ("../../../g", "http://a/g"),
            ("../../../../g", "http://a/g"),
            ("/./g", "http://a/g"),
            ("/../g", "http://a/g"),
            ("g.", "http://a/b/c/g."),
            (".g", "http://a/b/c/.g"),
            ("g..", "http://a/b/c/g.."),
            ("..g", "http://a/b/c/..g"),
            ("./../g", "http://a/b/g"),
            ("./g/.", "http://a/b/c/g/"),
            ("g/./h", "http://a/b/c/g/h"),
            ("g/../h", "http://a/b/c/h"),
            ("g;x=1/./y", "http://a/b/c/g;x=1/y"),
            ("g;x=1/../y", "http://a/b/c/y"),
            ("g?y/./x", "http://a/b/c/g?y/./x"),
            ("g?y/../x", "http://a/b/c/g?y/../x"),
        ] {
            assert_eq!(resolved("http://a/b/c/d;p?q", reference).unwrap(), expected, "{reference}");
        }
    }

    #[test]
    fn whole_urls_stand_for_themselves() {
        for (location, expected) in [
            ("http://b", "http://b/"),
            ("HTTPS://b:8443/x/../y?z", "https://b:8443/y?z"),
            ("http://b?q", "http://b/?q"),
            ("//[::1]:80/x", "https://[::1]:80/x"),
            (" http://b/ ", "http://b/"),
            ("x:80/y", ""),
            ("a/b:c", "https://a/a/b:c"),
        ] {
            let resolved = resolved("https://a", location);
            match expected {
                "" => assert_eq!(resolved, Err(RedirectError::Scheme), "{location}"),
                expected => assert_eq!(resolved.unwrap(), expected, "{location}"),
            }
        }
    }

    #[test]
    fn what_no_url_holds_is_encoded_and_cannot_lead_elsewhere() {
        assert_eq!(
            resolved("http://a/", "/ä b?\"<é>").unwrap(),
            "http://a/%C3%A4%20b?%22%3C%C3%A9%3E"
        );
        assert_eq!(resolved("http://a/", "/\\evil").unwrap(), "http://a/%5Cevil");
        assert_eq!(resolved("http://a/", "\\\\evil/x").unwrap(), "http://a/%5C%5Cevil/x");
        assert_eq!(resolved("http://a/", "//b\\x").unwrap(), "http://b/%5Cx");
        let bytes = resolve(&"http://a/".parse().unwrap(), b"/\xff\x80").unwrap();
        assert_eq!(bytes.to_string(), "http://a/%FF%80");
    }

    #[test]
    fn each_fault_has_its_name() {
        for (location, expected) in [
            ("", RedirectError::NoLocation),
            ("  ", RedirectError::NoLocation),
            ("#x", RedirectError::NoLocation),
            ("ftp://b/", RedirectError::Scheme),
            ("javascript:alert(1)", RedirectError::Scheme),
            ("data:text/event-stream,", RedirectError::Scheme),
            ("file:///etc/passwd", RedirectError::Scheme),
            ("http:x", RedirectError::Location),
            ("http:/x", RedirectError::Location),
            ("http://", RedirectError::Location),
            ("///x", RedirectError::Location),
            ("http://b:99999/", RedirectError::Location),
            ("http://b:x/", RedirectError::Location),
            ("http://:80/", RedirectError::Location),
            ("http://ä/", RedirectError::Location),
            ("http://%41/", RedirectError::Location),
            ("http://b c/", RedirectError::Location),
            ("http://[::1/", RedirectError::Location),
            ("http://user@b/", RedirectError::Userinfo),
            ("//user:secret@b/", RedirectError::Userinfo),
        ] {
            assert_eq!(resolved("http://a/", location), Err(expected), "{location}");
        }
        let endless = "x".repeat(100_000);
        assert_eq!(resolved("http://a/", &endless), Err(RedirectError::Location));
    }

    #[test]
    fn origins_are_compared_with_their_default_ports_and_in_any_case() {
        let same =
            |one: &str, other: &str| is_same_origin(&one.parse().unwrap(), &other.parse().unwrap());
        assert!(same("http://a/x", "http://A:80/y"));
        assert!(same("https://a:443", "HTTPS://a"));
        assert!(!same("http://a", "https://a"));
        assert!(!same("http://a:443", "https://a:443"));
        assert!(!same("http://a", "http://a:8080"));
        assert!(!same("http://a", "http://b.a"));
    }
}
