//! The page, which is sent once. All that changes in it is patched by its stream.

use maud::{DOCTYPE, Markup, html};

/// The page comes back after each end of its stream, for as long as it is open. Without these options
/// Datastar takes a clean end for the end of all, and gives up after ten failures in a row.
const READ: &str = "@get('/events', { retry: 'always', retryMaxCount: Infinity })";

/// What is said while the server is away is sent when it is back. A text does not cancel another
/// that is still on its way.
const SAY: &str = "@post('/say', {
    contentType: 'form', retryMaxCount: Infinity, requestCancellation: 'disabled'
}); $text = ''";

/// Datastar tells of all that happens to the stream by events of its own. Those of the server have
/// names that begin with its name; all others are of a connection that is not there.
const WATCH: &str = "if (evt.detail.el === el) {
    $connected = evt.detail.type.startsWith('datastar-');
    $silent = 0;
}";

/// A heartbeat comes each 5 s.
const STATE: &str = "!$connected ? 'connecting …'
    : $silent < 15 ? 'connected' : `nothing heard for ${$silent} s`";

pub(crate) fn page() -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "The wall" }
                link rel="stylesheet" href="/style.css";
                link rel="icon" href="data:,";
                script type="module" src="/datastar.js" {}
            }
            body
                data-signals="{ text: '', people: 0, claps: 0, connected: false, silent: 0 }"
                "data-on:datastar-fetch"=(WATCH)
                data-init=(READ)
                data-on-interval="$silent++"
            {
                main {
                    header {
                        h1 { "The wall" }
                        span.people data-text="$people > 1 ? `${$people} people` : 'you alone'" {}
                        span.state role="status" "data-class:connected"="$connected && $silent < 15"
                            data-text=(STATE) { "connecting …" }
                    }
                    ol #wall aria-live="polite" {}
                    p.problem data-show="$sending && !$connected" style="display: none" {
                        "The server is away. What you said is sent when it is back."
                    }
                    form.speak "data-indicator:sending" "data-on:submit"=(SAY) {
                        input name="name" placeholder="Name" aria-label="Name" maxlength="30"
                            autocomplete="off";
                        input name="text" placeholder="Write on the wall" aria-label="Text"
                            maxlength="500" required autocomplete="off" autofocus
                            "data-bind:text";
                        button { "Say" }
                        button.claps type="button" "data-on:click"="@post('/clap')" {
                            "Clap " span data-text="$claps" { "0" }
                        }
                    }
                }
            }
        }
    }
}
