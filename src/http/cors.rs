//! Which pages of other origins may read a stream: [`Cors`].

use super::LAST_EVENT_ID;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;
use core::time::Duration;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri};

/// The CORS protocol of the
/// [Fetch standard, 3.3](https://fetch.spec.whatwg.org/#http-cors-protocol), for
/// streams and for what is answered beside them.
///
/// A page of another origin can read a response only if that response says so,
/// an error no less than a stream: give the headers to every answer, by
/// [`apply`](Self::apply).
///
/// ```
/// use sansse::http::Cors;
///
/// let cors = Cors::origins(["https://app.example", "http://localhost:5173"])?;
/// let request = http::Request::get("/").header("origin", "https://app.example").body(())?;
/// let mut answer = http::Response::new("not today");
/// cors.apply(request.headers(), answer.headers_mut());
/// assert_eq!(answer.headers()["access-control-allow-origin"], "https://app.example");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    origins: Origins,
    allowed_headers: Vec<HeaderName>,
    max_age: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Origins {
    Any,
    Listed { origins: Vec<HeaderValue>, credentials: bool },
}

impl Cors {
    /// Lets pages of every origin read, without credentials.
    ///
    /// There is no way to admit every origin with credentials: that would hand
    /// each user's data to any page the user visits, and the standard forbids
    /// it for `*`.
    pub fn any_origin() -> Self {
        Self::new(Origins::Any)
    }

    /// Lets pages of these origins read, without credentials.
    ///
    /// An origin is a scheme, a host and, unless it is the scheme's own, a port:
    /// `https://app.example`, `http://localhost:5173`.
    ///
    /// # Errors
    ///
    /// [`OriginError`] for the first text that no browser would send as an
    /// origin, by the caller's fault.
    pub fn origins<I>(origins: I) -> Result<Self, OriginError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        Self::listed(origins, false)
    }

    /// Lets pages of these origins read, as [`origins`](Self::origins) does, and lets their
    /// requests carry cookies and other credentials (`withCredentials` of an `EventSource`).
    ///
    /// # Errors
    ///
    /// As [`origins`](Self::origins).
    pub fn origins_with_credentials<I>(origins: I) -> Result<Self, OriginError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        Self::listed(origins, true)
    }

    /// Lets requests carry one more header. `Last-Event-ID`, `Content-Type`
    /// and `Cache-Control` are always allowed; `Authorization` is not.
    pub fn with_allowed_header(mut self, name: HeaderName) -> Self {
        if !self.allowed_headers.contains(&name) {
            self.allowed_headers.push(name);
        }
        self
    }

    /// Sets how long a browser may keep the answer to a preflight, in whole seconds. A browser that
    /// is not told keeps it for five.
    pub fn with_max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// Returns whether pages of this origin may read, given the value of their `Origin`.
    pub fn allows(&self, origin: &HeaderValue) -> bool {
        match &self.origins {
            Origins::Any => true,
            Origins::Listed { origins, .. } => origins.contains(origin),
        }
    }

    /// Adds the headers that let the asking page read a response, to any response.
    ///
    /// Where origins are listed, `Vary: Origin` is added even if the asking
    /// one is not among them, so that no cache gives its answer to another.
    pub fn apply(&self, request: &HeaderMap, response: &mut HeaderMap) {
        let Origins::Listed { origins, credentials } = &self.origins else {
            let any = HeaderValue::from_static("*");
            response.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any);
            return;
        };
        response.append(header::VARY, HeaderValue::from_static("Origin"));
        let asking = request.get(header::ORIGIN);
        let Some(origin) = asking.filter(|asking| origins.contains(asking)) else { return };
        response.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        if *credentials {
            let allowed = HeaderValue::from_static("true");
            response.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, allowed);
        }
    }

    /// Returns the answer to a preflight; `None` if the request is none.
    ///
    /// Browsers ask first where a request has an unusual header. For an
    /// `EventSource` that is a `Last-Event-ID` of more than 128 bytes, or with
    /// bytes in it such as `<`.
    pub fn preflight<B>(&self, request: &Request<B>) -> Option<Response<Bytes>> {
        self.preflight_of(request.method(), request.headers())
    }

    pub(crate) fn preflight_of(
        &self,
        method: &Method,
        asked: &HeaderMap,
    ) -> Option<Response<Bytes>> {
        let is_preflight = *method == Method::OPTIONS
            && asked.contains_key(header::ORIGIN)
            && asked.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        if !is_preflight {
            return None;
        }
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        self.apply(asked, headers);
        if headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN) {
            let methods = HeaderValue::from_static("GET, POST");
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
            for name in &self.allowed_headers {
                headers.append(header::ACCESS_CONTROL_ALLOW_HEADERS, name.clone().into());
            }
            if let Some(max_age) = self.max_age {
                headers.insert(header::ACCESS_CONTROL_MAX_AGE, max_age.as_secs().into());
            }
        }
        Some(response)
    }

    fn listed<I>(origins: I, credentials: bool) -> Result<Self, OriginError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let origins = origins.into_iter().map(|text| serialized_origin(text.as_ref()));
        Ok(Self::new(Origins::Listed { origins: origins.collect::<Result<_, _>>()?, credentials }))
    }

    fn new(origins: Origins) -> Self {
        Self {
            origins,
            allowed_headers: [LAST_EVENT_ID, header::CONTENT_TYPE, header::CACHE_CONTROL].into(),
            max_age: None,
        }
    }
}

/// A text that is no origin, by the caller's fault.
///
/// `null`, which stands for many origins at once, and wildcards are none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginError(String);

impl OriginError {
    /// Returns the text as it was given.
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OriginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no origin: it takes a scheme, a host and perhaps a port", self.0)
    }
}

impl core::error::Error for OriginError {}

/// The one way in which browsers write an origin, since it is compared byte by
/// byte: lower case, no default port, no path.
pub(super) fn serialized_origin(text: &str) -> Result<HeaderValue, OriginError> {
    let error = || OriginError(text.to_string());
    let uri: Uri = text.parse().map_err(|_| error())?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(error());
    };
    if uri.path().len() > 1 || uri.query().is_some() || authority.as_str().contains(['@', '*']) {
        return Err(error());
    }
    let mut origin = String::from(scheme) + "://" + authority.host();
    match (scheme, authority.port_u16()) {
        ("http", Some(80)) | ("https", Some(443)) => {}
        (_, Some(port)) => {
            origin.push(':');
            origin.push_str(&port.to_string());
        }
        // A colon with nothing or too much behind it.
        (_, None) if authority.host().len() != authority.as_str().len() => return Err(error()),
        (_, None) => {}
    }
    origin.make_ascii_lowercase();
    HeaderValue::try_from(origin).map_err(|_| error())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_kept_as_browsers_write_it() {
        for (given, kept) in [
            ("https://App.Example", "https://app.example"),
            ("https://app.example/", "https://app.example"),
            ("https://app.example:443", "https://app.example"),
            ("http://app.example:443", "http://app.example:443"),
            ("http://[::1]:80", "http://[::1]"),
            ("capacitor://localhost", "capacitor://localhost"),
        ] {
            assert_eq!(serialized_origin(given).unwrap(), kept);
        }
    }

    #[test]
    fn what_no_browser_sends_as_an_origin_is_refused() {
        for text in [
            "",
            "*",
            "null",
            "app.example",
            "https://app.example/path",
            "https://app.example/?q",
            "https://user@app.example",
            "https://*.app.example",
            "https://app.example:",
            "https://app.example:99999",
            "https://app.example\r\nx: y",
        ] {
            assert_eq!(serialized_origin(text).unwrap_err().text(), text);
        }
    }
}
