//! What a URL says of a user, and how it is sent: by the scheme Basic (RFC 7617).

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::uri::Authority;
use http::{HeaderValue, Uri};

/// A URL without its user name and password, and these as they stand there; `None` if it has none.
pub(crate) fn take_userinfo(url: &Uri) -> Option<(Uri, String)> {
    let (userinfo, host) = url.authority()?.as_str().rsplit_once('@')?;
    let userinfo = userinfo.to_string();
    let mut parts = url.clone().into_parts();
    parts.authority = Some(Authority::try_from(host).ok()?);
    Some((Uri::from_parts(parts).ok()?, userinfo))
}

/// The credentials that a URL holds as `user:password`, percent-encoded. `None` if RFC 7617, 2
/// forbids them: a control character, or a colon in the user name.
pub(crate) fn basic_credentials(userinfo: &str) -> Option<HeaderValue> {
    let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
    let user = decode(user);
    if user.contains(&b':') {
        return None;
    }
    let credentials = [user, decode(password)].join(&b':');
    if credentials.iter().any(u8::is_ascii_control) {
        return None;
    }
    let text = String::from("Basic ") + &STANDARD.encode(credentials);
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Takes percent-encoding off (RFC 3986, 2.1). A percent sign that encodes nothing stands for itself.
fn decode(text: &str) -> Vec<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let encoded = |rest: &[u8]| match rest {
        [b'%', high, low, ..] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    };
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let decoded = encoded(rest);
        bytes.push(decoded.unwrap_or(*first));
        rest = if decoded.is_some() { &after[2..] } else { after };
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(userinfo: &str) -> Option<String> {
        basic_credentials(userinfo).map(|value| {
            assert!(value.is_sensitive(), "it goes to one origin, and into no log");
            value.to_str().unwrap().to_string()
        })
    }

    #[test]
    fn credentials_are_those_of_the_examples_of_the_rfc() {
        assert_eq!(
            basic("Aladdin:open%20sesame").as_deref(),
            Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")
        );
        assert_eq!(basic("test:123%C2%A3").as_deref(), Some("Basic dGVzdDoxMjPCow=="));
    }

    #[test]
    fn a_password_may_be_missing_and_may_hold_colons_and_percent_signs() {
        assert_eq!(basic("a"), basic("a:"));
        assert_eq!(basic("a:b:c"), basic("a:b%3Ac"));
        assert_eq!(basic("a:100%"), basic("a:100%25"));
        assert_eq!(basic("a:%zz"), basic("a:%25zz"));
        assert_eq!(basic(":key").as_deref(), Some("Basic OmtleQ=="));
    }

    #[test]
    fn what_the_scheme_cannot_say_is_refused() {
        for userinfo in ["a%3Ab:c", "a%0D%0Ab:c", "a:%00", "a:%7f"] {
            assert_eq!(basic(userinfo), None, "{userinfo}");
        }
    }

    #[test]
    fn a_url_without_its_user_is_the_same_in_all_else() {
        for (url, without, userinfo) in [
            ("http://a:b@c:8080/d?e", "http://c:8080/d?e", "a:b"),
            ("https://a@[::1]/", "https://[::1]/", "a"),
            ("http://@c/", "http://c/", ""),
        ] {
            let (rest, taken) = take_userinfo(&url.parse().unwrap()).unwrap();
            assert_eq!((rest.to_string().as_str(), taken.as_str()), (without, userinfo));
        }
        assert!(take_userinfo(&"http://c/?a@b".parse().unwrap()).is_none());
    }
}
