//! The command line.

use lexopt::prelude::*;

pub const HELP: &str = "load WORKLOAD --port N [options]      prints JSON; the exit code is 1 after any error

  echo    the server echoes all bytes         --size 64 --connections 50 --pipeline 1
                                              --operations 100000 or --seconds S, --warmup 0
                                              --rate R: open loop, R operations a second; the latency of an operation
                                              counts from the time at which it was due, also when it was sent later
                                              --idle N: N additional idle connections
  bulk    bytes to the server, which answers  --connections 1 --bytes 1073741824 (of all connections together)
          the end with their number in decimal
  fetch   bytes from the server, to which     --connections 1 --bytes 1073741824 (of all connections together)
          each connection sends their number in decimal and its end
  churn   connect, one request, close         --size 64 --connections 50 --operations 20000
  accept  connect, close                      --connections 50 --operations 20000
  idle    idle connections                    --connections 15000, until a line on stdin or its end

  --steps  prints `ready` after the setup, begins at a line on stdin, and keeps the connections open after the report
           until another line on stdin or its end
  --stall  the seconds without progress after which a run fails (10)";

#[derive(Debug, Clone)]
pub struct Options {
    pub workload: String,
    pub port: u16,
    pub size: usize,
    pub connections: usize,
    pub pipeline: usize,
    pub operations: Option<u64>,
    pub seconds: Option<f64>,
    pub warmup: u64,
    pub rate: Option<f64>,
    pub idle: usize,
    pub bytes: u64,
    pub steps: bool,
    pub stall: f64,
}

impl Options {
    pub fn parse() -> Result<Option<Self>, lexopt::Error> {
        let mut parser = lexopt::Parser::from_env();
        let mut given = Self {
            workload: String::new(),
            port: 0,
            size: 64,
            connections: 0,
            pipeline: 1,
            operations: None,
            seconds: None,
            warmup: 0,
            rate: None,
            idle: 0,
            bytes: 1 << 30,
            steps: false,
            stall: 10.0,
        };
        while let Some(argument) = parser.next()? {
            match argument {
                Value(name) => given.workload = name.string()?,
                Long("port") => given.port = parser.value()?.parse()?,
                Long("size") => given.size = parser.value()?.parse()?,
                Long("connections") => given.connections = parser.value()?.parse()?,
                Long("pipeline") => given.pipeline = parser.value()?.parse()?,
                Long("operations") => given.operations = Some(parser.value()?.parse()?),
                Long("seconds") => given.seconds = Some(parser.value()?.parse()?),
                Long("warmup") => given.warmup = parser.value()?.parse()?,
                Long("rate") => given.rate = Some(parser.value()?.parse()?),
                Long("idle") => given.idle = parser.value()?.parse()?,
                Long("bytes") => given.bytes = parser.value()?.parse()?,
                Long("stall") => given.stall = parser.value()?.parse()?,
                Long("steps") => given.steps = true,
                Long("help") | Short('h') => return Ok(None),
                _ => return Err(argument.unexpected()),
            }
        }
        given.check()?;
        Ok(Some(given))
    }

    fn check(&mut self) -> Result<(), lexopt::Error> {
        if self.connections == 0 {
            self.connections = match self.workload.as_str() {
                "bulk" | "fetch" => 1,
                "idle" => 15_000,
                _ => 50,
            };
        }
        if self.operations.is_none() && self.seconds.is_none() {
            self.operations = Some(if self.workload == "echo" { 100_000 } else { 20_000 });
        }
        let needs_size = matches!(self.workload.as_str(), "echo" | "churn");
        if self.port == 0 {
            Err("--port is missing".into())
        } else if needs_size && !(1..=65_536).contains(&self.size) {
            Err("--size must be from 1 to 65536".into())
        } else if self.pipeline == 0 || self.rate.is_some_and(|rate| rate.is_nan() || rate <= 0.0) {
            Err("--pipeline and --rate must be above 0".into())
        } else {
            Ok(())
        }
    }
}
