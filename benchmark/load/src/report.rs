//! The result of a run, printed as one line of JSON.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::sys;

/// Latencies from 100 ns to 10 minutes, with three significant digits.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(100, 600_000_000_000, 3).expect("the bounds are valid")
}

pub struct Report {
    workload: String,
    start: Instant,
    usage: (i64, i64),
    latencies: Histogram<u64>,
    pub operations: u64,
    pub bytes: u64,
    errors: u64,
    first_error: Option<String>,
    last_progress: Instant,
}

impl Report {
    pub fn new(workload: &str) -> Self {
        let now = Instant::now();
        Self {
            workload: workload.to_owned(),
            start: now,
            usage: sys::usage(),
            latencies: histogram(),
            operations: 0,
            bytes: 0,
            errors: 0,
            first_error: None,
            last_progress: now,
        }
    }

    /// Counts an operation with its latency.
    #[inline]
    pub fn record(&mut self, latency: Duration, bytes: usize) {
        self.latencies.saturating_record(latency.as_nanos() as u64);
        self.operations += 1;
        self.bytes += bytes as u64;
    }

    /// Counts errors, and keeps the text of the first one.
    pub fn fail(&mut self, count: u64, why: &str) {
        self.errors += count;
        self.first_error.get_or_insert_with(|| why.to_owned());
    }

    pub fn progress(&mut self, now: Instant) {
        self.last_progress = now;
    }

    pub fn stalled(&self, now: Instant, limit: f64) -> bool {
        now.duration_since(self.last_progress).as_secs_f64() > limit
    }

    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// Prints the report: the duration in seconds, latencies and CPU time of this process in microseconds.
    pub fn print(&self) {
        let (user, system) = sys::usage();
        let seconds = self.start.elapsed().as_secs_f64();
        let at = |quantile: f64| self.latencies.value_at_quantile(quantile) as f64 / 1000.0;
        let error = self.first_error.as_ref().map_or("null".to_owned(), |text| format!("{text:?}"));
        let latency = if self.latencies.is_empty() {
            "null".to_owned()
        } else {
            format!(
                "{{\"p50\":{:.1},\"p90\":{:.1},\"p99\":{:.1},\"p99.9\":{:.1},\"max\":{:.1}}}",
                at(0.5),
                at(0.9),
                at(0.99),
                at(0.999),
                self.latencies.max() as f64 / 1000.0,
            )
        };
        println!(
            "{{\"workload\":\"{}\",\"operations\":{},\"bytes\":{},\"errors\":{},\
             \"firstError\":{error},\"seconds\":{seconds:.6},\"latency\":{latency},\"cpu\":{{\"user\":{},\"system\":{}}}}}",
            self.workload,
            self.operations,
            self.bytes,
            self.errors,
            user - self.usage.0,
            system - self.usage.1,
        );
    }
}
