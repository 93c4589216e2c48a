//! What the load generator and the bare loop are made of.

pub mod bulk;
pub mod churn;
pub mod connection;
pub mod echo;
pub mod idle;
pub mod options;
pub mod pattern;
pub mod report;
pub mod steps;
pub mod sys;
