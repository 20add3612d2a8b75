//! Through which proxies a client's connections go: [`Proxies`].

use super::Target;
use super::credentials::{basic_credentials, take_userinfo};
use super::no_proxy::Exceptions;
use crate::fault::Fault;
use alloc::format;
use alloc::string::String;
use core::fmt;
use http::uri::Scheme;
use http::{HeaderValue, Uri};

/// An HTTP proxy: where it is, and as whom it is asked.
///
/// ```
/// use sansse::net::Proxy;
///
/// let proxy = Proxy::new("http://user:secret@proxy.example:3128")?;
/// assert_eq!((proxy.target().host.as_str(), proxy.target().port), ("proxy.example", 3128));
/// # Ok::<(), sansse::net::ProxyError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    target: Target,
    credentials: Option<HeaderValue>,
}

/// Which proxy, if any, a connection goes through.
///
/// By default there is none. What `http` asks for goes to its proxy as a request with the whole
/// URL (RFC 9112, 3.2.2). What `https` asks for goes through a tunnel that its proxy opens
/// (CONNECT; RFC 9110, 9.3.6), so that the proxy sees the host and the port alone.
///
/// ```
/// use sansse::net::{Proxies, Proxy};
///
/// // One proxy for all but some hosts:
/// let proxies = Proxies::all(Proxy::new("http://proxy.example:3128")?)
///     .except("localhost, .intranet.example, 10.0.0.0/8");
///
/// // Or what the environment says, where that is wanted:
/// let proxies = Proxies::from_variables(|name| std::env::var(name).ok())?;
/// # let _ = proxies;
/// # Ok::<(), sansse::net::ProxyError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    exceptions: Exceptions,
}

impl Proxy {
    /// Reads the URL of a proxy: `http` or `https`, which says how the proxy itself is reached;
    /// without a scheme it is `http`. The port is 80 or 443 unless the URL names one. A user name
    /// and a password in it, percent-encoded, go to the proxy as `Proxy-Authorization` by the
    /// scheme Basic (RFC 7617).
    ///
    /// A proxy for `https` that is itself reached by `https` takes TLS within TLS, which not every
    /// connector can do. Those that cannot say so, by
    /// [`FailureKind::Unsupported`](super::FailureKind::Unsupported).
    ///
    /// # Errors
    ///
    /// [`ProxyError`], by the caller's fault.
    pub fn new(url: &str) -> Result<Self, ProxyError> {
        let url = url.trim();
        let error = ProxyError::new;
        let with_scheme =
            if url.contains("://") { String::from(url) } else { format!("http://{url}") };
        let url: Uri = with_scheme.parse().map_err(|_| error(ProxyErrorKind::Url))?;
        if !matches!(url.scheme(), Some(scheme) if *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS)
        {
            return Err(error(ProxyErrorKind::Scheme));
        }
        let (url, userinfo) = take_userinfo(&url).unwrap_or((url, String::new()));
        // A port that is none would be taken for the scheme's own.
        let after_host = url.authority().and_then(|at| at.as_str().strip_prefix(at.host()));
        if !matches!(after_host, Some("" | ":")) && url.port_u16().is_none() {
            return Err(error(ProxyErrorKind::Url));
        }
        let target = Target::of(&url).map_err(|_| error(ProxyErrorKind::Url))?;
        let credentials = match userinfo.as_str() {
            "" => None,
            userinfo => Some(basic_credentials(userinfo).ok_or(error(ProxyErrorKind::Userinfo))?),
        };
        Ok(Self { target, credentials })
    }

    /// Returns where the proxy is.
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// Returns what goes to the proxy as `Proxy-Authorization`, if its URL has a user name.
    pub const fn credentials(&self) -> Option<&HeaderValue> {
        self.credentials.as_ref()
    }
}

impl Proxies {
    /// Sends everything through one proxy.
    pub fn all(proxy: Proxy) -> Self {
        Self { http: Some(proxy.clone()), https: Some(proxy), exceptions: Exceptions::default() }
    }

    /// Sets the proxy for what `http` asks for; `None` for none.
    pub fn with_http(mut self, proxy: Option<Proxy>) -> Self {
        self.http = proxy;
        self
    }

    /// Sets the proxy for what `https` asks for; `None` for none.
    pub fn with_https(mut self, proxy: Option<Proxy>) -> Self {
        self.https = proxy;
        self
    }

