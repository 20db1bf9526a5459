//! The verdict as a person reads it, and as a program does.

use std::fmt;

use serde::Serialize;

use super::text::{counted, grouped};

/// What a host can hold.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Connections that it can hold.
    pub connections: u64,
    /// The limit that binds first.
    pub binding: &'static str,
    /// Connections for which the tables of all workers have descriptors, as the server's log says.
    /// More than fit where there are several tables: the kernel spreads connections over them by a
    /// hash, and one is full before all are.
    pub room_in_tables: u64,
    /// Connections that were asked for.
    pub wanted: Option<u64>,
    /// Whether they fit.
    pub fits: Option<bool>,
    /// Connections that the remedies are for.
    pub target: u64,
    /// The kernel interface of the server.
    pub backend: &'static str,
    /// Its workers.
    pub workers: usize,
    /// Addresses of clients on the same machine.
    pub local_addresses: Option<usize>,
    /// Every limit.
    pub limits: Vec<Limit>,
    /// What else to mend.
    pub advice: Vec<Advice>,
}

/// One limit of a host.
#[derive(Clone, Debug, Serialize)]
pub struct Limit {
    /// As the kernel calls it.
    pub name: &'static str,
    /// What it is now, with its unit.
    pub now: String,
    /// Connections that it allows, if it bounds them.
    pub connections: Option<u64>,
    /// What makes it allow as many as the report's target, if it does not.
    pub remedy: Option<String>,
}

/// Something that bounds no number, but hurts.
#[derive(Clone, Debug, Serialize)]
pub struct Advice {
    /// As the kernel calls it.
    pub name: &'static str,
    /// What it is now.
    pub now: String,
    /// What comes of it.
    pub effect: String,
    /// What changes it.
    pub remedy: String,
}

impl Report {
    /// Whether what was asked for fits; if nothing was, whether anything does.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.fits.unwrap_or(self.connections > 0)
    }

    /// One JSON object, on several lines.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("it has no map with keys that are no strings")
    }

    fn write_limits(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.limits.iter().map(|limit| limit.now.len()).max().unwrap_or(0);
        writeln!(f, "{:<30}  {:<width$}  connections", "limit", "now")?;
        for limit in &self.limits {
            let allows = limit.connections.map_or_else(|| "-".into(), up_to_a_billion);
            let mark = if limit.name == self.binding { "  <- binds first" } else { "" };
            writeln!(f, "{:<30}  {:<width$}  {allows:>11}{mark}", limit.name, limit.now)?;
        }
        Ok(())
    }

    fn write_verdict(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (held, binding) = (counted(self.connections, "connection"), self.binding);
        match (self.wanted, self.is_good()) {
            (Some(wanted), true) => {
                let fit = if wanted == 1 { "fits" } else { "fit" };
                writeln!(f, "{} {fit}: room for {held}.", counted(wanted, "connection"))?;
            }
            (Some(wanted), false) => {
                let wanted = counted(wanted, "connection");
                writeln!(f, "{wanted} do not fit: room for {held}, by {binding}.")?;
            }
            (None, _) => writeln!(f, "Room for {held}: {binding} binds first.")?,
        }
        if binding == "nofile" && self.room_in_tables > self.connections {
            let all = grouped(self.room_in_tables);
            writeln!(
                f,
                "The server's log says {all}, which is all tables together; the kernel spreads\n\
                 connections over workers by a hash, so that one is full before all are."
            )?;
        }
        writeln!(f, "For {} raise:", grouped(self.target))?;
        let lacking = self.limits.iter().filter_map(|limit| Some((limit, limit.remedy.as_ref()?)));
        for (limit, remedy) in lacking {
            writeln!(f, "  {}: {remedy}", limit.name)?;
        }
        Ok(())
    }

    fn write_advice(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.advice.is_empty() {
            writeln!(f, "\nNo limits, but worth mending (scripts/tune.sh does most):")?;
        }
        for advice in &self.advice {
            writeln!(f, "  {} is {}: {}", advice.name, advice.now, advice.effect)?;
            writeln!(f, "    {}", advice.remedy)?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clients = match self.local_addresses {
            Some(1) => "clients on this machine at 1 address".into(),
            Some(addresses) => format!("clients on this machine at {addresses} addresses"),
            None => "clients elsewhere".to_owned(),
        };
        let workers = counted(self.workers as u64, "worker");
        writeln!(f, "A server on {} with {workers}, {clients}\n", self.backend)?;
        self.write_limits(f)?;
        writeln!(f)?;
        self.write_verdict(f)?;
        self.write_advice(f)
    }
}

/// More than that is no number that anybody wants to read.
fn up_to_a_billion(connections: u64) -> String {
    const BILLION: u64 = 1_000_000_000;
    if connections > BILLION { "> 1 billion".into() } else { grouped(connections) }
}
