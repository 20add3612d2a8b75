//! The adapter itself, written once for every version of reqwest.

/// The transport, the two traits' implementations, and their bodies, over one version of reqwest.
macro_rules! over {
    ($reqwest:ident) => {
        use crate::{EventSourceExt, MessagesExt, UnusableRequest};
        use bytes::Bytes;
        use futures_core::Stream;
        use http::{Request, Response};
        use sansse::client::ClientConfig;
        use sansse::net::{Failure, FailureKind};
        use sansse::{EventSource, Messages, Transport, messages};
        use sansse_tokio::TokioRuntime;
        use std::error::Error as _;
        use std::fmt::{self, Write as _};
        use std::future::Future;
        use std::pin::Pin;
        use std::task::{Context, Poll};

        /// A [`Transport`] over a client of reqwest's, for
        /// [`EventSource::new`] where the request is one of the `http` crate's.
        #[derive(Clone, Debug)]
        pub struct ReqwestTransport {
            client: $reqwest::Client,
        }

        impl ReqwestTransport {
            /// Makes a transport of a client. Its total timeout and its read timeout, if it has any,
            /// cut streams: build it without.
            pub fn new(client: $reqwest::Client) -> Self {
                Self { client }
            }
        }

        impl Transport for ReqwestTransport {
            type Body = ReqwestBody;

            fn send(
                &self,
                request: Request<Bytes>,
            ) -> impl Future<Output = Result<Response<ReqwestBody>, Failure>> + Send + 'static {
                let client = self.client.clone();
                async move {
                    let request =
                        $reqwest::Request::try_from(request).map_err(|error| failure(&error))?;
                    let response =
                        client.execute(request).await.map_err(|error| failure(&error))?;
                    let (mut head, ()) = Response::new(()).into_parts();
                    head.status = response.status();
                    head.version = response.version();
                    head.headers = response.headers().clone();
                    let bytes: Pin<Box<dyn Stream<Item = _> + Send>> =
                        Box::pin(response.bytes_stream());
                    Ok(Response::from_parts(head, ReqwestBody { bytes }))
                }
            }
        }

        /// The body of a response, as [`ReqwestTransport`] brings it: what goes wrong is a
        /// [`Failure`].
        pub struct ReqwestBody {
            bytes: Pin<Box<dyn Stream<Item = Result<Bytes, $reqwest::Error>> + Send>>,
        }

        impl Stream for ReqwestBody {
            type Item = Result<Bytes, Failure>;

            fn poll_next(
                mut self: Pin<&mut Self>,
                context: &mut Context<'_>,
            ) -> Poll<Option<Self::Item>> {
                self.bytes.as_mut().poll_next(context).map_err(|error| failure(&error))
            }
        }

        impl fmt::Debug for ReqwestBody {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct("ReqwestBody").finish_non_exhaustive()
            }
        }

        impl EventSourceExt for $reqwest::RequestBuilder {
            type Transport = ReqwestTransport;

            fn event_source_with(
                self,
                config: ClientConfig,
            ) -> Result<EventSource<ReqwestTransport>, UnusableRequest> {
                let (client, request) = self.build_split();
                let request = request
                    .map_err(|error| UnusableRequest::Invalid(words(&error.without_url())))?;
                let body = match request.body() {
                    None => Bytes::new(),
                    Some(body) => {
                        let bytes = body.as_bytes().ok_or(UnusableRequest::StreamedBody)?;
                        Bytes::copy_from_slice(bytes)
                    }
                };
                let mut asked = Request::new(body);
                *asked.method_mut() = request.method().clone();
                *asked.uri_mut() =
                    request.url().as_str().parse().map_err(|error: http::uri::InvalidUri| {
                        UnusableRequest::Invalid(error.to_string())
                    })?;
                *asked.headers_mut() = request.headers().clone();
                Ok(EventSource::new(ReqwestTransport { client }, TokioRuntime, asked, config))
            }
        }

        impl MessagesExt for $reqwest::Response {
            type Bytes = ResponseBytes;

            fn messages(self) -> Messages<ResponseBytes> {
                messages(ResponseBytes { bytes: Box::pin(self.bytes_stream()) })
            }
        }

        /// The bytes of a response, as [`MessagesExt::messages`] reads them.
        pub struct ResponseBytes {
            bytes: Pin<Box<dyn Stream<Item = Result<Bytes, $reqwest::Error>> + Send>>,
        }

        impl Stream for ResponseBytes {
            type Item = Result<Bytes, $reqwest::Error>;

            fn poll_next(
                mut self: Pin<&mut Self>,
                context: &mut Context<'_>,
            ) -> Poll<Option<Self::Item>> {
                self.bytes.as_mut().poll_next(context)
            }
        }

        impl fmt::Debug for ResponseBytes {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct("ResponseBytes").finish_non_exhaustive()
            }
        }

        fn failure(error: &$reqwest::Error) -> Failure {
            let kind = if error.is_builder() {
                // Such as a scheme that the client does not speak.
                FailureKind::Unsupported
            } else if error.is_connect() {
                FailureKind::Connect
            } else if error.is_decode() {
                FailureKind::Truncated
            } else if error.is_body() || error.is_request() || error.is_timeout() {
                FailureKind::Closed
            } else {
                FailureKind::Other
            };
            Failure::caused_by(kind, words(error))
        }

        /// What the errors under an error say. The URL, which may hold secrets, is said by the outermost
        /// alone, which has no more to say than that.
        fn words(error: &$reqwest::Error) -> String {
            let mut words = String::new();
            let mut cause = error.source();
            while let Some(error) = cause {
                let separator = if words.is_empty() { "" } else { ": " };
                // Writing to a string cannot fail.
                let _ = write!(words, "{separator}{error}");
                cause = error.source();
            }
            words
        }
    };
}

pub(crate) use over;
