//! Redirects: what goes along, and where they may not lead.

use crate::kit::client::{Answer, Bench, Life, Seen, URL, both, get, head, seconds};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request};
use sansse::client::{
    ClientConfig, ClientError, CloseReason, NextAttempt, RedirectError, Redirects,
};

fn secret(value: &'static str) -> HeaderValue {
    let mut value = HeaderValue::from_static(value);
    value.set_sensitive(true);
    value
}

fn with_secrets(url: &str) -> Request<Bytes> {
    let mut request = get(url);
    let headers = request.headers_mut();
    headers.insert("authorization", HeaderValue::from_static("Bearer x"));
    headers.insert("cookie", HeaderValue::from_static("a=b"));
    headers.insert("proxy-authorization", HeaderValue::from_static("Basic eA=="));
    headers.append("x-api-key", HeaderValue::from_static("old"));
    headers.append("x-api-key", secret("key"));
    headers.insert("host", HeaderValue::from_static("virtual.example"));
    headers.insert("x-tenant", HeaderValue::from_static("one"));
    request
}

const SECRETS: [&str; 5] = ["authorization", "cookie", "proxy-authorization", "x-api-key", "host"];

fn secrets_in(request: &Request<Bytes>) -> usize {
    assert_eq!(request.headers()["x-tenant"], "one");
    SECRETS.iter().filter(|name| request.headers().contains_key(**name)).count()
}

#[test]
fn what_is_for_one_origin_goes_to_no_other() {
    for (from, to, kept) in [
        ("https://a.example/", "https://a.example/x", 5),
        ("https://a.example/", "https://A.example:443/x", 5),
        ("https://a.example/", "https://a.example:8443/", 0),
        ("https://a.example/", "https://b.a.example/", 0),
        ("https://a.example/", "//b.example/", 0),
        ("http://a.example/", "https://a.example/", 0),
    ] {
        for config in both() {
            let life = Life::with(with_secrets(from), config, [Answer::redirect(307, to)]);
            assert_eq!(secrets_in(&life.requests[0]), 5);
            assert_eq!(secrets_in(&life.requests[1]), kept, "{from} {to}");
        }
    }
}

#[test]
fn once_left_out_they_stay_out_for_the_rest_of_the_chain_and_are_back_in_the_next_attempt() {
    let life = Life::with(
        with_secrets("https://a.example/"),
        ClientConfig::new(1),
        [
            Answer::redirect(302, "https://b.example/"),
            Answer::redirect(302, "https://a.example/transfer-all-money"),
            Answer::stream(""),
        ],
    );
    let secrets: Vec<usize> = life.requests.iter().map(secrets_in).collect();
    assert_eq!(secrets, [5, 0, 0, 5]);
}

#[test]
fn a_target_that_is_kept_is_kept_without_them() {
    let mut config = ClientConfig::new(1);
    config.policy.redirects.next_attempt = NextAttempt::Target;
    let life = Life::with(
        with_secrets("https://a.example/"),
        config,
        [Answer::redirect(302, "https://b.example/"), Answer::stream(""), Answer::stream("")],
    );
    let secrets: Vec<usize> = life.requests.iter().map(secrets_in).collect();
    assert_eq!(secrets, [5, 0, 0, 0]);
    assert_eq!(life.urls()[2..], ["https://b.example/", "https://b.example/"]);
}

#[test]
fn renewed_headers_are_bound_to_their_origin_too() {
    let mut config = ClientConfig::new(1);
    config.renew_headers = true;
    let mut bench = Bench::new(config);
    let Some(Seen::HeadersWanted { attempt, .. }) = bench.event() else { panic!() };
    let mut renewed = HeaderMap::new();
    renewed.insert("authorization", HeaderValue::from_static("Bearer fresh"));
    renewed.insert("x-trace", HeaderValue::from_static("1"));
    bench.client.handle_headers(bench.now, attempt, renewed);
    let (attempt, request) = bench.request();
    assert_eq!(request.headers()["authorization"], "Bearer fresh");
    bench.respond(attempt, &head(307, &[("location", "/here")]));
    let (attempt, request) = bench.request();
    assert_eq!(request.headers()["authorization"], "Bearer fresh");
    bench.respond(attempt, &head(307, &[("location", "http://other.example/")]));
    let (_, request) = bench.request();
    assert!(!request.headers().contains_key("authorization"));
    assert_eq!(request.headers()["x-trace"], "1");
    assert_eq!(bench.event(), None, "headers are asked for once in an attempt");
}

#[test]
fn a_redirect_that_leads_nowhere_is_the_end_and_says_why() {
    for (location, error) in [
        ("ftp://example.org/", RedirectError::Scheme),
        ("javascript:alert(1)", RedirectError::Scheme),
        ("http://", RedirectError::Location),
        ("http://user:secret@example.org/", RedirectError::Userinfo),
    ] {
        for config in both() {
            let life = Life::new(config, [Answer::redirect(302, location)]);
            let Some(CloseReason::Failed(ClientError::Redirect(actual, answer))) =
                life.close_reason()
            else {
                panic!("{location} {life:?}")
            };
            assert_eq!(*actual, error, "{location}");
            assert_eq!(
                (answer.url.to_string(), &answer.headers["location"]),
                (URL.to_owned(), &HeaderValue::from_static(location))
            );
            assert_eq!(life.requests.len(), 1);
        }
    }
}

