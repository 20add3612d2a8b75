//! A route of event streams as a service.

use http::request::Parts;
use http::{Request, Response};
use sansse::Hub;
use sansse::broker::SessionConfig;
use sansse::http::ResponseHead;
use sansse::hub::ResponseBody;
use sansse_tokio::TokioRuntime;
use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};
use std::task::{Context, Poll};
use tower_service::Service;

/// Answers every request by an event stream of a hub, as a [`Service`]: for
/// `Router::route_service`, and for plain hyper by `hyper_util::service::TowerToHyperService`.
///
/// ```
/// use axum::Router;
/// use sansse::broker::SessionConfig;
/// use sansse_axum::EventService;
///
/// # fn example(hub: sansse::Hub) {
/// let routes: Router = Router::new()
///     .route_service("/events", EventService::new(hub, |_| SessionConfig::new()));
/// # }
/// ```
#[derive(Clone)]
pub struct EventService<F> {
    hub: Hub,
    config: F,
}

impl<F> EventService<F>
where
    F: Fn(&Parts) -> SessionConfig,
{
    /// Makes a service of what makes each session's configuration of the request's head.
    ///
    /// The head of the streams is the hub's, or a [`ResponseHead`] among the request's extensions.
    ///
    /// ```
    /// use sansse::broker::{SessionConfig, TopicName};
    /// use sansse_axum::EventService;
    ///
    /// # fn example(hub: sansse::Hub) {
    /// let service = EventService::new(hub, |request| {
    ///     let config = SessionConfig::new();
    ///     match TopicName::new(request.uri.path()) {
    ///         Ok(topic) => config.with_topic(topic),
    ///         Err(_) => config,
    ///     }
    /// });
    /// # }
    /// ```
    pub const fn new(hub: Hub, config: F) -> Self {
        Self { hub, config }
    }
}

impl<F, B> Service<Request<B>> for EventService<F>
where
    F: Fn(&Parts) -> SessionConfig,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (parts, _) = request.into_parts();
        let config = (self.config)(&parts);
        let head = parts.extensions.get::<ResponseHead>().cloned();
        let request = Request::from_parts(parts, ());
        let answer = match &head {
            Some(head) => self.hub.accept_with(&request, config, head),
            None => self.hub.accept(&request, config),
        };
        ready(Ok(answer.into_response(TokioRuntime)))
    }
}

impl<F> fmt::Debug for EventService<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventService").field("hub", &self.hub).finish_non_exhaustive()
    }
}