    /// Adds hosts that are reached without a proxy, as a list in the form of `NO_PROXY`, separated by
    /// commas or spaces:
    ///
    /// - `example.org`, `.example.org` or `*.example.org`: this host, and all whose names end so;
    /// - `127.0.0.1`, `::1`: this address; `10.0.0.0/8`, `fd00::/8`: these addresses, where the URL
    ///   has an address and not a name;
    /// - any of the first two with a port: this port alone;
    /// - `*`: every host.
    ///
    /// What is none of these matches nothing.
    pub fn except(mut self, list: &str) -> Self {
        self.exceptions.add(list);
        self
    }

    /// Reads what the environment says, as `curl` and others do: `http_proxy` and `https_proxy` for
    /// each scheme, `all_proxy` where there is no such variable, and `no_proxy` for the hosts that
    /// are reached without, as [`except`](Self::except) reads them. Each may have a name in capital
    /// letters, which counts where there is none in small ones. A variable that is empty is none.
    ///
    /// `HTTP_PROXY` is not believed where there is a `REQUEST_METHOD`: in a CGI program, it is what
    /// a request says in its header `Proxy`.
    ///
    /// The function gives a variable's value, such as `|name| std::env::var(name).ok()`; the library
    /// reads no environment itself.
    ///
    /// # Errors
    ///
    /// [`ProxyError`], which says in which variable, for one that is used.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ProxyError> {
        let variable = |name: &'static str| variable(name).filter(|value| !value.trim().is_empty());
        let is_cgi = variable("REQUEST_METHOD").is_some();
        let first_of = |names: &[&'static str]| {
            let mut values = names.iter().filter_map(|name| Some((*name, variable(name)?)));
            values.find(|(name, _)| !(is_cgi && *name == "HTTP_PROXY"))
        };
        let proxy = |names: &[&'static str]| match first_of(names) {
            Some((name, url)) => match Proxy::new(&url) {
                Ok(proxy) => Ok(Some(proxy)),
                Err(error) => Err(ProxyError { variable: Some(name), ..error }),
            },
            None => Ok(None),
        };
        let mut exceptions = Exceptions::default();
        if let Some((_, list)) = first_of(&["no_proxy", "NO_PROXY"]) {
            exceptions.add(&list);
        }
        Ok(Self {
            http: proxy(&["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])?,
            https: proxy(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])?,
            exceptions,
        })
    }

    /// Returns the proxy through which a connection goes; `None` if it goes straight to its target.
    pub fn of(&self, target: &Target) -> Option<&Proxy> {
        let proxy = if target.secure { &self.https } else { &self.http };
        proxy.as_ref().filter(|_| !self.exceptions.include(&target.host, target.port))
    }
}

/// A URL that is none of a proxy, by the caller's fault. It does not say what the URL is, which may
/// hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyError {
    kind: ProxyErrorKind,
    variable: Option<&'static str>,
}

/// What is wrong with the URL of a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxyErrorKind {
    /// It is no URL with a host.
    Url,
    /// The scheme is neither `http` nor `https`. SOCKS is not spoken.
    Scheme,
    /// The user name or the password is one that no `Proxy-Authorization` header can say (RFC 7617,
    /// 2): a control character is in it, or a colon in the user name.
    Userinfo,
}

impl ProxyError {
    const fn new(kind: ProxyErrorKind) -> Self {
        Self { kind, variable: None }
    }

    /// Returns what is wrong.
    pub const fn kind(self) -> ProxyErrorKind {
        self.kind
    }

    /// Returns the environment's variable that holds the URL, if it is from one.
    pub const fn variable(self) -> Option<&'static str> {
        self.variable
    }

    /// Returns whose fault it is: always the caller's.
    pub const fn fault(self) -> Fault {
        Fault::Caller
    }
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            ProxyErrorKind::Url => "the URL of the proxy is none with a host",
            ProxyErrorKind::Scheme => "the URL of the proxy is neither http nor https",
            ProxyErrorKind::Userinfo => {
                "the URL of the proxy holds a user name or a password that cannot be sent"
            }
        })?;
        match self.variable {
            Some(variable) => write!(f, ", in the variable {variable}"),
            None => Ok(()),
        }
    }
}

impl core::error::Error for ProxyError {}

