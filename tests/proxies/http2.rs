//! Many streams over one connection of HTTP/2, by TLS, as browsers have them.
