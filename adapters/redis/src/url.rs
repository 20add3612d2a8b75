//! The URL of an engine.

use crate::config::{RedisLogConfig, RedisLogConfigError as Error};
use crate::link::Credentials;
use percent_encoding::percent_decode_str;
use sansse::net::Target;

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

pub(crate) fn read(url: &str) -> Result<RedisLogConfig, Error> {
    let (scheme, rest) = url.split_once("://").ok_or(Error::Scheme)?;
    let (secure, is_sentinel) = match scheme.to_ascii_lowercase().as_str() {
        "redis" => (false, false),
        "rediss" => (true, false),
        "redis+sentinel" => (false, true),
        "rediss+sentinel" => (true, true),
        _ => return Err(Error::Scheme),
    };
    if rest.contains(['?', '#']) {
        return Err(Error::Rest);
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (userinfo, hosts) = match authority.rsplit_once('@') {
        Some((userinfo, hosts)) => (Some(userinfo), hosts),
        None => (None, authority),
    };
    let port = if is_sentinel { SENTINEL_PORT } else { PORT };
    let targets =
        hosts.split(',').map(|host| target(host, port, secure)).collect::<Result<Vec<_>, _>>()?;
    if targets.len() > RedisLogConfig::MAX_ADDRESSES {
        return Err(Error::TooManyAddresses);
    }
    let mut config = RedisLogConfig::new(targets);
    config.credentials = userinfo.map(credentials).transpose()?.flatten();
    let path = path.strip_suffix('/').unwrap_or(path);
    let database = if is_sentinel {
        let (name, database) = path.split_once('/').unwrap_or((path, ""));
        config = config.with_sentinels(&decode(name).ok_or(Error::MasterName)?, [])?;
        database
    } else {
        path
    };
    config.database = match database {
        "" => 0,
        database if database.contains('/') => return Err(Error::Rest),
        database if database.bytes().all(|byte| byte.is_ascii_digit()) => {
            database.parse().map_err(|_| Error::Database)?
        }
        _ => return Err(Error::Database),
    };
    Ok(config)
}

/// A host with or without a port. An IPv6 address stands in brackets.
fn target(address: &str, default: u16, secure: bool) -> Result<Target, Error> {
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or(Error::Host)?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| Error::Host)?;
            match port.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if port.is_empty() => (host, None),
                None => return Err(Error::Port),
            }
        }
        None => match address.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (address, None),
        },
    };
    let port = match port {
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            port.parse().ok().filter(|port| *port > 0).ok_or(Error::Port)?
        }
        Some(_) => return Err(Error::Port),
        None => default,
    };
    to(host, port, secure).ok_or(Error::Host)
}

/// Returns where a host's port is; `None` if the host is none.
pub(crate) fn to(host: &str, port: u16, secure: bool) -> Option<Target> {
    let known = |char: char| char.is_alphanumeric() || ".-_:%".contains(char);
    if host.is_empty() || host.len() > 255 || !host.chars().all(known) {
        return None;
    }
    Some(Target::new(host, port, secure))
}

fn credentials(userinfo: &str) -> Result<Option<Credentials>, Error> {
    let (user, password) = match userinfo.split_once(':') {
        Some((user, password)) => (user, password),
        None if userinfo.is_empty() => return Ok(None),
        // A user alone has nothing to log in with.
        None => return Err(Error::Credentials),
    };
    let user = decode(user).ok_or(Error::Credentials)?;
    let password = decode(password).ok_or(Error::Credentials)?;
    Ok(Some(Credentials { user: (!user.is_empty()).then_some(user), password }))
}

fn decode(text: &str) -> Option<String> {
    Some(percent_decode_str(text).decode_utf8().ok()?.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn addresses(config: &RedisLogConfig) -> Vec<(&str, u16, bool)> {
        config.targets.iter().map(|to| (to.host.as_str(), to.port, to.secure)).collect()
    }

    #[test]
    fn each_form_is_read() {
        let config = read("redis://127.0.0.1").unwrap();
        assert_eq!(addresses(&config), [("127.0.0.1", 6379, false)]);
        assert!(config.credentials.is_none() && config.sentinel.is_none());

        let config = read("REDISS://app:s%40crt@[::1]:6380,redis.example/3").unwrap();
        assert_eq!(addresses(&config), [("::1", 6380, true), ("redis.example", 6379, true)]);
        let credentials = config.credentials.unwrap();
        assert_eq!(credentials.user.as_deref(), Some("app"));
        assert_eq!((credentials.password.as_str(), config.database), ("s@crt", 3));

        let config = read("redis+sentinel://:secret@a:1,b/my%2Dmaster/7").unwrap();
        assert_eq!(addresses(&config), [("a", 1, false), ("b", 26379, false)]);
        assert_eq!(config.sentinel.unwrap().name, "my-master");
        assert_eq!((config.credentials.unwrap().user, config.database), (None, 7));
    }

    #[test]
    fn a_password_may_hold_at_signs_and_colons() {
        let config = read("redis://a:b@c:d@host/").unwrap();
        assert_eq!(config.credentials.unwrap().password, "b@c:d");
        assert!(read("redis://@host").unwrap().credentials.is_none());
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_reason() {
        for (url, error) in [
            ("", Error::Scheme),
            ("127.0.0.1:6379", Error::Scheme),
            ("http://a", Error::Scheme),
            ("redis://", Error::Host),
            ("redis://a,,b", Error::Host),
            ("redis://[::1", Error::Host),
            ("redis://[x]", Error::Host),
            ("redis://a b", Error::Host),
            ("redis://a:0", Error::Port),
            ("redis://a:", Error::Port),
            ("redis://a:65536", Error::Port),
            ("redis://a:+1", Error::Port),
            ("redis://[::1]x", Error::Port),
            ("redis://a/x", Error::Database),
            ("redis://a/-1", Error::Database),
            ("redis://a/99999999999", Error::Database),
            ("redis://a/1/2", Error::Rest),
            ("redis://a/0?x=secret", Error::Rest),
            ("redis://a#", Error::Rest),
            ("redis://secret@a", Error::Credentials),
            ("redis://a:%ff@a", Error::Credentials),
            ("redis+sentinel://a", Error::MasterName),
            ("redis+sentinel://a/a%20b", Error::MasterName),
            ("redis+sentinel://a/m/x", Error::Database),
        ] {
            assert_eq!(read(url).err(), Some(error), "{url}");
        }
        let many = vec!["a"; RedisLogConfig::MAX_ADDRESSES + 1].join(",");
        assert_eq!(read(&format!("redis://{many}")).err(), Some(Error::TooManyAddresses));
    }

    #[test]
    fn nothing_shows_a_password() {
        let config = read("redis+sentinel://app:secret@a/m").unwrap();
        let config = config.with_sentinel_credentials(Some("app"), "secret");
        assert!(!format!("{config:?} {config:#?}").contains("secret"));
    }

    proptest! {
        #[test]
        fn no_text_panics(url: String, rest in "s?(\\+sentinel)?://[a:@/,\\[\\]%0-9]{0,20}") {
            let _ = (read(&url), read(&format!("redis{rest}")));
        }
    }
}
