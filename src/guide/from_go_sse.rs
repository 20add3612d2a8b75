//! What became of each name of SubChord/go-sse.
//!
//! A server there and here. In Go:
//!
//! ```text
//! broker := net.NewBroker(map[string]string{"Access-Control-Allow-Origin": "*"})
//! http.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) {
//!     client, _ := broker.Connect("alice", w, r)
//!     <-client.Done()
//! })
//! broker.Send("alice", net.StringEvent{Data: "hello"})
//! ```
//!
//! In Rust, on tokio:
//!
//! ```no_run
//! use sansse::Event;
//! use sansse::broker::{BrokerConfig, ClientId, SessionConfig};
//! use sansse::http::{Cors, ResponseHead};
//! use sansse::hub::HubBuilder;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//! let alice = ClientId::new("alice")?;
//! let head = ResponseHead::new().with_cors(Cors::any_origin());
//! let config = BrokerConfig::new(sansse_tokio::random_epoch());
//! let hub = sansse_tokio::spawn_hub(HubBuilder::new(config).with_response_head(head))?;
//! let (streams, client) = (hub.clone(), alice.clone());
//! tokio::spawn(sansse_tokio::serve(listener, hub.clone(), move |request| {
//!     let answer = streams.accept(&request, SessionConfig::new().with_client(client.clone()));
//!     async { answer }
//! }));
//! hub.publish(alice, &Event::new("hello"))?;
//! # Ok(()) }
//! ```
//!
//! # The server
//!
//! | go-sse | here |
//! | --- | --- |
//! | `NewBroker(customHeaders)` | [`HubBuilder::new`] or [`Broker::new`]; headers are in a [`ResponseHead`], whose own win over the defaults |
//! | `Connect` | [`Hub::accept`] or [`Broker::open`] |
//! | `ConnectWithHeartBeatInterval` | [`SessionConfig::with_heartbeat`]; 15 s by default |
//! | `Broadcast` | [`Hub::publish`] to [`Audience::Everyone`] |
//! | `Send(clientId)` | [`Hub::publish`] to [`Audience::Client`] |
//! | `ClientConnection.Send` | [`Hub::publish`] to [`Audience::Session`], or [`Hub::publish_when_room`] where it may wait for the peer |
//! | one broker for each subject | [`Hub::publish`] to [`Audience::Topic`] |
//! | `IsClientPresent` | [`Hub::sessions_of`], and [`Hub::presence_page`] for all clients |
//! | `SetClientMetadata`, `GetClientMetadata` | [`Hub::metadata`]; it outlives a reload |
//! | `ClientConnection.SessionId` | [`Session::id`] |
//! | `ClientConnection.Done` | the end of the stream, and [`Session::end_reason`] |
//! | `SetDisconnectCallback` | [`HubBuilder::on_event`] or [`Broker::poll_event`]: each end, once, with its reason |
//! | `Broker.Close` | [`Hub::close`], after what was published; [`Hub::abort`], at once |
//! | `StringEvent`, `Event` | [`Event::new`] |
//! | `JsonEvent` | `Event::json` (feature `serde`) |
//! | `HeartbeatEvent` | [`Event::heartbeat`] |
//! | `UnknownClientError` | [`PublishError::UnknownClient`] |
//! | `StreamingUnsupportedError` | none: any HTTP stack that can stream a body will do |
//!
//! # The client
//!
//! | go-sse | here |
//! | --- | --- |
//! | `ConnectWithSSEFeed(url, headers)` | `sansse_tokio::feed(url)`, or `sansse_tokio::connect(url)` for one reader; a request with headers in place of the URL |
//! | `Feed.Subscribe("")` | [`Feed::subscribe`] |
//! | `Feed.Subscribe(type)` | [`Feed::subscribe_to`] |
//! | `Feed.Close` | [`Feed::close`] |
//! | `Subscription.Feed`, `ErrFeed` | [`Subscription`], a `Stream` of [`FeedEvent`](crate::FeedEvent)s |
//! | `Subscription.Close` | dropping it |
//!
//! What go-sse has no name for: a browser that comes back gets what it missed, a session that
//! reads too slowly meets a [policy](crate::broker::LagPolicy), and
//! [notices](crate::broker#what-a-peer-is-told) tell the browser its place and every gap. All of it
//! is on by default. A reader that prints each event sees the notices, too. A publisher
//! that is faster than all who read can [wait for them](crate::Hub::publish_when_room).
//!
//! [`HubBuilder::new`]: crate::hub::HubBuilder::new
//! [`Hub::accept`]: crate::Hub::accept
//! [`Hub::publish`]: crate::Hub::publish
//! [`Hub::publish_when_room`]: crate::Hub::publish_when_room
//! [`Hub::sessions_of`]: crate::Hub::sessions_of
//! [`Hub::presence_page`]: crate::Hub::presence_page
//! [`Hub::metadata`]: crate::Hub::metadata
//! [`Hub::close`]: crate::Hub::close
//! [`Hub::abort`]: crate::Hub::abort
//! [`HubBuilder::on_event`]: crate::hub::HubBuilder::on_event
//! [`Session::id`]: crate::hub::Session::id
//! [`Session::end_reason`]: crate::hub::Session::end_reason
//! [`Broker::new`]: crate::broker::Broker::new
//! [`Broker::open`]: crate::broker::Broker::open
//! [`Broker::poll_event`]: crate::broker::Broker::poll_event
//! [`SessionConfig::with_heartbeat`]: crate::broker::SessionConfig::with_heartbeat
//! [`Audience::Everyone`]: crate::broker::Audience::Everyone
//! [`Audience::Client`]: crate::broker::Audience::Client
//! [`Audience::Session`]: crate::broker::Audience::Session
//! [`Audience::Topic`]: crate::broker::Audience::Topic
//! [`PublishError::UnknownClient`]: crate::broker::PublishError::UnknownClient
//! [`ResponseHead`]: crate::http::ResponseHead
//! [`Event::new`]: crate::Event::new
//! [`Event::heartbeat`]: crate::Event::heartbeat
//! [`Feed::subscribe`]: crate::Feed::subscribe
//! [`Feed::subscribe_to`]: crate::Feed::subscribe_to
//! [`Feed::close`]: crate::Feed::close
//! [`Subscription`]: crate::feed::Subscription
