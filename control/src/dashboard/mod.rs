//! `/`: the dashboard, a page without anything from outside, and what it shows.
//!
//! The page is the same for everybody and tells nothing; figures come by `/events`, which is
//! guarded. It never asks for more than a sample each second, however many look at it.

mod events;
mod figures;

pub(crate) use events::{Events, events, tell};

use axum::http::StatusCode;
use axum::http::header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::response::Response;

use crate::respond;

/// Nothing but what we serve ourselves, in no frame of others.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Each file of the page by its path, with its type.
const FILES: [(&str, &str, &str); 5] = [
    ("/", HTML, include_str!("page/index.html")),
    ("/dashboard.css", CSS, include_str!("page/dashboard.css")),
    ("/dashboard.js", SCRIPT, include_str!("page/dashboard.js")),
    ("/feed.js", SCRIPT, include_str!("page/feed.js")),
    ("/plot.js", SCRIPT, include_str!("page/plot.js")),
];

/// The paths of the page.
pub(crate) fn paths() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(path, ..)| *path)
}

/// The file of the page at a path, which is one of [`paths`].
pub(crate) fn file(path: &str) -> Response {
    let Some((_, kind, text)) = FILES.iter().find(|(other, ..)| *other == path) else {
        return respond::text(StatusCode::NOT_FOUND, "there is nothing here");
    };
    let mut response = respond::with(StatusCode::OK, kind, *text);
    respond::set(&mut response, CONTENT_SECURITY_POLICY, POLICY);
    respond::set(&mut response, X_CONTENT_TYPE_OPTIONS, "nosniff");
    respond::set(&mut response, REFERRER_POLICY, "no-referrer");
    response
}
