//! The page, which is sent once. All that changes in it comes by its stream.

use maud::{DOCTYPE, Markup, html};

/// Which htmx a page is by. They differ in how a page names its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Htmx {
    Two,
    Four,
}

pub(crate) fn page(by: Htmx) -> Markup {
    let scripts = match by {
        Htmx::Two => ["/htmx-2.js", "/htmx-2-sse.js"],
        Htmx::Four => ["/htmx-4.js", "/htmx-4-sse.js"],
    };
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "The wall" }
                link rel="stylesheet" href="/style.css";
                link rel="icon" href="data:,";
                @for script in scripts { script src=(script) {} }
            }
            body {
                main hx-ext=[(by == Htmx::Two).then_some("sse")]
                    sse-connect=[(by == Htmx::Two).then_some("/events")]
                {
                    header {
                        h1 { "The wall" }
                        span.people { span #people {} }
                        span.state role="status" { "connecting …" }
                    }
                    @match by {
                        Htmx::Two => {
                            ol #wall aria-live="polite" sse-swap="message" hx-swap="afterbegin" {}
                        }
                        Htmx::Four => {
                            ol #wall aria-live="polite" "hx-sse:connect"="/events" hx-swap="afterbegin" {}
                        }
                    }
                    p.problem hidden { "That could not be sent. The server is away." }
                    form.speak hx-post="/say" hx-swap="none" {
                        input name="name" placeholder="Name" aria-label="Name" maxlength="30"
                            autocomplete="off";
                        input name="text" placeholder="Write on the wall" aria-label="Text"
                            maxlength="500" required autocomplete="off" autofocus;
                        button { "Say" }
                        button.claps type="button" hx-post="/clap" hx-swap="none" {
                            "Clap " span #claps { "0" }
                        }
                    }
                }
                script src="/state.js" {}
            }
        }
    }
}
