//! The HTTP server: `/livez`, `/readyz`, `/metrics`, on one thread of its own.
//!
//! It reads what the workers publish and nothing else: no request waits for a worker, and no worker for a request.
//! `/livez` and `/readyz` are open (an orchestrator's probes have no token, and they tell nothing but states);
//! `/metrics` asks for the bearer token if there is one.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;

use crate::config::{Http, Secret};
use crate::health::Health;

/// What the routes read.
#[derive(Debug, Clone)]
struct Shared {
    health: Arc<Health>,
    metrics: PrometheusHandle,
    token: Option<Secret>,
}

/// Takes the address. Done before anything else starts, so that a port in use ends the process at once.
///
/// # Errors
/// The operating system's, most often that the address is in use.
pub fn bind(http: &Http) -> io::Result<TcpListener> {
    let listener = TcpListener::bind(http.listen)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Serves until the runtime that it is spawned on ends.
///
/// # Errors
/// When the listener cannot be used.
pub async fn serve(
    listener: TcpListener,
    token: Option<Secret>,
    health: Arc<Health>,
    metrics: PrometheusHandle,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    axum::serve(listener, router(token, health, metrics)).await
}

/// The address that a listener has, for the log: with port 0 it is known only after binding.
pub fn address(listener: &TcpListener) -> Option<SocketAddr> {
    listener.local_addr().ok()
}

fn router(token: Option<Secret>, health: Arc<Health>, metrics: PrometheusHandle) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics_text))
        .with_state(Shared { health, metrics, token })
}

async fn livez() -> Response {
    json(StatusCode::OK, &serde_json::json!({ "status": "alive" }))
}

async fn readyz(State(shared): State<Shared>) -> Response {
    let report = shared.health.report();
    let status = if report.is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    json(status, &report.to_json())
}

async fn metrics_text(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    if !is_authorised(shared.token.as_ref(), &headers) {
        let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
        return (StatusCode::UNAUTHORIZED, challenge, "bearer token missing or wrong\n").into_response();
    }
    shared.metrics.run_upkeep();
    let content_type = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (content_type, shared.metrics.render()).into_response()
}

fn json(status: StatusCode, body: &serde_json::Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], format!("{body}\n")).into_response()
}

fn is_authorised(token: Option<&Secret>, headers: &HeaderMap) -> bool {
    let Some(token) = token else { return true };
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    // Hashes are compared, so that the time it takes says nothing about where the first difference is.
    given.is_some_and(|(_, given)| {
        blake3::hash(given.trim().as_bytes()) == blake3::hash(token.expose().as_bytes())
    })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn only_the_right_bearer_token_is_let_in() {
        let token = Secret::new("s3cret");
        let check = |header: Option<&str>, expect: bool| {
            let mut headers = HeaderMap::new();
            if let Some(value) = header {
                headers.insert(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            }
            assert_eq!(is_authorised(Some(&token), &headers), expect, "{header:?}");
            assert!(is_authorised(None, &headers));
        };
        check(Some("Bearer s3cret"), true);
        check(Some("bearer s3cret"), true);
        check(Some("Bearer s3cre"), false);
        check(Some("Basic s3cret"), false);
        check(Some("s3cret"), false);
        check(None, false);
    }
}
