//! The modules of the load generator and of the bare epoll servers.

pub mod bulk;
pub mod churn;
pub mod connection;
pub mod direction;
pub mod echo;
pub mod fetch;
pub mod idle;
pub mod options;
pub mod pattern;
pub mod report;
pub mod steps;
pub mod sys;