impl fmt::Debug for Proxy {
    /// Leaves out the credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("target", &self.target)
            .field("has_credentials", &self.credentials.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn target(url: &str) -> Target {
        Target::of(&url.parse().unwrap()).unwrap()
    }

    /// The proxy's host for a URL, given an environment.
    fn from(variables: &[(&str, &str)], url: &str) -> Option<String> {
        let get = |name: &str| {
            let value = variables.iter().find(|(variable, _)| *variable == name)?.1;
            Some(value.to_string())
        };
        let proxies = Proxies::from_variables(get).unwrap();
        proxies.of(&target(url)).map(|proxy| proxy.target().host.clone())
    }

    #[test]
    fn each_scheme_has_its_variable_and_the_one_for_all_fills_in() {
        let of = |variables: &[(&str, &str)]| {
            (from(variables, "http://a/"), from(variables, "https://a/"))
        };
        let named = |name: &str| Some(name.to_string());
        assert_eq!(of(&[]), (None, None));
        assert_eq!(of(&[("http_proxy", "p")]), (named("p"), None));
        assert_eq!(of(&[("HTTPS_PROXY", "http://p:1")]), (None, named("p")));
        assert_eq!(of(&[("ALL_PROXY", "p"), ("https_proxy", "q")]), (named("p"), named("q")));
        assert_eq!(of(&[("http_proxy", "p"), ("HTTP_PROXY", "q")]), (named("p"), None));
        assert_eq!(of(&[("http_proxy", " "), ("HTTP_PROXY", "q")]), (named("q"), None));
        assert_eq!(of(&[("all_proxy", "p"), ("NO_PROXY", "b, a")]), (None, None));
        assert_eq!(
            of(&[("all_proxy", "p"), ("no_proxy", "b"), ("NO_PROXY", "a")]),
            (named("p"), named("p"))
        );
    }

    #[test]
    fn a_request_to_a_cgi_program_sets_no_proxy() {
        let cgi = ("REQUEST_METHOD", "GET");
        assert_eq!(from(&[cgi, ("HTTP_PROXY", "evil")], "http://a/"), None);
        assert_eq!(
            from(&[cgi, ("http_proxy", "p"), ("HTTP_PROXY", "evil")], "http://a/").as_deref(),
            Some("p")
        );
        assert_eq!(from(&[cgi, ("HTTPS_PROXY", "p")], "https://a/").as_deref(), Some("p"));
    }

    #[test]
    fn a_proxy_has_a_scheme_a_port_and_credentials() {
        for (url, host, port, secure, credentials) in [
            ("proxy", "proxy", 80, false, None),
            ("proxy:3128/", "proxy", 3128, false, None),
            ("HTTPS://proxy", "proxy", 443, true, None),
            ("http://[::1]:8080", "::1", 8080, false, None),
            ("user:pass%20word@proxy:1", "proxy", 1, false, Some("Basic dXNlcjpwYXNzIHdvcmQ=")),
        ] {
            let proxy = Proxy::new(url).unwrap();
            let target = proxy.target();
            assert_eq!((target.host.as_str(), target.port, target.secure), (host, port, secure));
            assert_eq!(proxy.credentials().map(|value| value.to_str().unwrap()), credentials);
            assert!(!format!("{proxy:?}").contains("pass"), "{proxy:?}");
        }
    }

    #[test]
    fn what_is_no_proxy_is_a_typed_error_without_secrets_that_names_the_variable() {
        for (url, kind) in [
            ("", ProxyErrorKind::Url),
            ("http://", ProxyErrorKind::Url),
            ("http://a:secret@b:99999", ProxyErrorKind::Url),
            ("a b", ProxyErrorKind::Url),
            ("socks5://a:secret@b", ProxyErrorKind::Scheme),
            ("http://a%3A:secret@b", ProxyErrorKind::Userinfo),
        ] {
            let error = Proxy::new(url).unwrap_err();
            assert_eq!(
                (error.kind(), error.variable(), error.fault()),
                (kind, None, Fault::Caller)
            );
            assert!(!error.to_string().contains("secret"));
        }
        let variables = |name: &str| (name == "ALL_PROXY").then(|| "socks5://a".to_string());
        let error = Proxies::from_variables(variables).unwrap_err();
        assert_eq!(error.variable(), Some("ALL_PROXY"));
        assert_eq!(
            error.to_string(),
            "the URL of the proxy is neither http nor https, in the variable ALL_PROXY"
        );
    }

    #[test]
    fn each_scheme_can_have_a_proxy_of_its_own_or_none() {
        let one = Proxy::new("one").unwrap();
        let proxies = Proxies::all(one.clone()).with_https(None).except("a");
        assert_eq!(proxies.of(&target("http://b/")), Some(&one));
        assert_eq!(proxies.of(&target("http://a/")), None);
        assert_eq!(proxies.of(&target("https://b/")), None);
        assert_eq!(
            Proxies::default().with_https(Some(one.clone())).of(&target("https://b/")),
            Some(&one)
        );
    }
}
