//! Routes of which it is known that they are there.
//!
//! axum does not tell which routes a router has. The walls between tenants are tried
//! on every one, so every one is declared here: nothing else in this crate may add a
//! route to a router, which a test of the repository checks.

use std::convert::Infallible;

use axum::Router;
use axum::routing::MethodRouter;

/// Routes, and the paths under which they answer.
#[derive(Debug)]
pub(crate) struct Routes<S = ()> {
    router: Router<S>,
    paths: Vec<String>,
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    pub(crate) fn new() -> Self {
        Self {
            router: Router::new(),
            paths: Vec::new(),
        }
    }

    /// What answers under a path, by method.
    pub(crate) fn at(mut self, path: &str, methods: MethodRouter<S, Infallible>) -> Self {
        self.paths.push(path.to_owned());
        Self {
            router: self.router.route(path, methods),
            ..self
        }
    }

    /// These and others.
    pub(crate) fn and(mut self, others: Self) -> Self {
        self.paths.extend(others.paths);
        Self {
            router: self.router.merge(others.router),
            ..self
        }
    }

    /// All of them below a path.
    pub(crate) fn below(self, prefix: &str) -> Self {
        Self {
            router: Router::new().nest(prefix, self.router),
            paths: (self.paths.iter())
                .map(|path| format!("{prefix}{path}"))
                .collect(),
        }
    }

    /// The same with what their handlers need.
    pub(crate) fn with_state<T>(self, state: S) -> Routes<T> {
        Routes {
            router: self.router.with_state(state),
            paths: self.paths,
        }
    }

    /// The router, to which nothing more is added.
    pub(crate) fn router(self) -> Router<S> {
        self.router
    }

    /// Where they are, as axum writes a path.
    pub(crate) fn paths(self) -> Vec<String> {
        self.paths
    }
}
