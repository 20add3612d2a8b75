//! What a client is told of a handshake that failed: in the words that people look up, and whether
//! waiting mends it.

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};
use sansse::net::{Failure, FailureKind};
use std::fmt::Write;

/// How many of a certificate's names are listed.
const NAMES: usize = 5;

/// The failure of a client whose handshake ended with this.
pub(crate) fn of_handshake(error: &Error) -> Failure {
    let (kind, detail) = match error {
        Error::InvalidCertificate(error) => of_certificate(error),
        Error::NoCertificatesPresented => {
            (FailureKind::Certificate, "the server shows no certificate".to_owned())
        }
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            (FailureKind::NotTls, "what it answers is no TLS; perhaps the URL is to begin with http, or needs another port".to_owned())
        }
        Error::NoApplicationProtocol
        | Error::AlertReceived(AlertDescription::NoApplicationProtocol) => {
            (FailureKind::Unsupported, "the server speaks no HTTP/1.1 over TLS (no_application_protocol)".to_owned())
        }
        Error::AlertReceived(AlertDescription::ProtocolVersion) => {
            (FailureKind::Unsupported, "the server speaks neither TLS 1.3 nor TLS 1.2 (protocol_version)".to_owned())
        }
        Error::PeerIncompatible(what) => {
            let detail = format!("the server's TLS and this client's have too little in common: {what:?}");
            (FailureKind::Unsupported, detail)
        }
        Error::AlertReceived(AlertDescription::UnrecognisedName) => {
            (FailureKind::Tls, "the server knows no host of this name (unrecognized_name)".to_owned())
        }
        Error::AlertReceived(AlertDescription::CertificateRequired) => {
            (FailureKind::Tls, "the server wants a certificate of the client's (certificate_required)".to_owned())
        }
        error => (FailureKind::Tls, error.to_string()),
    };
    Failure::new(kind).with_detail(detail)
}

/// A certificate that has expired is one that somebody renews sooner or later, and one that is not
/// valid yet becomes valid; both can be this machine's clock as well, which is set again.
fn of_certificate(error: &CertificateError) -> (FailureKind, String) {
    use CertificateError as E;
    let lasting = |detail: &str| (FailureKind::Certificate, detail.to_owned());
    let passing = |detail: String| (FailureKind::Tls, detail);
    match error {
        E::UnknownIssuer => {
            lasting("unknown issuer: no authority that this client trusts has signed it")
        }
        E::NotValidForName => lasting("wrong name: it is not for the host of the URL"),
        E::NotValidForNameContext { expected, presented } => {
            let expected = expected.to_str();
            lasting(&format!("wrong name: it is for {}, and not for {expected}", names(presented)))
        }
        E::Revoked => lasting("revoked: its authority has withdrawn it"),
        E::BadSignature => lasting("bad signature: its issuer has not signed it so"),
        E::BadEncoding => lasting("bad encoding: it is no certificate"),
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => {
            lasting("wrong purpose: it is none for servers")
        }
        E::UnhandledCriticalExtension
        | E::UnsupportedSignatureAlgorithmContext { .. }
        | E::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => lasting(&error.to_string()),
        E::Expired => passing("the server's certificate has expired".to_owned()),
        E::ExpiredContext { time, not_after } => {
            let ago = span(time.as_secs().saturating_sub(not_after.as_secs()));
            passing(format!("the server's certificate expired {ago} ago, by this machine's clock"))
        }
        E::NotValidYet => passing("the server's certificate is not valid yet".to_owned()),
        E::NotValidYetContext { time, not_before } => {
            let to_come = span(not_before.as_secs().saturating_sub(time.as_secs()));
            passing(format!(
                "the server's certificate is not valid before {to_come} from now, by this machine's clock"
            ))
        }
        error => passing(error.to_string()),
    }
}

/// A time as people say it.
fn span(seconds: u64) -> String {
    const HOUR: u64 = 3600;
    match seconds {
        0..120 => format!("{seconds} seconds"),
        120..7200 => format!("{} minutes", seconds / 60),
        7200..172_800 => format!("{} hours", seconds / HOUR),
        _ => format!("{} days", seconds / (24 * HOUR)),
    }
}

/// The names in a certificate, which [`rustls`] gives as `DnsName("example.org")`.
fn names(presented: &[String]) -> String {
    let mut list = String::new();
    for (index, name) in presented.iter().take(NAMES).enumerate() {
        let inner = name.split_once('(').map_or(name.as_str(), |(_, inner)| inner);
        let inner = inner.trim_end_matches(')').trim_matches('"');
        // Writing to a string does not fail.
        let _ = write!(list, "{}{inner}", if index == 0 { "" } else { ", " });
    }
    match presented.len().checked_sub(NAMES) {
        _ if presented.is_empty() => "no name".to_owned(),
        None | Some(0) => list,
        Some(more) => format!("{list} and {more} others"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::{ServerName, UnixTime};
    use std::time::Duration;

    fn certificate(error: CertificateError) -> Failure {
        of_handshake(&Error::InvalidCertificate(error))
    }

    #[test]
    fn what_waiting_does_not_mend_is_lasting_and_the_rest_is_not() {
        for (error, is_lasting) in [
            (Error::InvalidCertificate(CertificateError::UnknownIssuer), true),
            (Error::InvalidCertificate(CertificateError::NotValidForName), true),
            (Error::InvalidCertificate(CertificateError::Revoked), true),
            (Error::InvalidCertificate(CertificateError::Expired), false),
            (Error::InvalidCertificate(CertificateError::NotValidYet), false),
            (Error::InvalidCertificate(CertificateError::UnknownRevocationStatus), false),
            (Error::InvalidMessage(InvalidMessage::InvalidContentType), true),
            (Error::NoApplicationProtocol, true),
            (Error::AlertReceived(AlertDescription::ProtocolVersion), true),
            (Error::AlertReceived(AlertDescription::InternalError), false),
            (Error::AlertReceived(AlertDescription::HandshakeFailure), false),
            (Error::DecryptError, false),
        ] {
            let failure = of_handshake(&error);
            assert_eq!(failure.kind().is_lasting(), is_lasting, "{failure}");
            assert!(failure.kind().is_before_request());
        }
    }

    #[test]
    fn a_wrong_name_lists_the_names_that_there_are() {
        let with = |names: &[&str]| {
            certificate(CertificateError::NotValidForNameContext {
                expected: ServerName::try_from("example.org").unwrap(),
                presented: names.iter().map(ToString::to_string).collect(),
            })
            .to_string()
        };
        assert_eq!(
            with(&["DnsName(\"a.example\")", "IpAddress(127.0.0.2)"]),
            "the server's certificate is not accepted: wrong name: it is for a.example, 127.0.0.2, \
             and not for example.org"
        );
        assert!(with(&[]).contains("it is for no name, and"));
        let many: Vec<_> =
            (0..105).map(|number| format!("DnsName(\"{number}.example\")")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        assert!(with(&many).contains("4.example and 100 others, and"));
    }

    #[test]
    fn an_expiry_says_how_long_ago_it_was() {
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        for (ago, said) in [(5, "5 seconds"), (7100, "118 minutes"), (864_000, "10 days")] {
            let failure = certificate(CertificateError::ExpiredContext {
                time: at(1_000_000_000 + ago),
                not_after: at(1_000_000_000),
            });
            assert_eq!(failure.kind(), FailureKind::Tls);
            assert!(failure.detail().contains(&format!("expired {said} ago")), "{failure}");
        }
    }
}
