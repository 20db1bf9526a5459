//! `/api`: what programs ask and have done, in the shapes of Centrifugo's server API where it has
//! one, with rooms in the place of channels.
//!
//! Nothing here waits for a worker for longer than a bound, and no request does more than its
//! limits say; it never looks into a message.

mod batch;
mod command;
mod connections;
mod data;
mod disconnect;
mod fault;
mod info;
mod methods;
mod name;
mod pace;
mod rooms;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use crate::state::State;

/// The paths below `/api`.
pub(crate) fn router() -> Router<Arc<State>> {
    Router::new()
        .route("/connections", get(connections::list))
        .route("/rooms", get(rooms::list))
        .route("/rooms/{name}", post(rooms::publish))
        .route("/batch", post(batch::batch))
        .route("/publish", post(methods::publish))
        .route("/broadcast", post(methods::broadcast))
        .route("/disconnect", post(methods::disconnect))
        .route("/info", post(methods::info))
}
