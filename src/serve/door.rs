//! The door of a server: whom it answers, and what those are told for whom there is no room.

use crate::http::{Asked, ForeignRequest, Hosts};
use crate::http1::ServerConnection as Machine;
use crate::hub::{Hub, Lacking};
use bytes::Bytes;
use http::{Request, Response, header};

/// What all connections of a server ask before the handler is asked.
#[derive(Debug)]
pub(super) struct Door {
    hub: Hub,
    hosts: Option<Hosts>,
}

impl Door {
    pub(super) const fn new(hub: Hub, hosts: Option<Hosts>) -> Self {
        Self { hub, hosts }
    }

    /// Checks that a request is for this server, and of a page that may ask it.
    pub(super) fn check(&self, request: &Request<Bytes>) -> Result<(), ForeignRequest> {
        match self.hosts.as_ref().map_or(Ok(()), |hosts| hosts.check(request)) {
            // Who may read the streams may ask for them.
            Err(ForeignRequest::Origin) if self.may_read(request) => Ok(()),
            outcome => outcome,
        }
    }

    fn may_read(&self, request: &Request<Bytes>) -> bool {
        let mut origins = request.headers().get_all(header::ORIGIN).iter();
        self.hub.head().cors().is_some_and(|cors| origins.all(|origin| cors.allows(origin)))
    }

    /// Answers a connection for which there is no room, by what is known of its request.
    pub(super) fn no_room(&self, machine: &Machine, lacking: Lacking) -> Response<Bytes> {
        let asked = machine.request_head();
        let asked =
            asked.map(|(method, uri, headers)| Asked { method, uri, headers, retained: None });
        self.hub.refuse_for(lacking, asked.as_ref())
    }
}