#[test]
fn https_leads_to_http_only_if_that_is_allowed() {
    for mut config in both() {
        let redirect = || [Answer::redirect(302, "http://a.example/plain")];
        let life = Life::with(with_secrets("https://a.example/"), config.clone(), redirect());
        assert!(matches!(
            life.close_reason(),
            Some(CloseReason::Failed(ClientError::Redirect(RedirectError::Insecure, _)))
        ));
        config.policy.redirects.allow_insecure = true;
        let life = Life::with(with_secrets("https://a.example/"), config, redirect());
        assert_eq!(life.requests[1].uri(), "http://a.example/plain");
        assert_eq!(secrets_in(&life.requests[1]), 0);
    }
}

#[test]
fn a_body_goes_to_another_origin_only_if_that_is_allowed() {
    for (from, to, may) in [
        ("https://a.example/", "https://a.example/x", true),
        ("https://a.example/", "https://a.example:443/x", true),
        ("https://a.example/", "https://b.example/", false),
        ("http://a.example/", "https://a.example/", false),
    ] {
        for status in [307, 308] {
            let post = || Request::post(from).body(Bytes::from("question")).unwrap();
            let redirect = || [Answer::redirect(status, to)];
            let config = ClientConfig::new(1);
            let life = Life::with(post(), config.clone(), redirect());
            let refused = matches!(
                life.close_reason(),
                Some(CloseReason::Failed(ClientError::Redirect(RedirectError::Body, _)))
            );
            assert_eq!((refused, life.requests.len()), (!may, 1 + usize::from(may)), "{from} {to}");
            let mut allowed = config;
            allowed.policy.redirects.allow_body_elsewhere = true;
            let life = Life::with(post(), allowed, redirect());
            assert_eq!(life.requests[1].body(), "question");
        }
        // These turn into a GET, which has none.
        let post = Request::post(from).body(Bytes::from("question")).unwrap();
        let life = Life::with(post, ClientConfig::new(1), [Answer::redirect(302, to)]);
        assert_eq!((life.requests[1].method(), life.requests[1].body().len()), (&Method::GET, 0));
    }
}

#[test]
fn as_many_redirects_are_followed_as_the_limit_says() {
    let chain = |length: usize| (0..length).map(|n| Answer::redirect(302, &format!("/{n}")));
    for config in both() {
        let limit = usize::from(Redirects::default().limit);
        let good = chain(limit).chain([Answer::stream("").held()]);
        assert_eq!(Life::new(config.clone(), good).shorts(), ["open"]);

        let life = Life::new(config.clone(), chain(limit + 1));
        let [Seen::Retrying { error, wait, .. }] = &life.seen[..] else { panic!("{life:?}") };
        assert!(matches!(error, ClientError::Redirect(RedirectError::TooMany, _)));
        assert!(*wait >= seconds(3));
        assert_eq!(life.urls().last().unwrap(), URL);

        let mut config = config;
        config.policy.redirects.limit = 0;
        let life = Life::new(config, chain(1));
        assert!(matches!(
            life.close_reason(),
            Some(CloseReason::Failed(ClientError::Redirect(RedirectError::TooMany, _)))
        ));
    }
}

#[test]
fn a_form_that_redirects_to_itself_as_a_get_is_no_loop() {
    let request = Request::post(URL).body(Bytes::from_static(b"x")).unwrap();
    let answers = [Answer::redirect(303, URL), Answer::stream("").held()];
    let life = Life::with(request, ClientConfig::new(1), answers);
    assert_eq!(life.shorts(), ["open"]);
    assert_eq!(life.requests[1].method(), Method::GET);
}

#[test]
fn relative_locations_are_resolved_against_the_url_that_answered() {
    let answers = [
        Answer::redirect(302, "http://b.example/x/y/z?q"),
        Answer::redirect(302, "../w#fragment"),
        Answer::redirect(302, "?r=1 2"),
    ];
    let urls = Life::new(ClientConfig::new(1), answers).urls();
    let expected =
        [URL, "http://b.example/x/y/z?q", "http://b.example/x/w", "http://b.example/x/w?r=1%202"];
    assert_eq!(urls, expected);
}

#[test]
fn a_post_that_was_redirected_is_not_taken_back_to_the_start_unless_that_is_safe() {
    let post = || Request::post(URL).body(Bytes::from_static(b"x")).unwrap();
    let answers =
        || [Answer::redirect(303, "/result"), Answer::none(sansse::net::FailureKind::Connect)];
    // The POST has been acted on, although the second connection did not come about.
    let life = Life::with(post(), ClientConfig::new(1), answers());
    assert!(matches!(life.close_reason(), Some(CloseReason::NotRepeatable(_))));

    // Where the target is kept, what is repeated is a GET.
    let mut config = ClientConfig::new(1);
    config.policy.redirects.next_attempt = NextAttempt::Target;
    let life = Life::with(post(), config, [Answer::redirect(303, "/r"), Answer::stream("")]);
    assert_eq!(life.requests.len(), 3);
    assert_eq!(life.requests[2].method(), Method::GET);
}
